"""Agreement beyond chance: Cohen's kappa of two raters, Fleiss' of several, with intervals."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
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
        value: 1 = complete, 0 = what chance gives; None where all ratings are equal, or there are
            fewer than two items: chance then agrees completely too.
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
) -> Kappa:
    """Kappa of two raters of the same items (Cohen 1960; weighted: 1968).

    The interval is the jackknife's over items on the scale ``log(1 - kappa)``, with a t quantile.

    Args:
        first: one rater's ratings.
        second: the other's, in the same order.
        order: the ratings from low to high, for weights.
        weights: see :data:`Weights`.
        level: confidence level.

    Raises:
        ValueError: no items, unequal numbers, weights without ``order``, or a rating outside it.
    """
    import numpy as np

    if not first or len(first) != len(second):
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

    # Items with equal ratings are interchangeable: one is left out of each cell of the table.
    alone = len(first) < 2
    cells = [] if alone else [(table_IJ[i, j], (i, j)) for i in range(k) for j in range(k) if table_IJ[i, j]]

    def without(cell: tuple[int, int]) -> tuple[float, float]:
        fewer_IJ = table_IJ.copy()
        fewer_IJ[cell] -= 1
        return rates(fewer_IJ)

    left = [(float(many), without(cell)) for many, cell in cells]
    return _kappa(rates(table_IJ), len(first), left, level)


def fleiss_kappa(items: Sequence[Mapping[Hashable, int]], *, level: float = 0.95) -> Kappa:
    """Kappa of several raters, not always the same ones (Fleiss 1971).

    Args:
        items: of each item how many raters gave each rating; an equal number of raters of each.
        level: confidence level.

    Raises:
        ValueError: no items, fewer than two raters, or unequal numbers of them.
    """
    import numpy as np

    raters = {sum(item.values()) for item in items}
    if len(raters) != 1 or min(raters) < 2:
        raise ValueError("Fleiss' kappa needs items with an equal number of raters, at least two each")
    (m,) = raters
    names = list(dict.fromkeys(name for item in items for name in item))
    counts_NK = np.array([[item.get(name, 0) for name in names] for item in items], dtype=np.float64)
    agreed_N = (counts_NK * (counts_NK - 1)).sum(1) / (m * (m - 1))
    agreed, counts_K, n = float(agreed_N.sum()), counts_NK.sum(0), len(items)

    def rates(agreed: float, counts_K: NDArray[np.float64], n: int) -> tuple[float, float]:
        return agreed / n, float(((counts_K / (n * m)) ** 2).sum())

    left = (
        [(1.0, rates(agreed - float(agreed_N[i]), counts_K - counts_NK[i], n - 1)) for i in range(n)]
        if n > 1
        else []
    )
    return _kappa(rates(agreed, counts_K, n), n, left, level)


def _agreement(k: int, weights: Weights) -> NDArray[np.float64]:
    import numpy as np

    if weights == "none" or k < 2:
        return np.eye(k)
    distance_IJ = np.abs(np.subtract.outer(np.arange(k), np.arange(k))) / (k - 1)
    return np.asarray(1.0 - distance_IJ ** (1 if weights == "linear" else 2))


Left = tuple[float, tuple[float, float]]
"""How many items are alike, and the rates without one of them."""


def _kappa(rates: tuple[float, float], n: int, left: Sequence[Left], level: float) -> Kappa:
    from scipy.stats import t

    observed, expected = rates
    if n < 2 or 1.0 - expected < 1e-12:
        return Kappa(None, Interval(-1.0, 1.0), observed, expected, n)
    value = (observed - expected) / (1.0 - expected)
    # However alike all items are, n of them cannot show more than this.
    most = (wilson(observed * n, n, level).lo - expected) / (1.0 - expected)
    ratio = 1.0 - value
    spread = 0.0
    if ratio > 1e-12:
        logs = [(many, math.log(max(_ratio(*one), 1e-12))) for many, one in left]
        mean = math.fsum(many * log for many, log in logs) / n
        spread = math.sqrt((n - 1) / n * math.fsum(many * (log - mean) ** 2 for many, log in logs))
    grow = math.exp(float(t.ppf(0.5 + level / 2, n - 1)) * spread)
    lo, hi = 1.0 - ratio * grow, 1.0 - ratio / grow
    if ratio <= 1e-12 or not math.isfinite(lo):
        lo = most
    return Kappa(value, Interval(max(-1.0, lo), min(1.0, hi)), observed, expected, n)


def _ratio(observed: float, expected: float) -> float:
    """``1 - kappa``: disagreement as a share of chance's."""
    return (1.0 - observed) / (1.0 - expected) if expected < 1.0 else 1.0
