"""Bootstrap interval of a mean when several samples share a prompt."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist
from typing import TYPE_CHECKING, Literal

from charter.stats.intervals import Interval, z_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Method = Literal["bca", "percentile"]

_CHUNK_CELLS = 4_000_000


def cluster_means(clusters: Sequence[Sequence[float]]) -> NDArray[np.float64]:
    """The mean of each cluster (prompt), shape ``[clusters]``.

    Raises:
        ValueError: no clusters, an empty one, or a value that is not finite.
    """
    import numpy as np

    if not clusters or any(len(cluster) == 0 for cluster in clusters):
        raise ValueError("a bootstrap needs at least one cluster, and a value in each")
    means = np.asarray([float(np.mean(cluster)) for cluster in clusters])
    if not np.isfinite(means).all():
        raise ValueError("a bootstrap needs finite values")
    return means


def bootstrap_mean(
    clusters: Sequence[Sequence[float]],
    *,
    level: float = 0.95,
    method: Method = "bca",
    resamples: int = 10_000,
    seed: int = 0,
) -> Interval:
    """Interval of the mean over clusters of the cluster mean, resampling whole clusters.

    Samples of one prompt are alike, so prompts are drawn, not samples. A single
    cluster, or clusters that are all equal, carry no spread to resample: the
    interval is a point, and the caller must know a better one (:func:`wilson`).

    Args:
        clusters: the values of each cluster (prompt).
        level: confidence level.
        method: ``bca`` corrects bias and skew (Efron 1987); ``percentile`` does not.
        resamples: bootstrap draws.
        seed: of the draws; equal seeds give equal intervals.
    """
    import numpy as np

    means = cluster_means(clusters)
    if resamples < 1:
        raise ValueError("a bootstrap needs at least one resample")
    z_of(level)  # refuses a level outside (0, 1)
    draws = _draw_means(means, resamples, seed)
    tails = ((1 - level) / 2, (1 + level) / 2)
    if method == "bca" and float(np.ptp(means)) > 0.0:
        tails = _bca_tails(means, draws, level)
    lo, hi = np.quantile(draws, tails)
    return Interval(float(lo), float(hi))


def _draw_means(means: NDArray[np.float64], resamples: int, seed: int) -> NDArray[np.float64]:
    import numpy as np

    rng = np.random.default_rng(seed)
    n = means.size
    chunk = max(1, _CHUNK_CELLS // n)
    parts = [
        means[rng.integers(0, n, size=(min(chunk, resamples - start), n))].mean(axis=1)
        for start in range(0, resamples, chunk)
    ]
    return np.sort(np.concatenate(parts))


def _bca_tails(means: NDArray[np.float64], draws: NDArray[np.float64], level: float) -> tuple[float, float]:
    """Quantiles to read from the draws, moved for bias and acceleration."""
    import numpy as np

    normal = NormalDist()
    centre = float(means.mean())
    # Means of few distinct values tie often: a draw equal to the centre is half below it.
    tolerance = 1e-12 * max(1.0, abs(centre))
    below = float((draws < centre - tolerance).mean())
    tied = float((np.abs(draws - centre) <= tolerance).mean())
    share = min(max(below + tied / 2, 0.5 / draws.size), 1 - 0.5 / draws.size)
    bias = normal.inv_cdf(share)
    centred = means - centre
    spread = float((centred**2).sum())
    # Jackknife acceleration of a mean, in closed form.
    acceleration = float((centred**3).sum()) / (6.0 * spread**1.5)

    def tail(z: float) -> float:
        shifted = bias + z
        return normal.cdf(bias + shifted / (1 - acceleration * shifted))

    z = z_of(level)
    return tail(-z), tail(z)
