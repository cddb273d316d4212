"""Means over pairs of which several share a prompt: their intervals, and tests against a coin.

A group G is a prompt. Labels of one prompt hang together (the best answer of eight wins seven pairs), so
what is independent are prompts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from charter.stats import Interval, mcnemar_exact, wilson
from charter.stats.intervals import z_of

Floats = NDArray[np.float64]

DRAWS = 10_000
_CHUNK_CELLS = 2_000_000


def share(hits_N: Floats, of_N: Floats, prompts_N: NDArray[np.int64], level: float = 0.95) -> Interval:
    """Wilson interval of ``sum(hits) / sum(of)`` with as many trials as the prompts are worth.

    The variance is that of the ratio over prompts, by linearisation (Cochran, Sampling Techniques, 6.3);
    trials are never more than ``sum(of)``. Nothing to count: all of [0, 1].
    """
    total = float(of_N.sum())
    if total <= 0:
        return Interval(0.0, 1.0)
    rate = min(max(float(hits_N.sum()) / total, 0.0), 1.0)
    n = effective(hits_N - rate * of_N, of_N, prompts_N, rate)
    return wilson(min(rate * n, n), n, level)


def effective(rest_N: Floats, of_N: Floats, prompts_N: NDArray[np.int64], rate: float) -> float:
    """How many independent trials a share is worth; see :func:`share`."""
    total = float(of_N.sum())
    speaking = len(np.unique(prompts_N[of_N > 0]))
    variance = float((sums(rest_N, prompts_N) ** 2).sum()) / total**2
    if speaking < 2 or variance <= 1e-15:
        return float(speaking)
    variance *= speaking / (speaking - 1)
    return min(total, max(rate * (1 - rate) / variance, 1.0))


def mean(values_N: Floats, prompts_N: NDArray[np.int64], level: float = 0.95) -> Interval:
    """Interval of a mean with errors that hang together within prompts; a point where nothing varies."""
    centre = float(values_N.mean())
    prompts = len(np.unique(prompts_N))
    if prompts < 2:
        return Interval(-math.inf, math.inf)
    from scipy.stats import t

    variance = float((sums(values_N - centre, prompts_N) ** 2).sum()) / len(values_N) ** 2
    half = float(t.ppf(0.5 + level / 2, prompts - 1)) * math.sqrt(variance * prompts / (prompts - 1))
    return Interval(centre - half, centre + half)


def sums(values_N: Floats, prompts_N: NDArray[np.int64]) -> Floats:
    """Sum over the pairs of each prompt."""
    counted = np.bincount(prompts_N, weights=values_N, minlength=int(prompts_N.max(initial=-1)) + 1)
    return counted.astype(np.float64)


def coin_tests(agree_CN: Floats, prompts_N: NDArray[np.int64], seed: int = 0) -> list[float]:
    """Two-sided p-value of each candidate under labels that are coins, tossed once a prompt.

    Where no prompt counts for more than one, the exact test of McNemar; else the labels of whole prompts
    are turned round at random, :data:`DRAWS` times, and the observed is counted too.

    Args:
        agree_CN: 1 = the vote agrees with the label, -1 = it disagrees, 0 = no vote.
        prompts_N: the prompt of each pair.
        seed: of the draws.
    """
    sums_CG = np.array([sums(row, prompts_N) for row in agree_CN]).reshape(len(agree_CN), -1)
    found = [1.0] * len(agree_CN)
    drawn: list[int] = []
    for at, row in enumerate(sums_CG):
        if np.abs(row).max(initial=0.0) <= 1.0:
            found[at] = mcnemar_exact(int((row > 0).sum()), int((row < 0).sum()))
        else:
            drawn.append(at)
    for at, p in zip(drawn, _turned(sums_CG[drawn], seed), strict=True):
        found[at] = p
    return found


def _turned(sums_CG: Floats, seed: int) -> Sequence[float]:
    if not len(sums_CG):
        return ()
    rng = np.random.default_rng(seed)
    observed_C = np.abs(sums_CG.sum(axis=1)) - 1e-6
    extreme_C = np.ones(len(sums_CG))
    prompts = sums_CG.shape[1]
    chunk = max(1, _CHUNK_CELLS // max(prompts, 1))
    weights_GC = sums_CG.T.astype(np.float32)
    for start in range(0, DRAWS, chunk):
        shape = (min(chunk, DRAWS - start), prompts)
        signs_DG = rng.integers(0, 2, size=shape, dtype=np.int8).astype(np.float32) * 2 - 1
        extreme_C += (np.abs(signs_DG @ weights_GC) >= observed_C).sum(axis=0)
    return [float(p) for p in extreme_C / (DRAWS + 1)]


def critical(level: float, prompts: int) -> float:
    """Two-sided quantile of Student's t with a degree of freedom less than there are prompts."""
    if prompts < 2:
        return math.inf
    from scipy.stats import t

    z_of(level)  # refuses a level outside (0, 1)
    return float(t.ppf(0.5 + level / 2, prompts - 1))
