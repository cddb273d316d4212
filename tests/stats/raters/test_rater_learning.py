from __future__ import annotations

import math

import numpy as np
import pytest

from charter.stats.raters.learning_curve import Point, extrapolate, majority_curve
from charter.stats.raters.measure import Measure, mean_of, rate_of
from charter.stats.raters.reward_curve import compare, reward_curve, ridge_logistic


def condorcet(p: float, k: int) -> float:
    ways = ((math.comb(k, h) * p**h * (1 - p) ** (k - h), h) for h in range(k + 1))
    return sum(way * (1.0 if 2 * h > k else 0.5 if 2 * h == k else 0.0) for way, h in ways)


def test_the_majority_is_as_good_as_theory_says() -> None:
    rng = np.random.default_rng(0)
    items = [(int(hits), 9) for hits in rng.binomial(9, 0.7, 3000)]
    points = majority_curve(items)
    assert [point.labels for point in points] == list(range(1, 10))
    for point in points:
        assert point.accuracy.value == pytest.approx(condorcet(0.7, point.labels), abs=0.02)
    assert points[1].accuracy.value == pytest.approx(points[0].accuracy.value)  # two labels: a tie is a half


def test_points_are_of_the_same_items() -> None:
    points = majority_curve([(1, 1)] * 10 + [(2, 3)] * 30)
    assert {point.accuracy.n for point in points} == {30} and len(points) == 3
    assert points[0].accuracy.value == pytest.approx(2 / 3) and points[2].accuracy.value == 1.0
    assert majority_curve([]) == []
    with pytest.raises(ValueError, match="right of"):
        majority_curve([(2, 1)])


def law(sizes: list[int], n: int = 4000) -> list[Point]:
    rates = [0.95 - 0.5 * size**-0.6 for size in sizes]
    return [
        Point(s, rate_of([True] * round(r * n) + [False] * (n - round(r * n))))
        for s, r in zip(sizes, rates, strict=True)
    ]


def test_a_law_is_carried_on() -> None:
    found = extrapolate(law([4, 8, 16, 32, 64, 128]), 256)
    assert found.value == pytest.approx(0.95 - 0.5 * 256**-0.6, abs=0.005)
    assert found.interval is not None and found.interval.lo <= found.value <= found.interval.hi


def test_what_cannot_be_said_is_not_said() -> None:
    assert "points" in extrapolate(law([1, 2, 3]), 6).why
    assert "more than 2 times" in extrapolate(law([4, 8, 16, 32]), 65).why
    flat = [Point(k, rate_of([True, True, False] * 40)) for k in (1, 2, 3, 4, 5)]
    assert "clearly grow" in extrapolate(flat, 8).why
    jump = [*law([4, 8, 16, 32])[:3], Point(32, rate_of([True] * 4000))]
    refused = extrapolate(jump, 64)
    assert "foretell" in refused.why and refused.value is None
    assert extrapolate([Point(1, Measure(None, None, 0))] * 5, 2).value is None


def pairs(
    n: int = 900, d: int = 12, seed: int = 0, noise: float = 0.15
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, d))
    truth = (x @ rng.standard_normal(d) > 0).astype(float)
    labels = np.where(rng.random(n) < noise, 1 - truth, truth)
    return x, labels, truth


def test_a_reward_head_learns_from_more_labels() -> None:
    x, labels, truth = pairs()
    random = reward_curve(x, labels, truth, [10, 40, 160, 600], repeats=8)
    rates = [point.accuracy.value for point in random.points]
    assert all(value is not None for value in rates) and rates == sorted(rates)  # type: ignore[type-var]
    assert rates[0] < 0.8 < 0.9 < rates[-1]  # type: ignore[operator]
    assert {point.accuracy.n for point in random.points} == {270}


def test_active_choice_is_compared_on_the_same_pairs() -> None:
    x, labels, truth = pairs(noise=0.0, d=20)
    sizes = [10, 30, 60, 120]
    random = reward_curve(x, labels, truth, sizes, repeats=8)
    active = reward_curve(x, labels, truth, sizes, order="active", repeats=8)
    found = dict(compare(active, random))
    assert found[10].value == pytest.approx(0.0, abs=0.05)  # nothing to choose by yet
    assert found[120].interval is not None and found[120].interval.lo > 0
    with pytest.raises(ValueError, match="compared"):
        compare(active, reward_curve(x, labels, truth, [5], repeats=1))
    with pytest.raises(ValueError, match="rise"):
        reward_curve(x, labels, truth, [10, 5])
    with pytest.raises(ValueError, match="leave"):
        reward_curve(x, labels, truth, [800])


def test_the_head_finds_the_planted_direction() -> None:
    rng = np.random.default_rng(2)
    x, w = rng.standard_normal((4000, 3)), np.array([1.0, -2.0, 0.5])
    labels = (rng.random(4000) < 1 / (1 + np.exp(-x @ w))).astype(float)
    np.testing.assert_allclose(ridge_logistic(x, labels)(np.eye(3)), w, atol=0.15)


def test_means_of_equal_values_are_no_points() -> None:
    found = mean_of([1.0] * 20)
    assert found.interval is not None and found.interval.lo < 0.9 and found.interval.hi == 1.0
    assert not mean_of([1.0] * 5).enough and mean_of([]).value is None
    with pytest.raises(ValueError, match="in \\[0, 1\\]"):
        mean_of([1.2])
