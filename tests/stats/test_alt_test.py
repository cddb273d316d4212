from __future__ import annotations

from collections.abc import Hashable

import numpy as np
import pytest

from charter.stats.alt_test import alt_test, benjamini_yekutieli, equal, near

People = dict[Hashable, dict[Hashable, float]]


def study(
    right_people: float, right_judge: float, items: int = 100, seed: int = 0, n: int = 4
) -> tuple[People, dict[Hashable, float]]:
    rng = np.random.default_rng(seed)
    good = rng.random(items) < 0.5

    def rate(right: float) -> dict[Hashable, float]:
        return dict(enumerate(np.where(rng.random(items) < right, good, ~good).astype(float).tolist()))

    return {f"p{i}": rate(right_people) for i in range(n)}, rate(right_judge)


def test_a_judge_as_good_as_people_may_stand_in() -> None:
    found = alt_test(*study(0.85, 0.9))
    assert found.passed is True and found.winning_rate is not None and found.winning_rate >= 0.5
    assert found.advantage is not None and found.advantage > 0.8


def test_a_judge_at_chance_may_not() -> None:
    found = alt_test(*study(0.9, 0.5))
    assert found.passed is False and found.winning_rate == 0.0


def test_epsilon_is_what_a_judge_may_be_worse_by() -> None:
    people, judge = study(0.9, 0.86, items=300)
    assert alt_test(people, judge, epsilon=0.2).winning_rate == 1.0
    assert alt_test(people, judge, epsilon=0.0).winning_rate == 0.0


def test_by_hand() -> None:
    """Left out: a. Others: b and c. The judge is as near as a on three items, nearer on one."""
    people: People = {
        "a": {0: 1, 1: 1, 2: 0, 3: 0},
        "b": {0: 1, 1: 1, 2: 0, 3: 1},
        "c": {0: 1, 1: 1, 2: 0, 3: 1},
    }
    judge: dict[Hashable, float] = {0: 1, 1: 1, 2: 0, 3: 1}
    against = alt_test(people, judge).against[0]
    assert (against.rater, against.items, against.judge, against.person) == ("a", 4, 1.0, 0.75)


def test_too_little_is_no_verdict() -> None:
    people, judge = study(0.9, 0.9, items=20)
    few_items = alt_test(people, judge)
    assert few_items.passed is None and "30" in few_items.why and few_items.winning_rate is not None
    few_people = alt_test(*study(0.9, 0.9, n=2))
    assert few_people.passed is None and "2 people" in few_people.why
    assert alt_test({"a": {1: 1.0}}, {1: 1.0}).against == ()


def test_people_need_not_have_rated_everything() -> None:
    people, judge = study(0.85, 0.95, items=200)
    for i, rated in enumerate(people.values()):
        for item in range(i * 20, i * 20 + 60):
            del rated[item]
    found = alt_test(people, judge)
    assert found.passed is True and all(one.items < 200 for one in found.against)


def test_scales() -> None:
    assert equal(1.0, [1.0, 1.0, 0.0, 1.0]) == 0.75
    assert near(3.0, [3.0, 5.0]) == pytest.approx(-np.sqrt(2))
    rng = np.random.default_rng(0)
    truth = rng.normal(3, 1, 80)
    people: People = {f"p{i}": dict(enumerate((truth + rng.normal(0, 0.5, 80)).tolist())) for i in range(3)}
    good: dict[Hashable, float] = dict(enumerate((truth + rng.normal(0, 0.3, 80)).tolist()))
    bad: dict[Hashable, float] = dict(enumerate(rng.normal(3, 1, 80).tolist()))
    assert alt_test(people, good, score=near).passed is True
    assert alt_test(people, bad, score=near).passed is False


def test_false_discoveries_are_kept_down() -> None:
    """0.05 / (1 + 1/2 + 1/3) = 0.0273: the thresholds are 0.0091, 0.0182, 0.0273."""
    assert benjamini_yekutieli([0.009, 0.018, 0.04]) == [True, True, False]
    assert benjamini_yekutieli([0.02, 0.02, 0.02]) == [True, True, True]
    assert benjamini_yekutieli([]) == []


def test_refusals() -> None:
    with pytest.raises(ValueError, match="epsilon"):
        alt_test({}, {}, epsilon=1.0)
