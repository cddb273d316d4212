"""May a judge stand in for a person? The alternative-annotator test (Calderon et al. 2025, 2501.10970).

Each person in turn is left out. On every item, who is closer to the other people: the judge or the one
left out? The judge wins against a person if it is closer at least as often, less a margin ``epsilon`` that
its cheapness is worth. It passes if it wins against at least half of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

EPSILON = {"expert": 0.2, "skilled": 0.15, "crowd": 0.1}
"""The paper's margin by who the people are."""

MIN_ITEMS = 30
"""Items a person must have rated for the t-test; with fewer it is Wilcoxon's signed-rank test."""

MIN_RATERS = 3
WINNING_RATE = 0.5

Score = Callable[[float, Sequence[float]], float]
"""How close a rating is to the others' ratings of the item; more is closer."""


@dataclass(frozen=True, slots=True)
class Against:
    """The judge against one person.

    Attributes:
        rater: who was left out.
        items: compared.
        judge: share of items on which the judge is at least as close to the others.
        person: the same of the person.
        p: of "the person is better by ``epsilon`` or more".
        won: is that rejected, with all people's tests corrected together?
    """

    rater: Hashable
    items: int
    judge: float
    person: float
    p: float
    won: bool


@dataclass(frozen=True, slots=True)
class AltTest:
    """The whole test.

    Attributes:
        against: by person.
        winning_rate: share of people the judge wins against; None when nobody could be compared.
        advantage: mean of the judge's shares: the paper's measure to compare judges by.
        passed: ``winning_rate`` is at least a half; None when there are too few people or items.
        why: why there is no answer.
    """

    against: tuple[Against, ...]
    winning_rate: float | None
    advantage: float | None
    passed: bool | None
    why: str = ""


def equal(rating: float, others: Sequence[float]) -> float:
    """Share of the others who gave the same rating: for categories."""
    return fmean(float(rating == other) for other in others)


def near(rating: float, others: Sequence[float]) -> float:
    """Minus the root mean square distance from the others: for scales."""
    return -math.sqrt(fmean((rating - other) ** 2 for other in others))


def alt_test(
    people: Mapping[Hashable, Mapping[Hashable, float]],
    judge: Mapping[Hashable, float],
    *,
    epsilon: float = EPSILON["skilled"],
    score: Score = equal,
    alpha: float = 0.05,
    min_items: int = MIN_ITEMS,
) -> AltTest:
    """The test of a judge against people.

    Args:
        people: each person's ratings by item; not everybody must have rated everything.
        judge: the judge's ratings by item.
        epsilon: see :data:`EPSILON`.
        score: :func:`equal` for categories, :func:`near` for scales.
        alpha: false discovery rate over people (Benjamini and Yekutieli 2001).
        min_items: items a person must share with the judge and another person, or no verdict is given.

    Raises:
        ValueError: ``epsilon`` or ``alpha`` outside [0, 1) and (0, 1).
    """
    if not 0.0 <= epsilon < 1.0 or not 0.0 < alpha < 1.0:
        raise ValueError(f"epsilon {epsilon!r}, alpha {alpha!r}")
    found = []
    for rater in people:
        judge_N, person_N = _closer(rater, people, judge, score)
        if judge_N:
            p = _p_value([h - f for f, h in zip(judge_N, person_N, strict=True)], epsilon)
            found.append((rater, len(judge_N), fmean(judge_N), fmean(person_N), p))
    if not found:
        return AltTest((), None, None, None, "no person shares an item with the judge and another person")
    won = benjamini_yekutieli([one[-1] for one in found], alpha)
    against = tuple(Against(*one, won=wins) for one, wins in zip(found, won, strict=True))
    rate = fmean(float(one.won) for one in against)
    fewest = min(one.items for one in against)
    why = ""
    if len(against) < MIN_RATERS:
        why = f"{len(against)} people rated, and the test needs {MIN_RATERS}"
    elif fewest < min_items:
        why = f"one person shares only {fewest} items with the judge and the others; {min_items} are needed"
    passed = None if why else rate >= WINNING_RATE
    return AltTest(against, rate, fmean(one.judge for one in against), passed, why)


def benjamini_yekutieli(ps: Sequence[float], alpha: float = 0.05) -> list[bool]:
    """Which hypotheses to reject so that the expected share of false ones among them is at most ``alpha``.

    Holds under any dependence between the tests. Source: Annals of Statistics 29 (2001).
    """
    m = len(ps)
    scale = alpha / (m * math.fsum(1 / i for i in range(1, m + 1))) if m else 0.0
    ranked = sorted(range(m), key=ps.__getitem__)
    last = max((rank for rank, i in enumerate(ranked, 1) if ps[i] <= rank * scale), default=0)
    rejected = set(ranked[:last])
    return [i in rejected for i in range(m)]


def _closer(
    rater: Hashable,
    people: Mapping[Hashable, Mapping[Hashable, float]],
    judge: Mapping[Hashable, float],
    score: Score,
) -> tuple[list[float], list[float]]:
    """Of each item, whether the judge, and whether the person, is at least as close to the others."""
    judge_N, person_N = [], []
    for item, own in people[rater].items():
        others = [rated[item] for other, rated in people.items() if other != rater and item in rated]
        if others and item in judge:
            of_judge, of_person = score(judge[item], others), score(own, others)
            judge_N.append(float(of_judge >= of_person))
            person_N.append(float(of_person >= of_judge))
    return judge_N, person_N


def _p_value(ahead: Sequence[float], epsilon: float) -> float:
    """One-sided p-value of "the person is ahead by ``epsilon`` or more" on the mean."""
    from scipy.stats import ttest_1samp, wilcoxon

    if max(ahead) == min(ahead):
        # No spread to test with: the answer is the sign itself.
        return 0.0 if ahead[0] < epsilon else 1.0
    if len(ahead) < MIN_ITEMS:
        return float(wilcoxon([value - epsilon for value in ahead], alternative="less").pvalue)
    return float(ttest_1samp(ahead, epsilon, alternative="less").pvalue)
