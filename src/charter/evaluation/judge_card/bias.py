"""What moves a judge besides the principle: position, length, markdown, and its own models."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from charter.evaluation.judge_card.asking import Judge, ask, pair_group
from charter.evaluation.judge_card.calibration import GoldAnswer, PairVerdict
from charter.evaluation.judge_card.criterion import (
    Criterion,
    Limits,
    Result,
    at_most,
    points_span,
    span,
    unmeasured,
    within,
)
from charter.evaluation.style import FEATURES, length
from charter.stats import Interval, newcombe_paired, percent, points, wilson

_FORMAT = re.compile(
    r"\b(markdown|format\w*|bullets?|lists?|headings?|headers?|bold|style|layout|plain text|tables?)\b", re.I
)
_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=\S)")


# -- position -----------------------------------------------------------------


def position_criterion(verdicts: Sequence[PairVerdict], limits: Limits) -> Criterion:
    """P(first) over both orders, and how many pairs are decided otherwise when the order is turned.

    Flips that pull one way are a bias, flips that do not are noise.
    """
    measured = [one for one in verdicts if one.measured]
    if len(measured) < limits.min_pairs:
        return unmeasured(
            "position", f"{len(measured)} pairs were judged in both orders; it takes {limits.min_pairs}"
        )
    n = len(measured)
    first = sum(one.first == "good" and one.second == "bad" for one in measured)
    second = sum(one.first == "bad" and one.second == "good" for one in measured)
    # A tie in one order and not in the other leans half as far; it counts as a flip without a side.
    changed = sum(one.first != one.second for one in measured)
    flips = wilson(changed, n, limits.level)
    # Over both orders P(first) is a half, plus half of what flips pull.
    moved = newcombe_paired(0, second, first, n - first - second, limits.level)
    pull = Interval(moved.lo / 2, moved.hi / 2)
    p_first = 0.5 + (first - second) / (2 * n)
    results = within(pull, limits.pull), at_most(flips, limits.flips)
    result: Result = "fail" if "fail" in results else "undecided" if "undecided" in results else "pass"
    why = (
        f"{percent(changed / n)} of {n} pairs are decided otherwise when turned ({span(flips)}, at most "
        f"{percent(limits.flips)}), and the answer shown first wins {percent(p_first)} "
        f"({span(Interval(0.5 + pull.lo, 0.5 + pull.hi))}, within {_limit(limits)} of a half)"
    )
    detail = {
        "flip_rate": changed / n,
        "flip_interval": list(flips),
        "flips_to_first": first,
        "flips_to_second": second,
    }
    return Criterion("position", result, why, p_first, Interval(0.5 + pull.lo, 0.5 + pull.hi), n, detail)


# -- length -------------------------------------------------------------------


def length_criterion(verdicts: Sequence[PairVerdict], limits: Limits) -> Criterion:
    """P(longer) less that of the right answers, on the same pairs: length beyond what it is worth."""
    # A pair of equal lengths has no longer one, and one that was not decided says nothing of length.
    used = [
        one
        for one in verdicts
        if one.measured and one.first == one.second != "tie" and length(one.pair.good) != length(one.pair.bad)
    ]
    if len(used) < limits.min_pairs:
        return unmeasured(
            "length", f"{len(used)} decided pairs of unequal length; it takes {limits.min_pairs}"
        )
    cells = {(a, b): 0 for a in (True, False) for b in (True, False)}
    for one in used:
        right_is_longer = length(one.pair.good) > length(one.pair.bad)
        cells[right_is_longer, one.right == right_is_longer] += 1
    n = len(used)
    gap = newcombe_paired(
        cells[True, True], cells[True, False], cells[False, True], cells[False, False], limits.level
    )
    people = (cells[True, True] + cells[True, False]) / n
    judge = (cells[True, True] + cells[False, True]) / n
    why = (
        f"chooses the longer answer in {percent(judge)} of {n} pairs where it is right in {percent(people)}: "
        f"{points(judge - people)} points ({points_span(gap)}, within {_limit(limits)})"
    )
    detail = {"p_longer": judge, "right_is_longer": people}
    return Criterion("length", within(gap, limits.pull), why, judge - people, gap, n, detail)


# -- style --------------------------------------------------------------------


def about_format(text: str) -> bool:
    """Whether a principle speaks of how answers are laid out, so that a preference there is no bias."""
    return _FORMAT.search(text) is not None


def markdown(text: str) -> str | None:
    """The same words with a bold beginning and bullets; None where the text is marked up, or one word."""
    marks = ("list items", "bold", "headings", "code blocks")
    words = text.strip()
    if len(words.split()) < 4 or any(FEATURES[name](words) for name in marks):
        return None
    start, *rest = _SENTENCE.split(" ".join(words.split()))
    head, _, tail = start.partition(" ")
    opening, _, left = tail.partition(" ")
    bold = f"**{head} {opening}** {left}".rstrip()
    return "\n".join([bold, *(f"- {sentence}" for sentence in rest)]) if rest else f"- {bold}"


def judge_styles(judge: Judge, answers: Sequence[GoldAnswer], label: str) -> tuple[list[str | None], int]:
    """Of each answer that can be marked up, which form is preferred over both orders; and how many cannot.

    ``markdown``, ``plain``, ``tie`` (also where the orders disagree), or None without a verdict.
    """
    forms = [(one, markdown(one.text)) for one in answers]
    used = [(one, marked) for one, marked in forms if marked is not None]
    if not used:
        return [], len(answers)
    groups = [
        pair_group(one.context, *texts, one.principle, one.id)
        for one, marked in used
        for texts in ((one.text, marked), (marked, one.text))
    ]
    said = ask(judge, groups, used[0][0].principle, label)
    found: list[str | None] = []
    for plain_first, marked_first in zip(said[::2], said[1::2], strict=True):
        if plain_first.side is None or marked_first.side is None:
            found.append(None)
        elif (plain_first.side, marked_first.side) == ("second", "first"):
            found.append("markdown")
        else:
            found.append("plain" if (plain_first.side, marked_first.side) == ("first", "second") else "tie")
    return found, len(answers) - len(used)


def style_criterion(preferred: Sequence[str | None], limits: Limits, left_out: int = 0) -> Criterion:
    """How much oftener the marked-up form of the same words wins than the plain one."""
    measured = [one for one in preferred if one is not None]
    n = len(measured)
    if n < limits.min_pairs:
        return unmeasured(
            "style", f"{n} answers were judged plain and marked up; it takes {limits.min_pairs}"
        )
    up, down = measured.count("markdown"), measured.count("plain")
    net = newcombe_paired(0, down, up, n - up - down, limits.level)
    why = (
        f"of {n} answers shown plain and as markdown, the markdown wins {up} and the plain text {down}: "
        f"{points((up - down) / n)} points ({points_span(net)}, within {_limit(limits)})"
    )
    detail = {"markdown": up, "plain": down, "left_out": left_out}
    return Criterion("style", within(net, limits.pull), why, (up - down) / n, net, n, detail)


# -- self-preference ----------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Rated:
    """One answer as the judge saw it and as others did (people, or other judges).

    Attributes:
        own: it was written by the judge's own model or family.
        judge: did the judge pass it?
        others: share of the others who passed it.
    """

    own: bool
    judge: bool
    others: float


def self_preference_criterion(rated: Iterable[Rated], limits: Limits) -> Criterion:
    """Own judge times own model: leniency towards its own models less that towards others' models.

    A judge that is lenient with everybody has none; so has one whose own models are better.
    """
    groups: dict[bool, list[float]] = {True: [], False: []}
    for one in rated:
        groups[one.own].append(float(one.judge) - one.others)
    own, other = groups[True], groups[False]
    if min(len(own), len(other)) < limits.min_pairs:
        return unmeasured(
            "self_preference",
            f"{len(own)} labelled answers by its own models and {len(other)} by others; "
            f"it takes {limits.min_pairs} of each",
        )
    means = [sum(part) / len(part) for part in (own, other)]
    value = means[0] - means[1]
    interval = _welch(own, other, limits.level)
    why = (
        f"it is {points(means[0])} points more lenient than others with {len(own)} answers of its own, "
        f"and {points(means[1])} with {len(other)} of others: {points(value)} points "
        f"({points_span(interval)}, at most {_limit(limits)})"
    )
    detail = {"leniency_own": means[0], "leniency_other": means[1]}
    result = at_most(interval, limits.pull)
    return Criterion("self_preference", result, why, value, interval, len(own) + len(other), detail)


def _limit(limits: Limits) -> str:
    return f"{100 * limits.pull:g} points"


def _welch(own: Sequence[float], other: Sequence[float], level: float) -> Interval:
    """Interval of a difference of means, with one more answer each way in either group.

    Without them, groups that agree throughout would have an interval of no width.
    """
    from scipy.stats import t

    parts = []
    for group in (own, other):
        padded = [*group, 1.0, -1.0]
        mean = sum(padded) / len(padded)
        variance = sum((value - mean) ** 2 for value in padded) / (len(padded) - 1)
        parts.append((variance / len(padded), len(padded)))
    total = sum(variance for variance, _ in parts)
    freedom = total**2 / sum(variance**2 / (n - 1) for variance, n in parts)
    value = sum(own) / len(own) - sum(other) / len(other)
    half = float(t.ppf(0.5 + level / 2, freedom)) * total**0.5
    return Interval(value - half, value + half)
