"""How many raters and items a rate needs to be known to a wanted half-width."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from charter.stats.agreement import Rating
from charter.stats.intervals import z_of

MOST_ITEMS = 1_000_000


@dataclass(frozen=True, slots=True)
class Spread:
    """Where the variance of one label comes from; the three add up to it.

    Attributes:
        item: items differ (the variance of their true shares).
        rater: raters differ in strictness.
        rest: the same rater and item would differ, or raters differ in what they find of an item.
    """

    item: float
    rater: float
    rest: float

    def variance(self, items: int, raters: int, per_item: int) -> float:
        """Of the mean of ``items`` items, each rated by ``per_item`` of ``raters`` raters."""
        return self.item / items + self.rater / raters + self.rest / (items * per_item)


@dataclass(frozen=True, slots=True)
class Plan:
    """One way to get there.

    Attributes:
        raters: in all.
        per_item: raters of each item.
        items: in all.
        labels: ``items * per_item``.
        per_rater: labels of each rater, rounded up.
        half_width: expected.
    """

    raters: int
    per_item: int
    items: int
    labels: int
    per_rater: int
    half_width: float

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return {name: getattr(self, name) for name in self.__slots__}


def spread_of(ratings: Iterable[Rating]) -> Spread:
    """The three parts from labels, by the two-way analysis of variance with one label a cell and gaps.

    Method of moments (Henderson's first method): unbiased; a part below 0 is 0.

    Raises:
        ValueError: fewer than two raters or items, or no item with two raters.
    """
    import numpy as np

    rows = list(ratings)
    items = {item: i for i, item in enumerate(dict.fromkeys(row.item for row in rows))}
    raters = {rater: i for i, rater in enumerate(dict.fromkeys(row.rater for row in rows))}
    if len(items) < 2 or len(raters) < 2 or len(rows) <= max(len(items), len(raters)):
        raise ValueError("parts of the variance need two raters, two items, and items with two raters")
    a = np.array([items[row.item] for row in rows])
    b = np.array([raters[row.rater] for row in rows])
    y = np.array([row.value for row in rows], dtype=np.float64)
    n, n_a, n_b = len(y), np.bincount(a), np.bincount(b)
    cells = np.bincount(a * len(raters) + b)
    cells = cells[cells > 0]
    total = float((y**2).sum())
    by_item = float((np.bincount(a, weights=y) ** 2 / n_a).sum())
    by_rater = float((np.bincount(b, weights=y) ** 2 / n_b).sum())
    mean = float(y.sum() ** 2 / n)
    # Expected sums of squares, less that of the mean, in the three variances.
    item_in_rater = float((1.0 / n_b[b]).sum())
    rater_in_item = float((1.0 / n_a[a]).sum())
    k_a, k_b = float((n_a**2).sum() / n), float((n_b**2).sum() / n)
    left = np.array(
        [
            [n - k_a, rater_in_item - k_b, len(n_a) - 1.0],
            [item_in_rater - k_a, n - k_b, len(n_b) - 1.0],
            [n - k_a, n - k_b, n - 1.0],
        ]
    )
    found = np.linalg.lstsq(left, np.array([by_item - mean, by_rater - mean, total - mean]), rcond=None)[0]
    item, rater, rest = (max(0.0, float(part)) for part in found)
    return Spread(item, rater, rest)


def plan(
    half_width: float,
    spread: Spread,
    *,
    raters: Sequence[int] = (3, 5, 10, 20, 50),
    per_item: Sequence[int] = (1, 2, 3, 5),
    level: float = 0.95,
) -> list[Plan]:
    """The fewest items for each number of raters that gets there, the fewest labels first.

    More items cannot make up for few raters: where their differences alone are too wide there is no plan with
    that many, and it is left out.

    Raises:
        ValueError: a half-width that is not above 0.
    """
    if not half_width > 0:
        raise ValueError(f"a half-width is above 0, not {half_width!r}")
    wanted = (half_width / z_of(level)) ** 2
    found = []
    for many in raters:
        for each in per_item:
            room = wanted - spread.rater / many
            if each > many or room <= 0:
                continue
            items = max(2, math.ceil((spread.item + spread.rest / each) / room - 1e-9))
            if items <= MOST_ITEMS:
                half = z_of(level) * math.sqrt(spread.variance(items, many, each))
                found.append(Plan(many, each, items, items * each, math.ceil(items * each / many), half))
    return sorted(found, key=lambda one: (one.labels, one.raters))
