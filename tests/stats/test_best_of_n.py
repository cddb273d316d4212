from __future__ import annotations

import math
from itertools import combinations
from statistics import fmean

import pytest

from charter.stats.best_of_n import (
    best_of_n,
    best_of_n_weights,
    fit_gold,
    gold_after_best_of_n,
    gold_after_training,
    kl_bound,
)

PROXY, GOLD = [0.1, 0.9, 0.4, 0.3, 0.6], [1.0, 0.0, 3.0, 2.0, 5.0]


@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_the_estimate_is_the_mean_over_all_subsets(n: int) -> None:
    everyone = combinations(range(5), n)
    expected = fmean(GOLD[max(chosen, key=lambda i: PROXY[i])] for chosen in everyone)
    assert best_of_n(PROXY, n, GOLD) == pytest.approx(expected)


def test_limits() -> None:
    assert best_of_n(PROXY, 1) == pytest.approx(fmean(PROXY))
    assert best_of_n(PROXY, 5) == pytest.approx(max(PROXY))
    assert sum(best_of_n_weights(9, 4)) == pytest.approx(1.0)
    assert kl_bound(1) == 0.0


def test_the_kl_bound_is_exact_without_ties() -> None:
    """Best of n of a uniform draw has density n x^(n-1); its KL from uniform is the bound."""
    n, steps = 4, 200_000
    grid = [(i + 0.5) / steps for i in range(steps)]
    density = [n * x ** (n - 1) for x in grid]
    assert fmean(q * math.log(q) for q in density) == pytest.approx(kl_bound(n), abs=1e-4)


@pytest.mark.parametrize("trained", [False, True])
def test_a_law_is_found_again(trained: bool) -> None:
    law = gold_after_training if trained else gold_after_best_of_n
    d = [0.0, 0.5, 1.0, 2.0, 3.0]
    assert fit_gold(d, [law(x, 1.3, 0.2) for x in d], trained=trained) == pytest.approx((1.3, 0.2))
    with pytest.raises(ValueError, match="two points"):
        fit_gold([1.0, 1.0], [0.5, 0.5], trained=False)


def test_too_few_samples() -> None:
    with pytest.raises(ValueError, match="best of 6"):
        best_of_n(PROXY, 6)
    with pytest.raises(ValueError, match="at least 1"):
        kl_bound(0)
