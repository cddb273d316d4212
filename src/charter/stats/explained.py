"""How much of one quantity others explain: rank correlation, and least squares."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from charter.stats.intervals import Interval, z_of


@dataclass(frozen=True, slots=True)
class Correlation:
    """A rank correlation.

    Attributes:
        value: Spearman's rho.
        interval: by Fisher's transformation with Bonett and Wright's error (Psychometrika 65, 2000).
        n: points.
    """

    value: float
    interval: Interval
    n: int


@dataclass(frozen=True, slots=True)
class Explained:
    """A least-squares fit.

    Attributes:
        r2: share of the variance that is explained.
        adjusted: the same, less what as many random features would explain.
        effects: change of the outcome, in its own deviations, for one deviation of each feature.
        n: points.
    """

    r2: float
    adjusted: float
    effects: dict[str, float]
    n: int


def spearman(x: Sequence[float], y: Sequence[float], level: float = 0.95) -> Correlation | None:
    """Rank correlation of two quantities; None where one does not vary or there are fewer than 4 points."""
    if len(x) < 4 or len(set(x)) < 2 or len(set(y)) < 2:
        return None
    from scipy.stats import spearmanr

    rho = float(spearmanr(x, y).statistic)
    held = min(max(rho, -1 + 1e-12), 1 - 1e-12)
    error = z_of(level) * math.sqrt((1 + rho * rho / 2) / (len(x) - 3))
    ends = (math.tanh(math.atanh(held) + sign * error) for sign in (-1, 1))
    return Correlation(rho, Interval(*ends), len(x))


def least_squares(
    features: Mapping[str, Sequence[float]], outcome: Sequence[float], *, intercept: bool = True
) -> Explained | None:
    """How far ``features`` explain ``outcome``; those that do not vary are left out.

    Args:
        features: each as long as the outcome.
        outcome: what is explained.
        intercept: off = through the origin, for differences of two alike; R2 is then of the sum of squares.

    Returns:
        None where no feature varies, the outcome does not, or points are no more than features.
    """
    import numpy as np

    y = np.asarray(outcome, dtype=float)
    columns = {name: np.asarray(values, dtype=float) for name, values in features.items()}
    if intercept:
        y = y - y.mean() if len(y) else y
        columns = {name: x - x.mean() for name, x in columns.items() if len(x)}
    kept = {name: x for name, x in columns.items() if float(np.abs(x).max(initial=0.0)) > 1e-12}
    spare = len(y) - len(kept) - intercept
    total = float(y @ y)
    if not kept or spare < 1 or total <= 1e-18 * max(len(y), 1):
        return None
    matrix = np.stack(list(kept.values()), axis=1)
    found = np.linalg.lstsq(matrix, y, rcond=None)[0]
    rest = y - matrix @ found
    r2 = 1.0 - float(rest @ rest) / total
    adjusted = 1.0 - (1.0 - r2) * (len(y) - intercept) / spare
    scale = math.sqrt(total)
    effects = {
        name: float(b) * float(np.sqrt(x @ x)) / scale
        for (name, x), b in zip(kept.items(), found, strict=True)
    }
    return Explained(r2, adjusted, effects, len(y))
