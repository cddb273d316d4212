"""What the simulator plants is in its labels, and the measures find it."""

from __future__ import annotations

from statistics import fmean

import numpy as np
import pytest

from charter.feedback.people.heard import hear
from charter.feedback.people.people import PeopleOptions, people
from charter.feedback.people.rater_row import RaterRow
from charter.label import is_right
from charter.testing.raters import RaterStudy, SimulatedRater, simulated_items


def row(rater: SimulatedRater, n: int = 1500, seed: int = 0, **items: float) -> RaterRow:
    others = [SimulatedRater(f"o{i}", 0.9) for i in range(2)]
    made = simulated_items(n, seed=seed, **items)  # type: ignore[arg-type]
    study = RaterStudy([rater, *others], made, repeats=0.3, seed=seed + 1)
    found = people(study.labels(), options=PeopleOptions(draws=20))
    return next(one for one in found.rows if one.rater == rater.name)


def test_accuracy_repeats_and_errors() -> None:
    found = row(SimulatedRater("x", 0.8), gold=0.5)
    assert found.gold.value == pytest.approx(0.8, abs=0.04)
    assert found.repeats.value == pytest.approx(0.8**2 + 0.2**2, abs=0.06)
    assert found.errors["pair"].accuracy.value == pytest.approx(0.8, abs=0.04)
    assert found.agreement.value == pytest.approx(0.8 * 0.9 + 0.2 * 0.1, abs=0.04)
    assert found.late.value == pytest.approx(0.0, abs=0.08)
    assert found.seconds.median == pytest.approx(20, rel=0.1)


def test_sides_and_lengths() -> None:
    assert row(SimulatedRater("x", position=0.4)).first.value == pytest.approx(0.4 + 0.6 / 2, abs=0.04)
    assert row(SimulatedRater("x", position=-0.4)).first.value == pytest.approx(0.6 / 2, abs=0.04)
    found = row(SimulatedRater("x", length=0.4))
    assert found.longer.value == pytest.approx(0.7, abs=0.04)
    assert found.longer_than_others.value == pytest.approx(0.2, abs=0.05)


def test_suggestions() -> None:
    """It copies half of them; what it thinks itself agrees with half."""
    found = row(SimulatedRater("x", 0.9, suggestion=0.5), suggested=1.0)
    assert found.followed.value == pytest.approx(0.75, abs=0.04)
    assert found.pull.value == pytest.approx(0.25, abs=0.06)
    assert row(SimulatedRater("x", 0.9), suggested=1.0).pull.value == pytest.approx(0.0, abs=0.06)


def test_fatigue_and_spam() -> None:
    tired = row(SimulatedRater("x", 0.95, fatigue=0.5), gold=0.5)
    assert tired.gold.value == pytest.approx(0.7, abs=0.05)
    # Halves are 0.825 and 0.575 right; a majority of two who agree is right in 0.81 of 0.82.
    assert tired.late.value == pytest.approx(-0.25 * 0.8, abs=0.07)
    spam = row(SimulatedRater("x", spam=1.0), gold=0.5)
    assert spam.gold.value == pytest.approx(0.5, abs=0.05)
    assert spam.errors["pair"].reliability < 0.15 and spam.qualified == "fail"


def test_ratings_and_ties() -> None:
    items = simulated_items(800, kind="rating", gold=1.0)
    labels = RaterStudy([SimulatedRater("x", 0.8)], items).labels()
    assert {label.value for label in labels} == {0, 1} and {label.scale for label in labels} == {(0, 1)}
    assert np.mean([label.value == label.gold for label in labels]) == pytest.approx(0.8, abs=0.05)
    tied = RaterStudy([SimulatedRater("x", tie=0.3)], simulated_items(800)).labels()
    assert np.mean([label.outcome == "tie" for label in tied]) == pytest.approx(0.3, abs=0.05)


@pytest.mark.parametrize("timid", [0.0, 0.7])
def test_five_point_raters_are_right_by_the_half_of_the_scale(timid: float) -> None:
    """How far into the half a rating goes is a habit, and no error: tests, errors and reliability agree."""
    raters = [SimulatedRater("x", 0.85, timid=timid), *(SimulatedRater(f"o{i}", 0.9) for i in range(3))]
    items = simulated_items(900, kind="rating", scale=(1, 5), gold=0.4, seed=3)
    labels = RaterStudy(raters, items, seed=4).labels()
    assert {label.value for label in labels} == {1, 2, 3, 4, 5}
    tests = [label for label in labels if label.gold is not None and label.rater == "x"]
    assert {label.gold for label in tests} == {1, 5}
    exact = fmean(label.value == label.gold for label in tests)
    assert exact == pytest.approx(0.85 * (1 - timid), abs=0.06)
    assert fmean(bool(is_right(label)) for label in tests) == pytest.approx(0.85, abs=0.05)
    found = people(labels, options=PeopleOptions(draws=20))
    row = next(one for one in found.rows if one.rater == "x")
    assert row.gold.value == pytest.approx(0.85, abs=0.05) and row.qualified == "pass"
    assert row.errors["rating"].accuracy.value == pytest.approx(0.85, abs=0.04)
    assert found.reliability["x"] == pytest.approx((3 * 0.85 - 1) / 2, abs=0.06)
    assert found.found["dawid_skene"]["rating"]["classes"] == [0.0, 0.5, 1.0]


