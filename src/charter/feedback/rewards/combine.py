"""From the judgements of a round to one number for each sample.

Two rules decide what a missing judgement does. A reward that has nothing to say (not applicable,
abstained) is left out, and the weights of the others are scaled up to the same total, so that the
sample is measured on the same scale. A reward that failed leaves the sample without any number
(NaN): what it would have said is unknown, and neither 0 nor the other rewards may stand for it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from charter.feedback.rewards.outcome import Missing, Said, kind_of
from charter.types import Group, Judgement, SampleTarget, Verdict

UNSAID = Missing("error", "not judged", "nobody judged the sample")
_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class MissingCount:
    """Rewards that are missing, of one reward and one kind.

    Attributes:
        reward: its name.
        verdict: see :data:`charter.types.Verdict`.
        kind: what happened, such as ``ValueError`` or ``time limit``.
        count: samples.
        example: the first reason, in full.
    """

    reward: str
    verdict: Verdict
    kind: str
    count: int
    example: str


def said_in(group: Group, name: str) -> list[Said]:
    """What the reward ``name`` said of each sample; the last word counts where there are several."""
    found: dict[int, Said] = {}
    for one in group.judgements:
        if one.principle == name and isinstance(one.target, SampleTarget):
            found[one.target.sample] = _said(one)
    return [found.get(index, UNSAID) for index in range(len(group.samples))]


def weighted_sum(said: Sequence[Said], weights: Sequence[float]) -> float:
    """``sum_k w_k r_k`` of one sample; NaN where a reward that counts failed, or none is there.

    Weights of rewards that have nothing to say are shared out: the rest is multiplied by
    ``sum |w| / sum |w of the rest|``. A reward of weight 0 is watched only, and cannot fail a sample.
    """
    counting = [(one, weight) for one, weight in zip(said, weights, strict=True) if weight]
    if any(isinstance(one, Missing) and one.verdict == "error" for one, _ in counting):
        return math.nan
    there = [(one, weight) for one, weight in counting if not isinstance(one, Missing)]
    if not there:
        return math.nan
    total = sum(weight * value for value, weight in there)
    if len(there) == len(counting):
        return total
    return total * sum(abs(w) for _, w in counting) / sum(abs(w) for _, w in there)


def share_passed(judgements: Iterable[Judgement]) -> Said:
    """The share of applicable principles one sample passes, each by its weight, in [0, 1].

    A principle that is not about the prompt, abstained or that no rule measures is left out; one
    whose check failed fails the whole.
    """
    judgements = list(judgements)
    for one in judgements:
        if one.verdict == "error":
            return Missing("error", "principle failed", f"{one.principle}: {one.reason}")
    judged = [one for one in judgements if one.value is not None]
    if not judged:
        if any(one.verdict == "abstained" for one in judgements):
            return Missing("abstained", "every principle abstained")
        return Missing("not_applicable", "no principle applies")
    weights = sum(one.weight for one in judged)
    return sum(one.weight * float(one.value or 0.0) for one in judged) / weights


def lexicographic(shares: Sequence[float], slack: float = 0.1) -> float:
    """One number in [0, 1] that orders samples level by level, highest first.

    The levels are digits of a number, the highest level the first digit, as in the rank-preserving
    reward of rule hierarchies (Veer et al. 2022, 2212.03323), where a digit says whether a rule
    holds. Here it says in which of ``1 / slack`` classes the share of passed principles lies, so
    that a higher level decides and a lower one is looked at only within a class: the slack of
    lexicographic objectives (Skalse et al. 2022, 2212.13769). Classes, not differences, because
    "nearly equal" is not transitive, and an order must be. The last level keeps its share as it is:
    nothing comes after it.

    A step of level ``l`` is worth ``(1 / slack + 1)`` steps of the level below. Advantages divided by
    the group's deviation bring a lower level up where the higher ones tie.

    Args:
        shares: of each level that says something, highest first, in [0, 1].
        slack: width of a class; 1 = a level passes whole or not.
    """
    top = max(round(1.0 / slack), 1)
    number, largest = 0.0, 0.0
    for place, share in enumerate(shares):
        last = place == len(shares) - 1
        digit = share * top if last else math.floor(share * top + _ROUNDING)
        number = number * (top + 1) + digit
        largest = largest * (top + 1) + top
    return number / largest


def by_level(judgements: Iterable[Judgement], levels: Mapping[str, int], slack: float) -> Said:
    """The lexicographic reward of one sample from its judgements under a constitution.

    A level in which no principle is about the prompt drops out. One in which the principles that are
    about it only abstained leaves the sample without a reward: a lower level may not decide in its place.

    Args:
        judgements: of one sample.
        levels: principle id to rank, 0 the highest.
        slack: see :func:`lexicographic`.
    """
    ranks: dict[int, list[Judgement]] = {}
    for one in judgements:
        ranks.setdefault(levels[one.principle], []).append(one)
    shares: list[float] = []
    for rank in sorted(ranks):
        share = share_passed(ranks[rank])
        if not isinstance(share, Missing):
            shares.append(share)
        elif share.verdict != "not_applicable":
            return share
    return lexicographic(shares, slack) if shares else Missing("not_applicable", "no principle applies")


def missing_counts(groups: Sequence[Group], names: Sequence[str]) -> list[MissingCount]:
    """Missing rewards by reward, verdict and kind, the most frequent first."""
    counted: Counter[tuple[str, Verdict, str]] = Counter()
    examples: dict[tuple[str, Verdict, str], str] = {}
    for group in groups:
        for name in names:
            for one in said_in(group, name):
                if isinstance(one, Missing):
                    key = (name, one.verdict, one.kind)
                    counted[key] += 1
                    examples.setdefault(key, one.reason)
    return [MissingCount(*key, count, examples[key]) for key, count in counted.most_common()]


def _said(one: Judgement) -> Said:
    if one.value is not None:
        return one.value
    kind = kind_of(one.reason)
    return Missing(one.verdict, kind, one.reason[len(kind) :].removeprefix(":").strip())
