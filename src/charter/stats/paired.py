"""Tests of change on the same items: exact McNemar and the sign-flip permutation test."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

EXACT_UP_TO = 16
"""Non-zero differences up to which every sign pattern (65,536 of them) is counted."""

_BIGINT_UP_TO = 5_000
_CHUNK_CELLS = 4_000_000


def mcnemar_exact(b: int, c: int) -> float:
    """Two-sided exact McNemar p-value of ``b`` flips one way and ``c`` the other.

    Under no change each flip is a fair coin. Items that did not flip say nothing.

    Raises:
        ValueError: a negative count.
    """
    if min(b, c) < 0:
        raise ValueError(f"negative count in {(b, c)!r}")
    n, fewer = b + c, min(b, c)
    if n > _BIGINT_UP_TO:
        from scipy.stats import binom

        return min(1.0, 2.0 * float(binom.cdf(fewer, n, 0.5)))
    tail = sum(math.comb(n, i) for i in range(fewer + 1)) if n < 64 else _tail(n, fewer)
    return min(1.0, 2 * tail / (1 << n))


def _tail(n: int, last: int) -> int:
    """Sum of the first binomial coefficients, each from the one before."""
    term = total = 1
    for i in range(last):
        term = term * (n - i) // (i + 1)
        total += term
    return total


def permutation_test(differences: Sequence[float], *, draws: int = 20_000, seed: int = 0) -> float:
    """Two-sided p-value that the mean paired difference is 0, by flipping signs.

    Exact when at most 16 differences are not 0. Otherwise ``draws`` random sign
    patterns, where the observed one is counted too, so the answer is never 0.

    Raises:
        ValueError: no differences, one that is not finite, or no draws.
    """
    import numpy as np

    values = np.asarray(differences, dtype=np.float64)
    if values.size == 0 or not np.isfinite(values).all() or draws < 1:
        raise ValueError("a permutation test needs finite differences and at least one draw")
    moving = values[values != 0.0]
    if moving.size == 0:
        return 1.0
    # Ties with the observed sum must count whatever the order of addition was.
    least = abs(float(moving.sum())) - 1e-9 * float(np.abs(moving).sum())
    if moving.size <= EXACT_UP_TO:
        sums = _all_sums(moving)
        return float((np.abs(sums) >= least).mean())
    extreme = 1
    rng = np.random.default_rng(seed)
    chunk = max(1, _CHUNK_CELLS // moving.size)
    for start in range(0, draws, chunk):
        flips = rng.integers(0, 2, size=(min(chunk, draws - start), moving.size), dtype=np.int8)
        sums = (flips * 2.0 - 1.0) @ moving
        extreme += int((np.abs(sums) >= least).sum())
    return extreme / (draws + 1)


def _all_sums(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The sum under each of the ``2**n`` sign patterns."""
    import numpy as np

    sums = np.zeros(1)
    for value in values:
        sums = np.concatenate((sums + value, sums - value))
    return sums
