from __future__ import annotations

import itertools
import math
from pathlib import Path

import pytest
from reward_rollouts import group, write

from charter.feedback.rewards import Rewards, open_rewards
from charter.feedback.rewards.base import RecordedReward, SampleReward
from charter.feedback.rewards.combine import by_level, lexicographic, share_passed, weighted_sum
from charter.feedback.rewards.outcome import Missing, error, judgement, not_applicable
from charter.types import Judgement, SampleTarget, Verdict

ABSENT, FAILED = not_applicable(), error("ValueError", "no")


def test_a_weighted_sum() -> None:
    assert weighted_sum([1.0, 0.5], [2.0, -1.0]) == 1.5
    assert weighted_sum([1.0], [3.0]) == 3.0


def test_weights_of_what_has_nothing_to_say_are_shared_out() -> None:
    assert weighted_sum([0.5, ABSENT], [1.0, 3.0]) == pytest.approx(2.0)  # 0.5 on a scale of 4
    assert weighted_sum([0.5, Missing("abstained", "cannot tell")], [1.0, -3.0]) == pytest.approx(2.0)
    assert math.isnan(weighted_sum([ABSENT, ABSENT], [1.0, 1.0]))


def test_a_failed_reward_leaves_no_number_unless_it_is_only_watched() -> None:
    assert math.isnan(weighted_sum([1.0, FAILED], [1.0, 0.001]))
    assert weighted_sum([1.0, FAILED], [1.0, 0.0]) == 1.0
    assert weighted_sum([1.0, ABSENT], [1.0, 0.0]) == 1.0


def test_a_failure_does_not_change_the_peers() -> None:
    def score(fail: bool) -> Rewards:
        def own(sample: object, _: object) -> float | Missing:
            text = sample.completion.text  # type: ignore[attr-defined]
            return FAILED if fail and text == "b" else float(len(text))

        return Rewards([SampleReward("own", own)])

    groups = [group("a", "b", "ccc")]
    both = []
    for fail in (False, True):
        rewards = score(fail)
        judged = [g.with_judgements(*said) for g, said in zip(groups, rewards.judge(groups), strict=True)]
        both.append((rewards.reward(judged[0]), rewards.table(judged)[0]))
    (whole, _), (failed, table) = both
    assert whole == [1.0, 1.0, 3.0]
    assert failed[0] == whole[0] and failed[2] == whole[2] and math.isnan(failed[1])
    assert table[0] == [1.0] and math.isnan(table[1][0])


def test_a_sample_nobody_judged_has_no_reward() -> None:
    rewards = Rewards([RecordedReward()])
    one = group("a", "b").with_judgements(
        Judgement(SampleTarget(1), 0.5, principle="environment", judge="guess_number")
    )
    assert rewards.judge([one]) == [[]]
    found = rewards.reward(one)
    assert math.isnan(found[0]) and found[1] == 0.5
    assert [(m.verdict, m.count) for m in rewards.missing([one])] == [("error", 1)]


def said(principle: str, value: float | None, verdict: Verdict = "judged", weight: float = 1.0) -> Judgement:
    return Judgement(
        SampleTarget(0), value, verdict=verdict, principle=principle, weight=weight, reason="why"
    )


def test_share_passed() -> None:
    assert share_passed([said("a", 1.0, weight=3.0), said("b", 0.0)]) == 0.75
    assert share_passed([said("a", 1.0), said("b", None, "not_applicable")]) == 1.0
    assert share_passed([said("a", 1.0), said("b", None, "abstained"), said("c", 0.0)]) == 0.5
    nothing = share_passed([said("a", None, "not_applicable"), said("b", None, "not_measured")])
    assert isinstance(nothing, Missing) and nothing.verdict == "not_applicable"
    unsure = share_passed([said("a", None, "abstained"), said("b", None, "not_applicable")])
    assert isinstance(unsure, Missing) and unsure.verdict == "abstained"
    broken = share_passed([said("a", 1.0), said("b", None, "error")])
    assert isinstance(broken, Missing) and broken.verdict == "error"


