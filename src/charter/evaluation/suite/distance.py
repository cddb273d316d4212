"""How far answers are from the shares they should have."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from charter.stats import Interval

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Distance(NamedTuple):
    """Two distances between distributions over the same options, both in [0, 1].

    Attributes:
        js: Jensen-Shannon distance: the square root of the divergence in bits (Endres and Schindelin,
            IEEE Transactions on Information Theory 49, 2003).
        wasserstein: 1-Wasserstein distance with the options evenly spaced, as a share of their span;
            it means something only where the options have an order.
    """

    js: float
    wasserstein: float


class Intervals(NamedTuple):
    """Percentile bootstrap intervals; ``wasserstein`` only for ordered options."""

    js: Interval
    wasserstein: Interval | None


def between(counts: Sequence[float], target: Sequence[float]) -> Distance:
    """The distances of the shares of ``counts`` from ``target``.

    Raises:
        ValueError: no counts, or of another number of options.
    """
    import numpy as np

    _check(counts, target)
    found = np.asarray(counts, dtype=np.float64)[None] / sum(counts)
    wanted = np.asarray(target, dtype=np.float64)
    return Distance(float(_js(found, wanted)[0]), float(_wasserstein(found, wanted)[0]))


def interval_of(
    counts: Sequence[int],
    target: Sequence[float],
    *,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
    ordered: bool = False,
) -> Intervals:
    """Percentile bootstrap intervals, resampling answers.

    A distance cannot be negative, so near 0 the interval lies too high: a perfect spread shows as one
    that is a little off.
    """
    import numpy as np

    _check(counts, target)
    n = sum(counts)
    shares = np.asarray(counts, dtype=np.float64) / n
    drawn = np.random.default_rng(seed).multinomial(n, shares, size=resamples) / n
    wanted = np.asarray(target, dtype=np.float64)
    tails = ((1 - level) / 2, (1 + level) / 2)

    def ends(values: NDArray[np.float64]) -> Interval:
        lo, hi = np.quantile(values, tails)
        return Interval(float(lo), float(hi))

    return Intervals(ends(_js(drawn, wanted)), ends(_wasserstein(drawn, wanted)) if ordered else None)


def expected_by_chance(target: Sequence[float], n: int, *, resamples: int = 2000, seed: int = 0) -> float:
    """Mean Jensen-Shannon distance of ``n`` answers that are drawn from ``target`` itself."""
    return float(_by_chance(target, n, resamples, seed).mean())


def divergence_by_chance(target: Sequence[float], n: int, *, resamples: int = 2000, seed: int = 0) -> float:
    """Mean Jensen-Shannon divergence, in bits, of ``n`` answers that are drawn from ``target`` itself.

    The distance squared. What a sample adds to a divergence is about the same however far away it is seen
    from, which is not so of the distance: so it is divergences from which chance can be subtracted.
    """
    return float((_by_chance(target, n, resamples, seed) ** 2).mean())


def _by_chance(target: Sequence[float], n: int, resamples: int, seed: int) -> NDArray[np.float64]:
    """Distances of samples of ``n`` from the shares they are drawn from, ``(resamples,)``."""
    import numpy as np

    wanted = np.asarray(target, dtype=np.float64)
    wanted = wanted / wanted.sum()
    return _js(np.random.default_rng(seed).multinomial(n, wanted, size=resamples) / n, wanted)


def _js(found: NDArray[np.float64], target: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of each row of ``found`` ``(B, options)``, ``(B,)``."""
    import numpy as np

    middle = (found + target) / 2

    def part(p: NDArray[np.float64]) -> NDArray[np.float64]:
        ratio = np.where(p > 0, p, 1.0) / np.where(p > 0, middle, 1.0)
        return np.asarray((p * np.log2(ratio)).sum(axis=1))

    both = np.broadcast_to(target, found.shape)
    divergence = (part(found) + part(both)) / 2
    return np.sqrt(np.clip(divergence, 0.0, 1.0))


def _wasserstein(found: NDArray[np.float64], target: NDArray[np.float64]) -> NDArray[np.float64]:
    import numpy as np

    gaps = np.abs(np.cumsum(found - target, axis=1))[:, :-1]
    return np.asarray(gaps.sum(axis=1) / max(found.shape[1] - 1, 1))


def _check(counts: Sequence[float], target: Sequence[float]) -> None:
    if len(counts) != len(target):
        raise ValueError(f"{len(counts)} counts for {len(target)} options")
    if not math.isfinite(sum(counts)) or sum(counts) <= 0 or min(counts) < 0:
        raise ValueError("a distance needs at least one answer")
