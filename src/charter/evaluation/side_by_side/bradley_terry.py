"""Bradley-Terry strengths from a table of wins, for one table or a thousand resampled ones at a time.

Written here and not taken from a package because resampling is over prompts, not over comparisons (one
prompt decides several comparisons at a time), and because a checkpoint that wins everything must still
get a finite strength: every two checkpoints start with one tie in common.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PRIOR = 0.5
"""Wins that each of two checkpoints is given over the other before any prompt is counted."""

_STEPS = 200
_CLOSE = 1e-10


def strengths(wins_BKK: NDArray[np.float64], prior: float = PRIOR) -> NDArray[np.float64]:
    """Log strengths, centred: ``P(i beats j) = sigmoid(s_i - s_j)``, shape ``[B, K]``.

    Newton's method on the log-likelihood, all tables together. Sources: Bradley and Terry, Biometrika 39
    (1952); for its being concave and the fit unique once all are connected, Hunter, Annals of Statistics 32
    (2004).

    Args:
        wins_BKK: ``[b, i, j]`` how often i beat j, a tie half to each; the diagonal is not read.
        prior: see :data:`PRIOR`; 0 = the maximum-likelihood fit, where it exists.
    """
    import numpy as np

    _, k = wins_BKK.shape[:2]
    off_KK = 1.0 - np.eye(k)
    wins_BKK = (wins_BKK + prior) * off_KK
    games_BKK = wins_BKK + wins_BKK.transpose(0, 2, 1)
    found_BK = np.zeros(wins_BKK.shape[:2])
    for _ in range(_STEPS):
        chance_BKK = 1.0 / (1.0 + np.exp(found_BK[:, None, :] - found_BK[:, :, None]))
        slope_BK = (wins_BKK - games_BKK * chance_BKK).sum(2)
        weight_BKK = games_BKK * chance_BKK * (1.0 - chance_BKK)
        curve_BKK = -weight_BKK + 0.0
        diagonal = np.arange(k)
        curve_BKK[:, diagonal, diagonal] = weight_BKK.sum(2)
        # Strengths have no zero of their own: the matrix of ones holds their sum at 0.
        step_BK = np.linalg.solve(curve_BKK + 1.0 / k, slope_BK[:, :, None])[:, :, 0]
        far = np.abs(step_BK).max(1, keepdims=True)
        found_BK = found_BK + step_BK / np.maximum(far, 1.0)  # no step longer than one
        if float(far.max()) < _CLOSE:
            break
    return np.asarray(found_BK - found_BK.mean(1, keepdims=True))
