from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from charter.stats import Interval, bootstrap_mean, cluster_means


@pytest.mark.parametrize("method", ["bca", "percentile"])
def test_agrees_with_scipy(method: str) -> None:
    values = np.random.default_rng(1).exponential(size=40)
    want = stats.bootstrap(
        (values,), np.mean, n_resamples=40_000, method="BCa" if method == "bca" else method, rng=7
    ).confidence_interval
    got = bootstrap_mean([[float(v)] for v in values], method=method, resamples=40_000)  # type: ignore[arg-type]
    width = want.high - want.low
    assert got.lo == pytest.approx(want.low, abs=0.03 * width)
    assert got.hi == pytest.approx(want.high, abs=0.03 * width)


def test_bca_leans_into_the_skew() -> None:
    values = [[float(v)] for v in np.random.default_rng(2).exponential(size=30)]
    assert bootstrap_mean(values).hi > bootstrap_mean(values, method="percentile").hi


def test_samples_of_one_prompt_are_not_independent() -> None:
    """Copies of an answer add no evidence: the interval stays that of one answer per prompt."""
    rng = np.random.default_rng(4)
    answers = rng.integers(0, 2, size=50).astype(float)
    once = bootstrap_mean([[a] for a in answers], seed=1)
    copied = bootstrap_mean([[a] * 8 for a in answers], seed=1)
    naive = bootstrap_mean([[a] for a in answers for _ in range(8)], seed=1)
    assert copied == once
    assert naive.hi - naive.lo < 0.5 * (once.hi - once.lo)


def test_clusters_weigh_the_same() -> None:
    assert cluster_means([[1.0], [0.0, 0.0, 0.0]]).mean() == 0.5


@settings(max_examples=25, deadline=None)
@given(st.lists(st.lists(st.sampled_from([0.0, 1.0]), min_size=1, max_size=4), min_size=1, max_size=20))
def test_stays_in_range_and_is_seeded(clusters: list[list[float]]) -> None:
    got = bootstrap_mean(clusters, resamples=500, seed=3)
    assert 0.0 <= got.lo <= got.hi <= 1.0
    assert got == bootstrap_mean(clusters, resamples=500, seed=3)


def test_covers_the_truth() -> None:
    rng = np.random.default_rng(8)
    hits = 0
    for _ in range(200):
        rates = rng.beta(2, 2, size=40)
        clusters = [list(map(float, rng.binomial(1, r, size=4))) for r in rates]
        interval = bootstrap_mean(clusters, resamples=1_000)
        hits += interval.lo <= 0.5 <= interval.hi
    assert hits >= 180


def test_no_spread_is_a_point() -> None:
    assert bootstrap_mean([[1.0], [1.0]]) == Interval(1.0, 1.0)


@pytest.mark.parametrize("bad", [[], [[]], [[float("inf")]]])
def test_refuses_nothing(bad: list[list[float]]) -> None:
    with pytest.raises(ValueError, match="bootstrap"):
        bootstrap_mean(bad)
