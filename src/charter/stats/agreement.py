"""Krippendorff's alpha: agreement of any number of raters who need not have rated every item."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from charter.stats.intervals import Interval, z_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Metric = Literal["nominal", "ordinal", "interval"]
"""How far apart two ratings are: equal or not; by rank; by the square of their difference."""

RESAMPLES = 2_000
_CHUNK_CELLS = 4_000_000


@dataclass(frozen=True, slots=True)
class Rating:
    """One rater's word on one item."""

    rater: Hashable
    item: Hashable
    value: float


@dataclass(frozen=True, slots=True)
class Agreement:
    """Krippendorff's alpha.

    Attributes:
        value: 1 = complete agreement, 0 = chance, below 0 = systematic disagreement; None where no
            item has two ratings, or all ratings are equal.
        interval: by resampling items; all of [-1, 1] where it says nothing.
        items: with at least two ratings; the others say nothing and are left out.
        left_out: items with one rating.
        raters: of the items that count.
        metric: see :data:`Metric`.
    """

    value: float | None
    interval: Interval
    items: int
    left_out: int
    raters: int
    metric: Metric


def krippendorff_alpha(
    ratings: Iterable[Rating],
    metric: Metric = "nominal",
    *,
    level: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Agreement:
    """Alpha with a percentile bootstrap interval over whole items.

    Ratings of one item hang together, so items are drawn, not pairs of ratings (the usual program draws
    pairs, which makes the interval of several raters too narrow). Source: Krippendorff, Content Analysis
    (2018), chapter 12.

    Args:
        ratings: any number for each item.
        metric: see :data:`Metric`.
        level: confidence level.
        resamples: bootstrap draws.
        seed: of the draws.

    Raises:
        ValueError: a rating that is not finite, or two by one rater of one item.
    """
    import numpy as np

    z_of(level)
    table = _table(ratings)
    kept = {item: row for item, row in table.items() if len(row) > 1}
    left_out = len(table) - len(kept)
    raters = list(dict.fromkeys(rater for row in kept.values() for rater in row))
    values = sorted({value for row in kept.values() for value in row.values()})
    if len(values) < 2:
        return Agreement(None, Interval(-1.0, 1.0), len(kept), left_out, len(raters), metric)
    counts_NV = np.zeros((len(kept), len(values)))
    place = {value: i for i, value in enumerate(values)}
    for counts_V, row in zip(counts_NV, kept.values(), strict=True):
        for value in row.values():
            counts_V[place[value]] += 1
    levels_V = np.asarray(values)
    value = _alpha(np.ones((1, len(kept))), counts_NV, levels_V, metric)[0]
    rng = np.random.default_rng(seed)
    shares_N = np.full(len(kept), 1 / len(kept))
    chunk = max(1, _CHUNK_CELLS // counts_NV.size)
    parts = [
        _alpha(
            rng.multinomial(len(kept), shares_N, min(chunk, resamples - start)), counts_NV, levels_V, metric
        )
        for start in range(0, resamples, chunk)
    ]
    drawn = np.concatenate(parts)
    drawn = drawn[np.isfinite(drawn)]  # a draw of equal ratings has no alpha
    interval = Interval(-1.0, 1.0)
    if drawn.size >= resamples / 2 and len(kept) > 1:
        lo, hi = (float(end) for end in np.quantile(drawn, ((1 - level) / 2, (1 + level) / 2)))
        interval = Interval(lo, hi)
    return Agreement(float(value), interval, len(kept), left_out, len(raters), metric)


def _table(ratings: Iterable[Rating]) -> dict[Hashable, dict[Hashable, float]]:
    table: dict[Hashable, dict[Hashable, float]] = {}
    for one in ratings:
        if not math.isfinite(one.value):
            raise ValueError(f"rating {one.value!r} of item {one.item!r}")
        row = table.setdefault(one.item, {})
        if one.rater in row:
            raise ValueError(f"rater {one.rater!r} rated item {one.item!r} twice")
        row[one.rater] = float(one.value)
    return table


def _alpha(
    weight_BN: NDArray[np.generic],
    counts_NV: NDArray[np.float64],
    levels_V: NDArray[np.float64],
    metric: Metric,
) -> NDArray[np.float64]:
    """Alpha of each draw of items, from the coincidences of ratings; nan where all ratings are equal."""
    import numpy as np

    # Pairs of ratings within an item; an item counts as many times as it has ratings.
    each_NV = counts_NV / (counts_NV.sum(1) - 1)[:, None]
    weighted_BNV = weight_BN[:, :, None] * each_NV
    together_BVV = np.matmul(weighted_BNV.transpose(0, 2, 1), counts_NV)
    diagonal = np.arange(len(levels_V))
    together_BVV[:, diagonal, diagonal] -= weighted_BNV.sum(1)  # no rating is paired with itself
    margin_BV = together_BVV.sum(2)
    total_B = margin_BV.sum(1)
    far_BVV = _distance(margin_BV, levels_V, metric)
    seen_B = (together_BVV * far_BVV).sum((1, 2))
    chance_B = (margin_BV[:, :, None] * margin_BV[:, None, :] * far_BVV).sum((1, 2)) / (total_B - 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(chance_B > 0, 1.0 - seen_B / chance_B, np.nan))


def _distance(
    margin_BV: NDArray[np.float64], levels_V: NDArray[np.float64], metric: Metric
) -> NDArray[np.float64]:
    import numpy as np

    v = len(levels_V)
    if metric == "nominal":
        return np.broadcast_to(1.0 - np.eye(v), (len(margin_BV), v, v))
    # A rating's rank is the middle of its place among all ratings of the draw.
    place_BV = levels_V[None] if metric == "interval" else np.cumsum(margin_BV, 1) - margin_BV / 2
    return np.asarray((place_BV[:, :, None] - place_BV[:, None, :]) ** 2)
