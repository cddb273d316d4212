from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import check_grad

from charter.stats.density_ratio import DensityRatio, _objective, density_ratio


def found(features: np.ndarray, counts: np.ndarray, most: int = 10_000, seed: int = 0) -> DensityRatio:
    return density_ratio(features, counts.astype(float), most=most, seed=seed)


def two_normals(size: int, distance: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Half of the items from each of two normal distributions, ``distance`` apart in the first feature."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(size, 3))
    first = np.arange(size) % 2 == 0
    features[:, 0] += np.where(first, distance / 2, -distance / 2)
    return features, np.stack([first, ~first], axis=1)


def test_gradient_of_the_regression() -> None:
    features, counts = two_normals(20, 1.0)
    loss = _objective(features, counts.astype(float), 3.0)
    theta = np.random.default_rng(1).normal(size=4)
    assert check_grad(lambda x: loss(x)[0], lambda x: loss(x)[1], theta) < 1e-5


def test_the_ratio_of_two_normals_is_known() -> None:
    """Log of N(x; d/2) / N(x; -d/2) is d * x."""
    features, counts = two_normals(4000, 1.5)
    ratio = found(features, counts)
    log_ratio, exact = np.log(ratio.ratio_X), 1.5 * features[:, 0]
    assert np.abs(log_ratio - exact).mean() < 0.15
    assert ratio.accuracy == pytest.approx(0.773, abs=0.02)  # Phi(0.75)


def test_the_ratio_corrects_what_it_is_for() -> None:
    """Weighted by it, the second set has the mean of the first."""
    features, counts = two_normals(4000, 1.0)
    ratio = found(features, counts).ratio_X
    second = counts[:, 1]
    weighted = np.average(features[second, 0], weights=ratio[second])
    assert weighted == pytest.approx(features[counts[:, 0], 0].mean(), abs=0.1)
    assert features[second, 0].mean() < -0.4


def test_more_of_one_set_is_not_a_difference() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(900, 3))
    first = np.arange(900) < 100
    ratio = found(features, np.stack([first, ~first], axis=1))
    assert np.exp(np.abs(np.log(ratio.ratio_X))).mean() < 1.2


@pytest.mark.parametrize("features", [200, 20])
def test_equal_sets_with_more_features_than_items_give_weights_near_1(features: int) -> None:
    """A regression asked about its own data would tell them apart perfectly."""
    rng = np.random.default_rng(3)
    first = np.arange(60) % 2 == 0
    ratio = found(rng.normal(size=(60, features)), np.stack([first, ~first], axis=1))
    assert np.abs(np.log(ratio.ratio_X)).mean() < 0.4
    assert 0.3 < ratio.accuracy < 0.7


def test_the_same_items_in_both_sets_give_weights_of_1() -> None:
    features = np.random.default_rng(0).normal(size=(40, 6))
    ratio = found(features, np.ones((40, 2)))
    assert ratio.ratio_X == pytest.approx(np.ones(40), abs=1e-6)
    assert ratio.accuracy == pytest.approx(0.5)
    assert ratio.penalty == np.inf


def test_counts_are_occurrences() -> None:
    """An item that occurs three times is three items."""
    features, counts = two_normals(600, 1.0)
    counts = counts.astype(float)
    thrice = counts.copy()
    thrice[:, 1] *= 3
    assert found(features, thrice).ratio_X == pytest.approx(found(features, counts).ratio_X, rel=1e-6)


def test_items_not_drawn_are_estimated_too() -> None:
    features, counts = two_normals(2000, 1.5)
    ratio = found(features, counts, most=200)
    assert np.corrcoef(np.log(ratio.ratio_X), features[:, 0])[0, 1] > 0.95


def test_the_seed_decides() -> None:
    features, counts = two_normals(300, 1.0)
    one, same, other = (found(features, counts, most=50, seed=seed).ratio_X for seed in (1, 1, 2))
    assert (one == same).all() and (one != other).any()


@pytest.mark.parametrize("size", [1, 2, 3, 6])
def test_few_items_are_no_error(size: int) -> None:
    features, counts = two_normals(size, 1.0)
    ratio = found(features, np.maximum(counts, np.arange(size)[:, None] == 0))
    assert np.isfinite(ratio.ratio_X).all() and (ratio.ratio_X > 0).all()


def test_features_that_say_nothing_are_no_error() -> None:
    counts = np.stack([np.arange(10) % 2, np.arange(10) % 2 == 0], axis=1)
    assert found(np.full((10, 4), 0.1), counts).ratio_X == pytest.approx(np.ones(10))
