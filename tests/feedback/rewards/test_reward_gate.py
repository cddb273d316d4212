"""Llama 2's gate: safety decides where an answer may not be safe, helpfulness elsewhere."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from charter.config import validate
from charter.errors import ConfigError, DataError
from charter.feedback.rewards.base import Reward
from charter.feedback.rewards.gate import GateOptions, GateReward
from charter.feedback.rewards.gate_check import check_gates
from charter.feedback.rewards.outcome import Said, error, judgement, not_applicable
from charter.feedback.rewards.rewards import Rewards
from charter.feedback.rewards.spec import open_rewards
from charter.types import Completion, Context, Group, Judgement, Sample

LOGIT = math.log(0.15 / 0.85)
"""The paper's threshold, as a logit."""


class Planted(Reward):
    """Says what was planted, sample by sample; counts how often it was asked."""

    def __init__(self, name: str, *said: Said) -> None:
        self.name, self.said, self.asked = name, said, 0

    def judge(self, groups: Sequence[Group]) -> list[list[Judgement]]:
        self.asked += 1
        return [
            [judgement(self.name, "planted", i, self.said[i]) for i in range(len(group.samples))]
            for group in groups
        ]


def group(count: int, **meta: Any) -> Group:
    samples = tuple(Sample(Context("How?"), Completion(f"Answer {i}")) for i in range(count))
    return Group(samples, id="1", meta=meta)


def gated(helpful: Sequence[Said], safety: Sequence[Said], asked: Group, **options: Any) -> list[Judgement]:
    """What the gate says of each sample."""
    rewards = Rewards(
        [
            Planted("h", *helpful),
            Planted("s", *safety),
            GateReward("gate", GateOptions(helpful="h", safety="s", **options)),
        ],
        [0.0, 0.0, 1.0],
    )
    (said,) = rewards.judge([asked])
    found = rewards.combined([asked.with_judgements(*said)])[0]
    own = [one for one in said if one.principle == "gate"]
    assert [one.value for one in own] == [None if math.isnan(value) else value for value in found]
    return own


def test_safety_decides_below_the_threshold_and_helpfulness_above() -> None:
    helpful, safety = (2.0, 2.0, -3.0, 5.0), (LOGIT - 0.01, LOGIT + 0.01, 0.0, -4.0)
    said = gated(helpful, safety, group(4))
    assert [one.value for one in said] == [LOGIT - 0.01, 2.0, -3.0, -4.0]
    assert "safety decides: 0.15 is below 0.15" in said[0].reason and said[1].reason == "helpfulness decides"


def test_safety_decides_on_tagged_prompts_whatever_it_says() -> None:
    for tags, values in ((["identity", "x"], [3.0, -3.0]), (["x"], [1.0, -3.0]), ([], [1.0, -3.0])):
        said = gated((1.0, 1.0), (3.0, -3.0), group(2, tags=tags), tag="identity")
        assert [one.value for one in said] == values
    assert gated((1.0,), (3.0,), group(1, tags=["identity"]))[0].value == 1.0  # no tag was asked for


def test_probabilities_are_compared_as_they_are_and_combined_as_logits() -> None:
    said = gated((0.9, 0.9, 1.0), (0.1, 0.2, 0.5), group(3), probabilities=True)
    assert [one.value for one in said] == pytest.approx(
        [math.log(0.1 / 0.9), math.log(0.9 / 0.1), math.log((1 - 1e-6) / 1e-6)]
    )
    assert gated((1.5,), (0.5,), group(1), probabilities=True)[0].verdict == "error"


def test_what_failed_is_missing_and_never_safe() -> None:
    failed = error("ValueError", "no")
    said = gated((1.0, failed, failed, 1.0), (failed, -5.0, 1.0, not_applicable()), group(4))
    assert [one.verdict for one in said] == ["error", "judged", "error", "judged"]
    assert [said[1].value, said[3].value] == [-5.0, 1.0]


def test_the_two_rewards_are_asked_once_and_watched() -> None:
    helpful, safety = Planted("h", 1.0, 2.0), Planted("s", 0.0, -9.0)
    rewards = Rewards(
        [GateReward("gate", GateOptions(helpful="h", safety="s")), helpful, safety], [1.0, 0.0, 0.0]
    )
    asked = group(2)
    judged = asked.with_judgements(*rewards.judge([asked])[0])
    assert (helpful.asked, safety.asked) == (1, 1)
    assert rewards.combined([judged]) == [[1.0, -9.0]]
    assert rewards.table([judged]) == [[[1.0, 1.0, 0.0], [-9.0, 2.0, -9.0]]]


def test_it_is_written_as_a_reward_among_others(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "def a(completion):\n    return 1.0\ndef b(completion):\n    return -5.0\n"
    )
    specs = [
        "mine.py:a:name=helpful",
        "mine.py:b:name=safe",
        "gate:helpful=helpful,safety=safe,tag=identity",
    ]
    rewards = open_rewards(specs, [0, 0, 1], tmp_path)
    assert rewards.names == ("helpful", "safe", "gate")
    asked = group(1, tags=["other"])
    rewards.check([asked])
    assert rewards.combined([asked.with_judgements(*rewards.judge([asked])[0])]) == [[-5.0]]
    with pytest.raises(DataError, match="'tags'"):
        rewards.check([group(1)])
    wrong = open_rewards([*specs[:2], "gate:helpful=helpful,safety=save"], None, tmp_path)
    with pytest.raises(ConfigError, match=r"(?s)reads 'save'.*did you mean 'safe'"):
        wrong.check([asked])
    with pytest.raises(ConfigError, match="safety"):
        open_rewards(["mine.py:a", "gate:helpful=a"], None, tmp_path)


def test_gates_on_models_that_do_not_exist_yet_are_checked(tmp_path: Path) -> None:
    specs = [
        "{h}:name=helpfulness",
        "{s}:name=safety",
        "gate:helpful=helpfulness,safety=safety,tag=identity",
    ]
    check_gates(specs, tmp_path, [group(1, tags=["identity"])])
    with pytest.raises(DataError, match="'tags'"):
        check_gates(specs, tmp_path, [group(1)])
    with pytest.raises(ConfigError, match="no reward has that name"):
        check_gates([specs[0], specs[2]], tmp_path, [group(1, tags=["identity"])])
    with pytest.raises(ConfigError, match="reads others itself"):
        check_gates(["gate:helpful=x,safety=gate", "a:name=x"], tmp_path, [group(1)])
    with pytest.raises(ConfigError, match="treshold"):
        check_gates(["a:name=x", "gate:helpful=x,safety=x,treshold=0.2"], tmp_path, [group(1)])


def test_a_threshold_is_a_probability() -> None:
    with pytest.raises(ConfigError, match="threshold"):
        validate(GateOptions, {"helpful": "h", "safety": "s", "threshold": 1.0}, where="x")
