"""Several opinions of one thing become one: of repeated replies, and of several judges."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import Literal

from charter.feedback.judging.opinion import Opinion, failed, inapplicable, unsure

How = Literal["majority", "mean"]
"""``majority`` of the verdicts, or the ``mean`` of the probabilities (a bare verdict counts 0 or 1)."""


def vote(opinions: Sequence[Opinion], how: How = "majority", *, needed: int | None = None) -> Opinion:
    """One opinion.

    An opinion that failed does not vote; it is missing. Where fewer than ``needed`` were given
    the whole failed. One that says "not applicable" or abstains votes for just that. A verdict
    needs more than half of the votes; a tie abstains.

    Args:
        opinions: at least one.
        how: see :data:`How`.
        needed: fewest votes; None = more than half of ``opinions``.
    """
    if len(opinions) == 1 and (needed is None or needed <= 1):
        return opinions[0]
    votes = [one for one in opinions if one.verdict != "error"]
    garbage = any(one.garbage for one in opinions)
    least = len(opinions) // 2 + 1 if needed is None else needed
    if len(votes) < least:
        first = next((one.reason for one in opinions if one.verdict == "error"), "")
        return failed(
            f"{len(votes)} of {len(opinions)} opinions, {least} are needed: {first}", garbage=garbage
        )
    reason = _in_words(opinions)
    if 2 * sum(one.verdict == "not_applicable" for one in votes) > len(votes):
        return inapplicable(reason)
    said = [one for one in votes if one.passed is not None]
    if 2 * len(said) <= len(votes):
        return unsure(reason)
    chance = fmean(_chance(one) for one in said)
    level = chance if how == "mean" else sum(bool(one.passed) for one in said) / len(said)
    if level == 0.5:
        return unsure(f"split: {reason}")
    if (chance > 0.5) != (level > 0.5):
        chance = level  # of a majority against the mean, the votes are what stands for it
    scores = [one.score for one in said if one.score is not None]
    why = next((one.reason for one in said if one.passed == (level > 0.5) and one.reason), "")
    reason = f"{reason}; {why}" if why else reason
    return Opinion("judged", level > 0.5, chance, fmean(scores) if scores else None, reason)


def _chance(opinion: Opinion) -> float:
    return float(bool(opinion.passed)) if opinion.chance is None else opinion.chance


def _in_words(opinions: Sequence[Opinion]) -> str:
    counts: dict[str, int] = {}
    for one in opinions:
        name = one.verdict.replace("_", " ") if one.passed is None else ("fails", "passes")[one.passed]
        counts[name] = counts.get(name, 0) + 1
    return ", ".join(f"{count} {name}" for name, count in counts.items())
