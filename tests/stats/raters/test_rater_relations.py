"""Groups, loud raters and raters who are too alike."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from charter.stats.agreement import Rating
from charter.stats.raters.collusion import too_alike
from charter.stats.raters.dawid_skene import dawid_skene
from charter.stats.raters.groups import group_gaps, group_split
from charter.stats.raters.influence import leave_one_out


def test_a_planted_gap_is_covered_and_small_groups_are_hidden() -> None:
    held = []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        rates = {f"a{i}": rng.normal(0.8, 0.05) for i in range(8)}
        rates |= {f"b{i}": rng.normal(0.7, 0.1) for i in range(10)}
        gap = group_gaps(rates, {name: name[0] for name in rates})[0]
        assert gap.interval is not None
        held.append(gap.interval.lo <= 0.1 <= gap.interval.hi)
    assert 0.9 < np.mean(held) < 0.99
    few = group_gaps({"a": 0.1, "b": 0.9, "c": 0.5}, {"a": "g", "b": "h"})
    assert [(one.group, one.value, one.difference) for one in few] == [("g", None, None), ("h", None, None)]
    assert "fewer than 5" in few[0].why


def contested(stance: float, seed: int) -> tuple[list[Rating], dict[str, str]]:
    rng = np.random.default_rng(seed)
    truth = rng.random(60) < 0.5
    rows = []
    for group in "ab":
        for r in range(6):
            for i, true in enumerate(truth):
                turned = group == "b" and i < 30 and rng.random() < stance
                rows.append(Rating(f"{group}{r}", i, float(bool(true) != turned)))
    return rows, {f"{g}{r}": g for g in "ab" for r in range(6)}


def test_group_stances_are_recovered() -> None:
    rows, groups = contested(1.0, 0)
    found = group_split(rows, groups)
    assert found.within == 1.0 and found.between == pytest.approx(0.5)
    assert found.difference.value == pytest.approx(0.5) and found.p is not None and found.p < 0.01
    ps = []
    for seed in range(20):
        rows, groups = contested(0.0, seed)
        rng = np.random.default_rng(seed)
        noisy = [Rating(r.rater, r.item, float(r.value != (rng.random() < 0.3))) for r in rows]
        ps.append(group_split(noisy, groups, permutations=200).p or 0.0)
    assert sum(p < 0.05 for p in ps) <= 3
    assert group_split(rows, {"a0": "a", "b0": "b"}).within is None


def test_the_loud_one_is_told_from_the_many() -> None:
    rng = np.random.default_rng(0)
    raters = ["loud"] * 60 + [f"r{i % 10}" for i in range(200)]
    values = np.array([1.0] * 60 + (rng.random(200) < 0.5).astype(float).tolist())

    def statistic(kept: NDArray[np.bool_]) -> dict[str, float]:
        return {"rate": float(values[kept].mean())}

    found = {one.rater: one for one in leave_one_out(raters, statistic)}
    assert found["loud"].loud == ("rate",) and found["loud"].changes["rate"] < -0.1
    assert found["loud"].share == pytest.approx(60 / 260)
    moves = {rater: abs(one.changes["rate"]) for rater, one in found.items()}
    assert moves.pop("loud") > 2 * max(moves.values())
    values[:60] = rng.random(60) < 0.5
    assert not any(one.loud for one in leave_one_out(raters, statistic))


def test_a_number_that_rests_on_one_rater_is_lost() -> None:
    def statistic(kept: NDArray[np.bool_]) -> dict[str, float]:
        return {"both": 1.0} | ({"only": 1.0} if kept[0] else {})

    found = leave_one_out(["a", "b", "c"], statistic, ranking=list)
    assert found[0].lost == ("only",) and "only" in found[0].loud and found[1].lost == ()
    assert leave_one_out([], statistic) == []


def test_copies_are_found_and_honest_raters_are_not() -> None:
    found, false = 0, 0
    for seed in range(12):
        rng = np.random.default_rng(seed)
        truth = rng.integers(0, 2, 150)
        said = {r: np.where(rng.random(150) < 0.8, truth, 1 - truth) for r in range(6)}
        said[6] = np.where(rng.random(150) < 0.8, said[0], np.where(rng.random(150) < 0.8, truth, 1 - truth))
        rows = [Rating(r, i, float(v)) for r, values in said.items() for i, v in enumerate(values)]
        alike = {(one.first, one.second) for one in too_alike(dawid_skene(rows))}
        found += (0, 6) in alike
        false += bool(alike - {(0, 6)})
    assert found >= 11 and false <= 1
