"""How groups of raters differ, each rater counted once, and small groups kept out of sight."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, variance
from typing import Any

from charter.stats.agreement import Rating
from charter.stats.intervals import Interval, z_of
from charter.stats.raters.measure import Measure, difference_of

LEAST_RATERS = 5
"""Raters of a group, and of the rest, below which no number of it is shown: it would be one person's."""

PERMUTATIONS = 1_000


@dataclass(frozen=True, slots=True)
class Gap:
    """One group against all other raters.

    Attributes:
        group: which.
        raters: in it.
        value: mean of the group's raters; None where there are too few.
        rest: mean of the others.
        difference: ``value - rest``.
        interval: of the difference: Welch's, over raters, who are what a group is a sample of.
        why: why there is no number.
    """

    group: str
    raters: int
    value: float | None = None
    rest: float | None = None
    difference: float | None = None
    interval: Interval | None = None
    why: str = ""

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        lo, hi = self.interval if self.interval is not None else (None, None)
        named = {"value": self.value, "rest": self.rest, "difference": self.difference, "lo": lo, "hi": hi}
        return {"group": self.group, "raters": self.raters, **named, "why": self.why}


def group_gaps(
    rates: Mapping[Any, float],
    groups: Mapping[Any, str],
    *,
    least: int = LEAST_RATERS,
    level: float = 0.95,
) -> list[Gap]:
    """Each group's mean rate against that of all other raters who said a group.

    Args:
        rates: one number a rater.
        groups: the rater's group; a rater without one is in none of the comparisons.
        least: see :data:`LEAST_RATERS`.
        level: of the intervals; each stands alone, they are not corrected for their number.
    """
    z_of(level)
    members: dict[str, list[float]] = {}
    for rater, rate in rates.items():
        if groups.get(rater):
            members.setdefault(groups[rater], []).append(rate)
    made = []
    for group in sorted(members):
        mine = members[group]
        rest = [rate for other, values in members.items() if other != group for rate in values]
        fewest = min(len(mine), len(rest))
        if fewest < max(2, least):
            why = f"fewer than {max(2, least)} raters in the group or outside it"
            made.append(Gap(group, len(mine), why=why))
            continue
        value, other = fmean(mine), fmean(rest)
        made.append(Gap(group, len(mine), value, other, value - other, _welch(mine, rest, level)))
    return made


def _welch(first: Sequence[float], second: Sequence[float], level: float) -> Interval:
    from scipy.stats import t

    a, b = variance(first) / len(first), variance(second) / len(second)
    difference = fmean(first) - fmean(second)
    if a + b == 0.0:
        return Interval(difference, difference)
    freedom = (a + b) ** 2 / (a * a / (len(first) - 1) + b * b / (len(second) - 1))
    half = float(t.ppf(0.5 + level / 2, freedom)) * math.sqrt(a + b)
    return Interval(difference - half, difference + half)


@dataclass(frozen=True, slots=True)
class Split:
    """Do raters agree more with their own group than with others?

    Attributes:
        within: share of agreeing pairs of raters of one group; None = none share an item.
        between: the same of pairs of different groups.
        difference: per item, within less between, over items that have both.
        p: share of random groupings of the raters with as large a difference; None without enough raters.
        raters: who said a group.
    """

    within: float | None
    between: float | None
    difference: Measure
    p: float | None
    raters: int

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        named = {"within": self.within, "between": self.between, "difference": self.difference.to_json()}
        return {**named, "p": self.p, "raters": self.raters}


def group_split(
    ratings: Iterable[Rating],
    groups: Mapping[Any, str],
    *,
    least: int = LEAST_RATERS,
    permutations: int = PERMUTATIONS,
    level: float = 0.95,
    seed: int = 0,
) -> Split:
    """Agreement within groups against agreement between them, on the same items.

    The interval is over items, for these raters; the permutations ask whether any grouping of these raters
    would have shown as much.
    """
    import numpy as np

    rows = [row for row in ratings if groups.get(row.rater)]
    raters = list(dict.fromkeys(row.rater for row in rows))
    items = {item: i for i, item in enumerate(dict.fromkeys(row.item for row in rows))}
    place = {rater: i for i, rater in enumerate(raters)}
    said_RN = np.full((len(raters), len(items)), np.nan)
    for row in rows:
        said_RN[place[row.rater], items[row.item]] = row.value
    seen_RN = np.isfinite(said_RN)
    shared_RR = seen_RN.astype(float) @ seen_RN.T
    agreed_RR = np.zeros_like(shared_RR)
    for value in np.unique(said_RN[seen_RN]):
        same_RN = (said_RN == value).astype(float)
        agreed_RR += same_RN @ same_RN.T
    above = np.triu(np.ones_like(shared_RR), 1) > 0
    names = np.array([groups[rater] for rater in raters], dtype=object)

    def rates(names_R: Any) -> tuple[float | None, float | None]:
        same = names_R[:, None] == names_R[None, :]
        found: list[float | None] = []
        for mask in (above & same, above & ~same):
            total = float(shared_RR[mask].sum())
            found.append(float(agreed_RR[mask].sum()) / total if total else None)
        return found[0], found[1]

    within, between = rates(names) if rows else (None, None)
    sizes = [int((names == one).sum()) for one in dict.fromkeys(names.tolist())]
    hidden = len(sizes) < 2 or min(sizes) < least
    if hidden or within is None or between is None:
        return Split(None, None, Measure(None, None, 0), None, len(raters))
    rng = np.random.default_rng(seed)
    observed, extreme = within - between, 1
    for _ in range(permutations):
        a, b = rates(rng.permutation(names))
        extreme += a is not None and b is not None and a - b >= observed - 1e-12
    difference = difference_of(_by_item(said_RN, names), level=level)
    return Split(within, between, difference, extreme / (permutations + 1), len(raters))


def _by_item(said_RN: Any, names_R: Any) -> list[float]:
    """Agreement within less between, of each item that has both kinds of pairs."""
    import numpy as np

    found = []
    for said_R in said_RN.T:
        here = np.isfinite(said_R)
        values, groups = said_R[here], names_R[here]
        equal = values[:, None] == values[None, :]
        same = groups[:, None] == groups[None, :]
        above = np.triu(np.ones_like(equal), 1)
        if (above & same).any() and (above & ~same).any():
            found.append(float(equal[above & same].mean() - equal[above & ~same].mean()))
    return found
