from __future__ import annotations

import numpy as np
import pytest

from charter.stats import wilson
from charter.stats.prediction_powered import prediction_powered_rate


def test_the_rate_by_hand() -> None:
    """10 labelled: 4 of 5 passed ones are good, 1 of 5 failed ones; 30 of 40 others pass."""
    labels = [True] * 4 + [False] + [True] + [False] * 4
    judged = [True] * 5 + [False] * 5
    found = prediction_powered_rate(labels, judged, 30, 40)
    shared = 35 / 50
    assert found.estimate == pytest.approx(shared * 0.8 + (1 - shared) * 0.2)
    assert found.labels_alone == wilson(5, 10)
    assert found.interval.lo < found.estimate < found.interval.hi


@pytest.mark.parametrize(
    ("rate", "q1", "q0"), [(0.5, 0.9, 0.8), (0.9, 0.9, 0.8), (0.95, 0.95, 0.6), (0.1, 0.7, 0.9)]
)
def test_rates_are_covered_near_the_ends_too(rate: float, q1: float, q0: float) -> None:
    rng = np.random.default_rng(3)
    held = 0
    for run in range(300):
        good = rng.random(340) < rate
        passed = rng.random(340) < np.where(good, q1, 1 - q0)
        found = prediction_powered_rate(
            good[:40].tolist(), passed[:40].tolist(), int(passed[40:].sum()), 300, draws=1000, seed=run
        )
        held += found.interval.lo <= rate <= found.interval.hi
    assert 0.91 <= held / 300 <= 0.985


def test_all_good_and_all_bad() -> None:
    good = prediction_powered_rate([True] * 20, [True] * 20, 50, 50)
    assert good.estimate == 1.0 and good.interval.hi == 1.0 and good.interval.lo < 0.97
    bad = prediction_powered_rate([False] * 20, [False] * 20, 0, 50)
    assert bad.estimate == 0.0 and bad.interval.lo == 0.0
    unseen = prediction_powered_rate([True] * 20, [True] * 20, 0, 50)
    assert unseen.interval.lo < 0.4  # nobody labelled an answer that the judge failed


def test_equal_seeds_give_equal_intervals() -> None:
    args = ([True, False] * 10, [True] * 20, 30, 40)
    assert prediction_powered_rate(*args) == prediction_powered_rate(*args)


def test_refusals() -> None:
    with pytest.raises(ValueError, match="labels"):
        prediction_powered_rate([], [], 1, 2)
    with pytest.raises(ValueError, match="passed"):
        prediction_powered_rate([True], [True], 3, 2)
