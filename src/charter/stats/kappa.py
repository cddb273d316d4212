"""Agreement of two raters beyond chance: Cohen's kappa, with an interval."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from charter.stats.intervals import Interval, wilson

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Weights = Literal["none", "linear", "quadratic"]
"""What a disagreement costs: all the same, by the distance of the ranks, or by its square."""


@dataclass(frozen=True, slots=True)
class Kappa:
    """Agreement beyond chance.

    Attributes:
        value: 1 = complete, 0 = what chance gives; None where all ratings are equal (chance then agrees
            completely too), or fewer than two items stand alone.
        interval: of it; all of [-1, 1] where it says nothing.
        observed: share of agreement, weighted.
        expected: that of chance.
        n: items.
    """

    value: float | None
    interval: Interval
    observed: float
    expected: float
    n: int


def cohen_kappa(
    first: Sequence[Hashable],
    second: Sequence[Hashable],
    *,
    order: Sequence[Hashable] | None = None,
    weights: Weights = "none",
    level: float = 0.95,
    clusters: Sequence[Hashable] | None = None,
) -> Kappa:
    """Kappa of two raters of the same items (Cohen 1960; weighted: 1968).

    The interval is the jackknife's over items on the scale ``log(1 - kappa)``, with a t quantile. Items that
    hang together are left out together.

    Args:
        first: one rater's ratings.
        second: the other's, in the same order.
        order: the ratings from low to high, for weights.
        weights: see :data:`Weights`.
        level: confidence level.
        clusters: of each item what it hangs together with others by; None = each stands alone.

    Raises:
        ValueError: no items, unequal numbers, weights without ``order``, or a rating outside it.
    """
    import numpy as np

    if not first or len(first) != len(second) or (clusters is not None and len(clusters) != len(first)):
        raise ValueError(f"{len(first)} and {len(second)} ratings")
    if weights != "none" and order is None:
        raise ValueError("weighted agreement needs the order of the ratings")
    names = {name: i for i, name in enumerate(order or dict.fromkeys((*first, *second)))}
    unknown = [rating for rating in (*first, *second) if rating not in names]
    if unknown:
        raise ValueError(f"rating {unknown[0]!r} is not in the order")
    k = len(names)
    table_IJ = np.zeros((k, k))
    for a, b in zip(first, second, strict=True):
        table_IJ[names[a], names[b]] += 1
    agree_IJ = _agreement(k, weights)

    def rates(counts_IJ: NDArray[np.float64]) -> tuple[float, float]:
        shares_IJ = counts_IJ / counts_IJ.sum()
        chance_IJ = np.outer(shares_IJ.sum(1), shares_IJ.sum(0))
        return float((agree_IJ * shares_IJ).sum()), float((agree_IJ * chance_IJ).sum())

    # Parts with equal tables are interchangeable: one is left out of each kind.
    parts = Counter(_tables(first, second, clusters))

    def without(part: Table) -> tuple[float, float]:
        fewer_IJ = table_IJ.copy()
        for (a, b), many in part:
            fewer_IJ[names[a], names[b]] -= many
        return rates(fewer_IJ)

    units = sum(parts.values())
    left = [(float(many), without(part)) for part, many in parts.items()] if units > 1 else []
    return _kappa(rates(table_IJ), len(first), units, left, level)


Table = frozenset[tuple[tuple[Hashable, Hashable], int]]
"""How often each pair of ratings occurs."""


def _tables(
    first: Sequence[Hashable], second: Sequence[Hashable], clusters: Sequence[Hashable] | None
) -> list[Table]:
    """The table of each cluster; of each item where there are none."""
    both: dict[Hashable, Counter[tuple[Hashable, Hashable]]] = {}
    for name, a, b in zip(range(len(first)) if clusters is None else clusters, first, second, strict=True):
        both.setdefault(name, Counter())[a, b] += 1
    return [frozenset(table.items()) for table in both.values()]


def _agreement(k: int, weights: Weights) -> NDArray[np.float64]:
    import numpy as np

    if weights == "none" or k < 2:
        return np.eye(k)
    distance_IJ = np.abs(np.subtract.outer(np.arange(k), np.arange(k))) / (k - 1)
    return np.asarray(1.0 - distance_IJ ** (1 if weights == "linear" else 2))


Left = tuple[float, tuple[float, float]]
"""How many items are alike, and the rates without one of them."""


def _kappa(rates: tuple[float, float], n: int, units: int, left: Sequence[Left], level: float) -> Kappa:
    """``units``: of the ``n`` items as many as stand alone."""
    from scipy.stats import t

    observed, expected = rates
    if units < 2 or 1.0 - expected < 1e-12:
        return Kappa(None, Interval(-1.0, 1.0), observed, expected, n)
    value = (observed - expected) / (1.0 - expected)
    # However alike all items are, so many of them cannot show more than this.
    most = (wilson(min(1.0, observed) * units, units, level).lo - expected) / (1.0 - expected)
    ratio = 1.0 - value
    spread = 0.0
    if ratio > 1e-12:
        logs = [(many, math.log(max(_ratio(*one), 1e-12))) for many, one in left]
        mean = math.fsum(many * log for many, log in logs) / units
        spread = math.sqrt((units - 1) / units * math.fsum(many * (log - mean) ** 2 for many, log in logs))
    grow = math.exp(float(t.ppf(0.5 + level / 2, units - 1)) * spread)
    lo, hi = 1.0 - ratio * grow, 1.0 - ratio / grow
    if ratio <= 1e-12 or not math.isfinite(lo):
        lo = most
    return Kappa(value, Interval(max(-1.0, lo), min(1.0, hi)), observed, expected, n)


def _ratio(observed: float, expected: float) -> float:
    """``1 - kappa``: disagreement as a share of chance's."""
    return (1.0 - observed) / (1.0 - expected) if expected < 1.0 else 1.0
