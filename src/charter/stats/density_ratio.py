"""How much more often something occurs in one set than in another, from features, by a classifier.

Balanced logistic regression of the two sets: its odds are the ratio of their densities. An item is
given the odds of a regression that was not fitted on it, and the ridge penalty is the one under
which such unseen items are likeliest. With hundreds of features and few items, a regression asked
about its own data tells any two sets apart.

Shapes: X items, d features.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

FOLDS = 5
PENALTIES = (np.inf, 1000.0, 100.0, 10.0, 1.0)
"""Ridge penalties that are compared, strongest first; under the first every ratio is 1."""


@dataclass(frozen=True, slots=True)
class DensityRatio:
    """What was found.

    Attributes:
        ratio_X: density in the first set over density in the second.
        accuracy: share of unseen items put in the right set, both sets counting alike; 0.5 is chance.
        penalty: the one chosen from :data:`PENALTIES`; infinite = the sets cannot be told apart.
    """

    ratio_X: Floats
    accuracy: float
    penalty: float


def density_ratio(features_Xd: Floats, counts_X2: Floats, *, most: int, seed: int) -> DensityRatio:
    """Estimate the ratio at every item.

    Args:
        features_Xd: one row for each distinct item.
        counts_X2: how often the item occurs in the first and in the second set.
        most: items of each set the regressions are fitted on; drawn at random from more.
        seed: of that draw and of the folds.
    """
    rng = np.random.default_rng(seed)
    drawn_X2 = _drawn(counts_X2, most, rng)
    fitted = np.flatnonzero(drawn_X2.sum(1))
    fold_X = np.full(len(counts_X2), -1)
    fold_X[fitted] = rng.permutation(len(fitted)) % FOLDS
    scaled_Xd = _standardised(features_Xd, fitted)
    best, best_penalty, best_fit = np.zeros(len(counts_X2)), np.inf, -np.inf
    for penalty in PENALTIES:
        odds_X = _unseen_log_odds(scaled_Xd, drawn_X2, fold_X, penalty)
        fit = _log_likelihood(odds_X[fitted], drawn_X2[fitted])
        if fit > best_fit:
            best, best_penalty, best_fit = odds_X, penalty, fit
    return DensityRatio(np.exp(best), _accuracy(best[fitted], drawn_X2[fitted]), float(best_penalty))


def _drawn(counts_X2: Floats, most: int, rng: np.random.Generator) -> Floats:
    """The counts of at most ``most`` items of each set; of the others 0."""
    drawn_X2 = np.zeros_like(counts_X2)
    for side in (0, 1):
        present = np.flatnonzero(counts_X2[:, side])
        chosen = rng.choice(present, min(most, len(present)), replace=False)
        drawn_X2[chosen, side] = counts_X2[chosen, side]
    return drawn_X2


def _standardised(features_Xd: Floats, fitted: Ints) -> Floats:
    mean_d, std_d = features_Xd[fitted].mean(0), features_Xd[fitted].std(0)
    # What is constant but for rounding says nothing, and dividing by its spread would make noise of it.
    useful_d = std_d > 1e-6 * np.maximum(np.abs(mean_d), 1e-12)
    scaled: Floats = (features_Xd[:, useful_d] - mean_d[useful_d]) / std_d[useful_d]
    return scaled


def _unseen_log_odds(features_Xd: Floats, counts_X2: Floats, fold_X: Ints, penalty: float) -> Floats:
    """Log-odds of each item by the regression of the other folds; of items in no fold the mean of all."""
    if np.isinf(penalty):
        return np.zeros(len(features_Xd))
    by_fold = []
    for fold in range(FOLDS):
        seen = np.flatnonzero((fold_X >= 0) & (fold_X != fold))
        weights_d, intercept = _regression(features_Xd[seen], counts_X2[seen], penalty)
        by_fold.append(features_Xd @ weights_d + intercept)
    stacked = np.stack(by_fold)
    own: Floats = stacked[np.maximum(fold_X, 0), np.arange(len(fold_X))]
    return np.where(fold_X >= 0, own, stacked.mean(0))


def _regression(features_Xd: Floats, counts_X2: Floats, penalty: float) -> tuple[Floats, float]:
    """Weights and intercept of the logistic regression in which both sets count alike."""
    size = features_Xd.shape[1]
    if not (counts_X2.sum(0) > 0).all():
        return np.zeros(size), 0.0  # one set is missing: nothing to tell apart
    share_X2 = counts_X2 / counts_X2.sum(0) * len(counts_X2) / 2
    found = minimize(
        _objective(features_Xd, share_X2, penalty), np.zeros(size + 1), jac=True, method="L-BFGS-B"
    )
    return found.x[:-1], float(found.x[-1])


def _objective(
    features_Xd: Floats, share_X2: Floats, penalty: float
) -> Callable[[Floats], tuple[float, Floats]]:
    def loss_and_gradient(theta: Floats) -> tuple[float, Floats]:
        weights_d = theta[:-1]
        odds_X = features_Xd @ weights_d + theta[-1]
        loss_X = share_X2[:, 0] * np.logaddexp(0, -odds_X) + share_X2[:, 1] * np.logaddexp(0, odds_X)
        slope_X = share_X2[:, 1] * expit(odds_X) - share_X2[:, 0] * expit(-odds_X)
        gradient = np.append(features_Xd.T @ slope_X + penalty * weights_d, slope_X.sum())
        return float(loss_X.sum() + penalty / 2 * weights_d @ weights_d), gradient

    return loss_and_gradient


def _log_likelihood(odds_X: Floats, counts_X2: Floats) -> float:
    """Mean log-probability of the right set, both sets counting alike."""
    share_X2 = counts_X2 / counts_X2.sum(0) / 2
    right_X2 = -np.stack([np.logaddexp(0, -odds_X), np.logaddexp(0, odds_X)], axis=1)
    return float((share_X2 * right_X2).sum())


def _accuracy(odds_X: Floats, counts_X2: Floats) -> float:
    share_X2 = counts_X2 / counts_X2.sum(0) / 2
    first_X = (1 + np.sign(odds_X)) / 2
    return float(share_X2[:, 0] @ first_X + share_X2[:, 1] @ (1 - first_X))
