"""Intervals over seeds and prompts at once: both are drawn, with replacement.

A method is run with few seeds, and each seed answers the same held-out prompts. Drawing prompts alone
would leave out what another seed would have learnt.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from study_parts import RESAMPLES

Array = NDArray[np.float64]


def interval_over(values_SP: Array) -> list[float]:
    """Mean over seeds and prompts with its 95% interval.

    Args:
        values_SP: one value for each seed and prompt; NaN = missing, left out.
    """
    return interval_of_statistic([values_SP], lambda means: means[0])


def interval_of_statistic(
    tables: Sequence[Array], statistic: Callable[[Sequence[float]], float | None]
) -> list[float]:
    """A function of the tables' means with its 95% percentile interval, the same draw for all tables.

    Args:
        tables: each ``(S, P)``, of the same seeds and prompts; NaN = missing, left out.
        statistic: of one mean for each table; None = it has none there, NaN in the result. The interval
            is of the draws in which it has one.
    """
    stacked_TSP = np.stack(tables)
    middle = statistic([float(value) for value in np.nanmean(stacked_TSP, axis=(1, 2))])
    found = [
        value
        for means_T in _means_of_draws(stacked_TSP)
        if not np.isnan(means_T).any() and (value := statistic([float(v) for v in means_T])) is not None
    ]
    if middle is None or not found:
        return [float("nan")] * 3
    low, high = np.quantile(found, [0.025, 0.975])
    return [middle, float(low), float(high)]


def _means_of_draws(stacked_TSP: Array) -> Array:
    """Means of the tables in every draw, ``(B, T)``; NaN where a draw holds no value."""
    _, seeds, prompts = stacked_TSP.shape
    rng = np.random.default_rng(0)
    often_BS = rng.multinomial(seeds, np.full(seeds, 1 / seeds), size=RESAMPLES).astype(np.float64)
    often_BP = rng.multinomial(prompts, np.full(prompts, 1 / prompts), size=RESAMPLES).astype(np.float64)
    known_TSP = ~np.isnan(stacked_TSP)
    total_BT = np.einsum("bs,bp,tsp->bt", often_BS, often_BP, np.nan_to_num(stacked_TSP), optimize=True)
    count_BT = np.einsum("bs,bp,tsp->bt", often_BS, often_BP, known_TSP.astype(np.float64), optimize=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        means_BT: Array = np.where(count_BT > 0, total_BT / count_BT, np.nan)
    return means_BT