def test_a_guesser_on_five_points_is_worth_little() -> None:
    raters = [SimulatedRater("spam", spam=1.0), *(SimulatedRater(f"o{i}", 0.9) for i in range(3))]
    items = simulated_items(400, kind="rating", scale=(1, 5), gold=0.5, seed=5)
    found = people(RaterStudy(raters, items).labels(), options=PeopleOptions(draws=20))
    row = next(one for one in found.rows if one.rater == "spam")
    assert row.gold.value == pytest.approx(0.4, abs=0.08) and row.qualified == "fail"
    assert found.reliability["spam"] < 0.2 < 0.7 < found.reliability["o0"]


def test_rankings_are_right_where_good_stands_above_bad() -> None:
    items = simulated_items(700, kind="ranking", ranked=5, gold=0.5, seed=6)
    labels = RaterStudy([SimulatedRater("x", 0.8)], items, seed=7).labels()
    assert all(label.kind == "ranking" and len(set(label.value)) == 5 for label in labels)
    tests = [label for label in labels if label.gold is not None]
    assert all(set(label.gold) == {1, 2} for label in tests) and len(tests) > 300
    row = people(labels, options=PeopleOptions(draws=20)).rows[0]
    assert row.gold.n == len(tests) and row.gold.value == pytest.approx(0.8, abs=0.05)
    truth = {item.id: item.truth for item in items}
    plain = [label for label in labels if label.gold is None]
    exact = fmean(tuple(label.value) == truth[label.item] for label in plain)
    assert exact == pytest.approx(0.8, abs=0.06)


def test_margins_are_larger_where_the_rater_is_right() -> None:
    rater = SimulatedRater("x", 0.8, strong=0.5, strong_wrong=0.1)
    labels = RaterStudy([rater], simulated_items(1500, gold=1.0, seed=8), seed=9).labels()
    found = people(labels, options=PeopleOptions(draws=20))
    assert found.rows[0].gold.value == pytest.approx(0.8, abs=0.03)
    by_margin = {one["margin"]: one for one in found.found["confidence"]}
    assert by_margin[2.0]["value"] == pytest.approx(0.4 / 0.42, abs=0.03)
    assert by_margin[1.0]["value"] == pytest.approx(0.4 / 0.58, abs=0.04)
    assert by_margin[2.0]["n"] / 1500 == pytest.approx(0.42, abs=0.04)


def test_copies_groups_and_models() -> None:
    raters = [SimulatedRater("a", 0.6), SimulatedRater("b", copies="a", collusion=1.0)]
    labels = RaterStudy(raters, simulated_items(50)).labels()
    assert all(a.value == b.value for a, b in zip(labels[::2], labels[1::2], strict=True))
    turned = SimulatedRater("c", 1.0, group="g", stance=1.0)
    items = simulated_items(400, contested=0.5, models={"x": 1.0, "y": -1.0})
    truth = {item.id: item for item in items}
    for label in RaterStudy([turned], items).labels():
        assert (label.value != truth[label.item].truth) == truth[label.item].contested
        assert label.group == "g" and len(label.models) == 2
    won = [(i.truth == 1) == (i.models[0] == "x") for i in items]
    assert np.mean(won) == pytest.approx(1 / (1 + np.exp(-2.0)), abs=0.06)


def test_equal_seeds_give_equal_labels_and_repeats_are_swapped() -> None:
    study = RaterStudy(
        [SimulatedRater("a")], simulated_items(60, suggested=1.0), repeats=0.5, unsuggested=0.5
    )
    labels = study.labels()
    assert labels == study.labels()
    pairs = hear(labels).repeats
    assert 15 < len(pairs) < 45
    assert all(a.shown == b.shown[::-1] and b.suggestion is None and a.at < b.at for a, b in pairs)
    assert 15 < sum(label.suggestion is not None for label in labels[:60]) < 45


def test_overlap_is_as_asked() -> None:
    labels = RaterStudy([SimulatedRater(f"r{i}") for i in range(8)], simulated_items(50), per_item=3).labels()
    assert len(labels) == 150 and len({(one.item, one.rater) for one in labels}) == 150
