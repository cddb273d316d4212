"""What moves a judge besides the principle: position, length, markdown, and its own models."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Sequence
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
    worth,
)
from charter.evaluation.reward_bench.style import FEATURES, length
from charter.stats import Interval, newcombe_paired, percent, points, wilson
from charter.stats.clustered import by_cluster, effective_cells, effective_counts, effective_number

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
    # A tie in one order and not in the other leans half as far; it counts as a flip without a side.
    changed, of_changed = effective_counts(
        by_cluster((one.pair.cluster, float(one.first != one.second)) for one in measured)
    )
    flips = wilson(changed, of_changed, limits.level)
    cells, n = effective_cells([(one.pair.cluster, _pulled(one)) for one in measured], _PULLS)
    # Over both orders P(first) is a half, plus half of what flips pull.
    moved = newcombe_paired(0, cells["second"], cells["first"], cells[""], limits.level)
    pull = Interval(moved.lo / 2, moved.hi / 2)
    p_first = 0.5 + (cells["first"] - cells["second"]) / (2 * n)
    results = within(pull, limits.pull), at_most(flips, limits.flips)
    result: Result = "fail" if "fail" in results else "undecided" if "undecided" in results else "pass"
    rate = changed / of_changed
    ends = Interval(0.5 + pull.lo, 0.5 + pull.hi)
    why = (
        f"{percent(rate)} of {worth(len(measured), of_changed)} pairs are decided otherwise when turned "
        f"({span(flips)}, at most {percent(limits.flips)}), and the answer shown first wins "
        f"{percent(p_first)} ({span(ends)}, within {_limit(limits)} of a half)"
    )
    sides = [_pulled(one) for one in measured]
    detail = {
        "flip_rate": rate,
        "flip_interval": list(flips),
        "flips_to_first": sides.count("first"),
        "flips_to_second": sides.count("second"),
        "independent_pairs": n,
    }
    return Criterion("position", result, why, p_first, ends, len(measured), detail)


_PULLS = {"first": 1.0, "second": -1.0, "": 0.0}


def _pulled(one: PairVerdict) -> str:
    """To which place the order pulls the verdict."""
    if one.first == "good" and one.second == "bad":
        return "first"
    return "second" if one.first == "bad" and one.second == "good" else ""


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
    rows = []
    for one in used:
        right_is_longer = length(one.pair.good) > length(one.pair.bad)
        rows.append((one.pair.cluster, (right_is_longer, one.right == right_is_longer)))
    both = {(a, b): float(b) - float(a) for a in (True, False) for b in (True, False)}
    cells, n = effective_cells(rows, both)
    gap = newcombe_paired(
        cells[True, True], cells[True, False], cells[False, True], cells[False, False], limits.level
    )
    people = (cells[True, True] + cells[True, False]) / n
    judge = (cells[True, True] + cells[False, True]) / n
    why = (
        f"chooses the longer answer in {percent(judge)} of {worth(len(used), n)} pairs where it is right in "
        f"{percent(people)}: {points(judge - people)} points ({points_span(gap)}, within {_limit(limits)})"
    )
    detail = {"p_longer": judge, "right_is_longer": people, "independent_pairs": n}
    return Criterion("length", within(gap, limits.pull), why, judge - people, gap, len(used), detail)


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


Preferred = tuple[Hashable, str | None]
"""The answer's id, which answers of one comparison share, and which form of it is preferred over both orders:
``markdown``, ``plain``, ``tie`` (also where the orders disagree), or None without a verdict."""


def judge_styles(judge: Judge, answers: Sequence[GoldAnswer], label: str) -> tuple[list[Preferred], int]:
    """Of each answer that can be marked up, which form is preferred; and how many cannot."""
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
    wins: dict[tuple[str | None, str | None], str] = {
        ("second", "first"): "markdown",
        ("first", "second"): "plain",
    }
    found: list[Preferred] = []
    for (one, _), plain_first, marked_first in zip(used, said[::2], said[1::2], strict=True):
        sides = plain_first.side, marked_first.side
        found.append((one.id, None if None in sides else wins.get(sides, "tie")))
    return found, len(answers) - len(used)


_FORMS = {"markdown": 1.0, "plain": -1.0, "tie": 0.0}


def style_criterion(preferred: Sequence[Preferred], limits: Limits, left_out: int = 0) -> Criterion:
    """How much oftener the marked-up form of the same words wins than the plain one."""
    measured = [(cluster, form) for cluster, form in preferred if form is not None]
    if len(measured) < limits.min_pairs:
        return unmeasured(
            "style", f"{len(measured)} answers were judged plain and marked up; it takes {limits.min_pairs}"
        )
    cells, n = effective_cells(measured, _FORMS)
    net = newcombe_paired(0, cells["plain"], cells["markdown"], cells["tie"], limits.level)
    value = (cells["markdown"] - cells["plain"]) / n
    forms = [form for _, form in measured]
    up, down = forms.count("markdown"), forms.count("plain")
    why = (
        f"of {worth(len(forms), n)} answers shown plain and as markdown, the markdown wins {up} and the "
        f"plain text {down}: {points(value)} points ({points_span(net)}, within {_limit(limits)})"
    )
    detail = {"markdown": up, "plain": down, "left_out": left_out, "independent_answers": n}
    return Criterion("style", within(net, limits.pull), why, value, net, len(forms), detail)


# -- self-preference ----------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Rated:
    """One answer as the judge saw it and as others did (people, or other judges).

    Attributes:
        own: it was written by the judge's own model or family.
        judge: did the judge pass it?
        others: share of the others who passed it.
        cluster: the conversation it is an answer to.
    """

    own: bool
    judge: bool
    others: float
    cluster: Hashable


def self_preference_criterion(rated: Iterable[Rated], limits: Limits) -> Criterion:
    """Own judge times own model: leniency towards its own models less that towards others' models.

    A judge that is lenient with everybody has none; so has one whose own models are better.
    """
    rows = list(rated)
    own, other = (
        by_cluster((one.cluster, float(one.judge) - one.others) for one in rows if one.own is mine)
        for mine in (True, False)
    )
    counts = [sum(map(len, part)) for part in (own, other)]
    if min(counts) < limits.min_pairs:
        return unmeasured(
            "self_preference",
            f"{counts[0]} labelled answers by its own models and {counts[1]} by others; "
            f"it takes {limits.min_pairs} of each",
        )
    means, value, interval = _welch(own, other, limits.level)
    independent = [effective_number(part) for part in (own, other)]
    why = (
        f"it is {points(means[0])} points more lenient than others with {worth(counts[0], independent[0])} "
        f"answers of its own, and {points(means[1])} with {worth(counts[1], independent[1])} of others: "
        f"{points(value)} points ({points_span(interval)}, at most {_limit(limits)})"
    )
    detail = {"leniency_own": means[0], "leniency_other": means[1], "independent_answers": sum(independent)}
    result = at_most(interval, limits.pull)
    return Criterion("self_preference", result, why, value, interval, sum(counts), detail)


def _limit(limits: Limits) -> str:
    return f"{100 * limits.pull:g} points"


_Clusters = Sequence[Sequence[float]]


def _welch(own: _Clusters, other: _Clusters, level: float) -> tuple[tuple[float, float], float, Interval]:
    """Both means, their difference, and its interval with one more answer each way in either group.

    Without them, groups that agree throughout would have an interval of no width.
    """
    from scipy.stats import t

    means = tuple(sum(sum(one) / len(one) for one in group) / len(group) for group in (own, other))
    parts = []
    for group in (own, other):
        padded = [*(value for cluster in group for value in cluster), 1.0, -1.0]
        mean, n = sum(padded) / len(padded), effective_number(group) + 2
        variance = sum((value - mean) ** 2 for value in padded) / (len(padded) - 1)
        parts.append((variance / n, n))
    total = sum(variance for variance, _ in parts)
    freedom = total**2 / sum(variance**2 / (n - 1) for variance, n in parts)
    value = means[0] - means[1]
    half = float(t.ppf(0.5 + level / 2, freedom)) * total**0.5
    return (means[0], means[1]), value, Interval(value - half, value + half)
