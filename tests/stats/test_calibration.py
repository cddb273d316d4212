from __future__ import annotations

import math
import random

import pytest

from charter.stats.calibration import calibration
from charter.stats.explained import least_squares, spearman


def test_statements_that_come_true_as_often_as_they_say() -> None:
    rng = random.Random(0)
    stated = [rng.uniform(0.5, 1.0) for _ in range(20_000)]
    found = calibration(stated, [rng.random() < p for p in stated], lo=0.5)
    assert found.ece < 0.02
    assert all(bin.interval.lo - 0.02 < bin.stated < bin.interval.hi + 0.02 for bin in found.bins)


def test_the_error_of_a_model_that_is_always_sure() -> None:
    found = calibration([1.0] * 10, [True] * 7 + [False] * 3, bins=5)
    assert found.ece == pytest.approx(0.3)
    assert found.brier == pytest.approx(0.3)
    assert [bin.n for bin in found.bins] == [0, 0, 0, 0, 10]
    assert found.bins[0].stated == pytest.approx(0.1) and found.bins[0].interval == (0.0, 1.0)


def test_by_hand() -> None:
    found = calibration([0.6, 0.8, 0.9], [True, False, True], bins=2, lo=0.5)
    assert [(bin.n, bin.k) for bin in found.bins] == [(1, 1), (2, 1)]
    assert found.ece == pytest.approx((abs(1 - 0.6) + abs(1 - 1.7)) / 3)
    assert found.log_loss == pytest.approx(-(math.log(0.6) + math.log(0.2) + math.log(0.9)) / 3)


def test_what_cannot_be_measured() -> None:
    with pytest.raises(ValueError, match="0 statements"):
        calibration([], [])
    with pytest.raises(ValueError, match=r"in \[0\.5, 1\]"):
        calibration([0.4], [True], lo=0.5)


def test_rank_correlation_does_not_see_a_monotone_change() -> None:
    rng = random.Random(1)
    x = [rng.gauss(0, 1) for _ in range(200)]
    y = [value + rng.gauss(0, 1) for value in x]
    found, warped = spearman(x, y), spearman([math.exp(value) for value in x], y)
    assert found is not None and warped is not None
    assert found.value == pytest.approx(warped.value)
    assert found.interval.lo < found.value < found.interval.hi < 1
    perfect = spearman(x, x)
    assert perfect is not None and perfect.value == pytest.approx(1.0)
    assert spearman([1.0] * 9, x[:9]) is None and spearman(x[:3], y[:3]) is None


def test_least_squares_finds_what_made_the_outcome() -> None:
    rng = random.Random(2)
    a, b, idle = ([rng.gauss(0, 1) for _ in range(500)] for _ in range(3))
    outcome = [5 + 2 * x - y + rng.gauss(0, 1) for x, y in zip(a, b, strict=True)]
    found = least_squares({"a": a, "b": b, "idle": idle, "flat": [3.0] * 500}, outcome)
    assert found is not None
    assert found.r2 == pytest.approx(5 / 6, abs=0.05)
    assert found.adjusted < found.r2
    assert set(found.effects) == {"a", "b", "idle"}
    assert found.effects["a"] == pytest.approx(2 / math.sqrt(6), abs=0.05)
    assert found.effects["b"] < 0 and abs(found.effects["idle"]) < 0.05


def test_least_squares_without_anything_to_explain() -> None:
    assert least_squares({"a": [1.0, 2.0, 3.0]}, [2.0, 2.0, 2.0]) is None
    assert least_squares({"a": [1.0, 1.0, 1.0]}, [1.0, 2.0, 3.0]) is None
    assert least_squares({"a": [1.0, 2.0]}, [1.0, 2.0]) is None
    exact = least_squares({"a": [1.0, -2.0, 3.0]}, [2.0, -4.0, 6.0], intercept=False)
    assert exact is not None and exact.r2 == pytest.approx(1.0)