@pytest.mark.parametrize("slack", [0.1, 0.25, 1.0])
def test_lexicographic_is_the_order_of_classes_and_then_of_the_last_level(slack: float) -> None:
    top = round(1 / slack)
    grid = [i / 20 for i in range(21)]
    rows = list(itertools.product(grid[::4], grid[::5], grid))
    keys = {row: (*(math.floor(s * top + 1e-9) for s in row[:-1]), row[-1]) for row in rows}
    numbers = {row: lexicographic(row, slack) for row in rows}
    assert min(numbers.values()) == 0.0 and max(numbers.values()) == 1.0
    ordered = sorted(rows, key=lambda row: keys[row])
    for low, high in itertools.pairwise(ordered):
        if keys[low] == keys[high]:
            assert numbers[low] == numbers[high]
        else:
            assert numbers[low] < numbers[high]


def test_one_level_is_its_share() -> None:
    assert lexicographic([0.37]) == pytest.approx(0.37)


def test_near_ties_go_down_a_level_and_clear_differences_do_not() -> None:
    assert lexicographic([0.92, 0.0]) < lexicographic([0.98, 0.0]) + 1e-12
    assert lexicographic([0.92, 1.0]) > lexicographic([0.98, 0.0])  # nearly equal above: below decides
    assert lexicographic([0.5, 1.0]) < lexicographic([0.8, 0.0])  # above decides


def test_levels_of_judgements() -> None:
    levels = {"a": 0, "b": 1, "c": 1}
    assert by_level([said("a", 1.0), said("b", 0.0), said("c", 1.0)], levels, 1.0) == lexicographic(
        [1.0, 0.5], 1.0
    )
    assert by_level([said("a", None, "not_applicable"), said("b", 1.0)], levels, 1.0) == 1.0
    unsure = by_level([said("a", None, "abstained"), said("b", 1.0)], levels, 1.0)
    assert isinstance(unsure, Missing) and unsure.verdict == "abstained"
    none = by_level([said("a", None, "not_applicable")], levels, 1.0)
    assert isinstance(none, Missing) and none.verdict == "not_applicable"


HOUSE = """---
constitution: 1
name: house
levels: [root, user]
---
# House {#house}

## Safe {#safe authority=root}
Name no poison.

```yaml rules
all:
- contains: {none_of: [arsenic]}
```

## Polite {#polite authority=user weight=3}
Say please.

```yaml rules
all:
- contains: {any_of: [please]}
```

## Plain {#plain authority=user}
No lists.

```yaml rules
all:
- list_free: {}
```

## Wise {#wise authority=user}
Be wise.
"""


def test_a_constitution_keeps_each_principle_beside_its_reward(tmp_path: Path) -> None:
    write(tmp_path, HOUSE, "house.constitution.md")
    specs = ["house.constitution.md", "house.constitution.md:combine=lexicographic,slack=1,name=levels"]
    rewards = open_rewards(specs, base_dir=tmp_path)
    assert rewards.names == ("house", "levels")
    one = group("please", "arsenic, please", "well")
    (found,) = rewards.judge([one])
    kinds = [j.principle for j in found if j.target == SampleTarget(0)]
    assert kinds == ["house", "safe", "polite", "plain", "wise", "levels", "safe", "polite", "plain", "wise"]
    assert all(j.principle_sha for j in found if j.judge == "rule")
    table = rewards.table([one.with_judgements(*found)])[0]
    assert [row[0] for row in table] == [1.0, 0.8, 0.4]
    assert table[0][1] == 1.0
    assert table[1][1] < table[2][1]  # by levels, the poison decides; by weight, politeness did
    assert (
        next(j.reason for j in found if j.principle == "house" and j.target == SampleTarget(2))
        == "fails polite"
    )


def test_a_reward_never_has_the_name_of_a_principle(tmp_path: Path) -> None:
    write(tmp_path, HOUSE, "polite.constitution.md")
    assert open_rewards(["polite.constitution.md"], base_dir=tmp_path).names == ("polite-2",)


def test_reasons_survive_a_round_through_json() -> None:
    from charter.records import group_from_json, group_to_json

    rewards = Rewards([RecordedReward("r")])
    one = group("a").with_judgements(judgement("r", "function", 0, error("ValueError", "no: really")))
    again = group_from_json(group_to_json(one))
    assert rewards.missing([again]) == rewards.missing([one])
    assert rewards.missing([one])[0].example == "ValueError: no: really"
