from __future__ import annotations

import numpy as np
import pytest

from charter.stats.agreement import Rating
from charter.stats.raters.exercise import exercise
from charter.stats.raters.plan import Spread, plan, spread_of
from charter.stats.raters.selection import select


def crossed(
    items: int, raters: int, parts: tuple[float, float, float], seed: int, seen: float = 1.0
) -> list[Rating]:
    rng = np.random.default_rng(seed)
    a, b = rng.normal(0, parts[0] ** 0.5, items), rng.normal(0, parts[1] ** 0.5, raters)
    return [
        Rating(r, i, float(a[i] + b[r] + rng.normal(0, parts[2] ** 0.5)))
        for i in range(items)
        for r in range(raters)
        if rng.random() < seen
    ]


@pytest.mark.parametrize("seen", [1.0, 0.4])
def test_the_parts_of_the_variance_are_recovered(seen: float) -> None:
    parts = (0.5, 0.3, 1.0)
    found = [spread_of(crossed(60, 12, parts, seed, seen)) for seed in range(25)]
    for name, truth in zip(("item", "rater", "rest"), parts, strict=True):
        assert np.mean([getattr(one, name) for one in found]) == pytest.approx(truth, rel=0.15)


def test_a_plan_keeps_its_word() -> None:
    """Simulated rates of the planned size spread as the plan says."""
    spread = Spread(0.05, 0.004, 0.15)
    chosen = next(one for one in plan(0.08, spread) if one.per_item == one.raters)
    assert chosen.half_width <= 0.08
    means = []
    for seed in range(300):
        rows = crossed(chosen.items, chosen.raters, (0.05, 0.004, 0.15), seed)
        means.append(np.mean([row.value for row in rows]))
    assert 1.96 * np.std(means) == pytest.approx(chosen.half_width, rel=0.12)


def test_items_do_not_make_up_for_raters() -> None:
    found = plan(0.05, Spread(0.05, 0.01, 0.1))
    assert found and min(one.raters for one in found) == 20
    assert [one.labels for one in found] == sorted(one.labels for one in found)
    fewer = found[0]
    assert fewer.labels == fewer.items * fewer.per_item
    with pytest.raises(ValueError, match="half-width"):
        plan(0.0, Spread(1, 1, 1))
    with pytest.raises(ValueError, match="two raters"):
        spread_of([Rating("a", 1, 0.0), Rating("a", 2, 1.0)])


def clusters(seed: int = 0) -> tuple[np.ndarray, list[int]]:
    """A large cluster and three small ones."""
    rng = np.random.default_rng(seed)
    sizes = [60, 6, 5, 4]
    rows = [np.eye(4)[c] + 0.05 * rng.standard_normal(4) for c, size in enumerate(sizes) for _ in range(size)]
    return np.array(rows), [c for c, size in enumerate(sizes) for _ in range(size)]


@pytest.mark.parametrize("method", ["facility_location", "k_center"])
def test_every_cluster_is_chosen_from(method: str) -> None:
    x, of = clusters()
    found = select(x, 4, method=method)  # type: ignore[arg-type]
    assert sorted(of[i] for i in found.chosen) == [0, 1, 2, 3]
    assert found.coverage[-1] > found.at_random and found.farthest < 0.1
    assert list(found.coverage) == sorted(found.coverage)


def test_what_is_labelled_needs_no_label() -> None:
    x, of = clusters()
    found = select(x, 3, labelled=[0, 1])
    assert sorted(of[i] for i in found.chosen) == [1, 2, 3]
    assert found.before is not None and found.before < found.coverage[0]


def test_no_stratum_is_forgotten() -> None:
    x, _ = clusters()
    strata = ["rare" if i == 7 else "common" for i in range(len(x))]
    assert 7 in select(x, 2, strata=strata).chosen and 7 not in select(x, 2).chosen
    everything = select(x, 1000)
    assert len(everything.chosen) == len(x) and everything.coverage[-1] == pytest.approx(1.0)
    with pytest.raises(ValueError, match="strata"):
        select(x, 1, strata=["a"])


def test_an_exercise_that_helps_and_one_that_does_not() -> None:
    def rounds(right: float, seed: int) -> list[Rating]:
        rng = np.random.default_rng(seed)
        truth = rng.integers(0, 2, 120)
        return [
            Rating(r, i, float(truth[i] if rng.random() < right else 1 - truth[i]))
            for i in range(120)
            for r in range(4)
        ]

    helped = exercise(rounds(0.7, 0), rounds(0.92, 1))
    assert helped.helped is True and helped.change is not None and helped.change > 0.3
    assert exercise(rounds(0.92, 1), rounds(0.7, 0)).helped is False
    assert [exercise(rounds(0.8, s), rounds(0.8, s + 50)).helped for s in range(6)].count(None) >= 5
    assert exercise([Rating("a", 1, 1.0)], rounds(0.8, 0)).change is None
