from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from charter.stats import mcnemar_exact, permutation_test


@given(b=st.integers(0, 300), c=st.integers(0, 300))
def test_mcnemar_is_the_sign_test(b: int, c: int) -> None:
    want = stats.binomtest(b, b + c).pvalue if b + c else 1.0
    assert mcnemar_exact(b, c) == pytest.approx(want, rel=1e-9)
    assert mcnemar_exact(b, c) == mcnemar_exact(c, b)


def test_mcnemar_known_and_large() -> None:
    assert mcnemar_exact(0, 0) == 1.0
    assert mcnemar_exact(5, 0) == 0.0625
    assert mcnemar_exact(6, 0) == 0.03125
    assert mcnemar_exact(2_600, 2_400) == pytest.approx(
        mcnemar_exact(2_601, 2_401), rel=0.01
    )  # both code paths
    assert mcnemar_exact(3_000, 1_000) == pytest.approx(stats.binomtest(1_000, 4_000).pvalue, rel=1e-6)
    with pytest.raises(ValueError, match="negative"):
        mcnemar_exact(-1, 2)


@settings(max_examples=40)
@given(st.lists(st.sampled_from([-1.0, -0.5, -0.25, 0.0, 0.25, 0.5, 1.0]), min_size=1, max_size=8))
def test_exact_permutation_counts_every_pattern(values: list[float]) -> None:
    observed = abs(sum(values))
    sums = [
        abs(sum(s * v for s, v in zip(signs, values, strict=True)))
        for signs in itertools.product((-1, 1), repeat=len(values))
    ]
    assert permutation_test(values) == pytest.approx(np.mean([s >= observed - 1e-9 for s in sums]))


def test_exact_permutation_agrees_with_scipy() -> None:
    values = np.random.default_rng(3).normal(0.4, 1.0, size=11)
    want = stats.permutation_test(
        (values,), lambda x, axis: x.mean(axis=axis), permutation_type="samples", n_resamples=np.inf
    ).pvalue
    assert permutation_test(list(values)) == pytest.approx(want)


def test_pass_fail_differences_give_mcnemar() -> None:
    """On differences of -1, 0 and 1 both tests are the same exact sign test."""
    for b, c in [(2, 9), (0, 6), (5, 5), (1, 13)]:
        differences = [1.0] * c + [-1.0] * b + [0.0] * 30
        assert permutation_test(differences) == pytest.approx(mcnemar_exact(b, c))


def test_monte_carlo_is_seeded_near_exact_and_never_zero() -> None:
    differences = [1.0] * 30 + [-1.0] * 12
    first = permutation_test(differences, seed=1)
    assert first == permutation_test(differences, seed=1)
    assert first != permutation_test(differences, seed=2)
    assert first == pytest.approx(mcnemar_exact(12, 30), abs=0.003)
    assert permutation_test([1.0] * 40, draws=999) == pytest.approx(1 / 1000)


def test_permutation_holds_its_level() -> None:
    rng = np.random.default_rng(5)
    rejected = sum(permutation_test(list(rng.normal(size=12))) < 0.05 for _ in range(300))
    assert rejected <= 26  # 300 x 0.05 = 15, plus three standard deviations


def test_permutation_edges() -> None:
    assert permutation_test([0.0, 0.0]) == 1.0
    for bad in ([], [float("nan")]):
        with pytest.raises(ValueError, match="finite"):
            permutation_test(bad)
