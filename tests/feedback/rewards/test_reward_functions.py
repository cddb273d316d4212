from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from reward_rollouts import group, sample, write

from charter.feedback.rewards import Rewards, open_rewards
from charter.feedback.rewards.functions import FunctionReward
from charter.feedback.rewards.signature import form_of, parameters_of
from charter.types import Completion, Context, Group, Judgement, Sample, SampleTarget


def reward(function: Any, name: str = "mine") -> FunctionReward:
    return FunctionReward(name, function, form_of(parameters_of(function), name))


def flat(said: Sequence[Sequence[Judgement]]) -> list[Judgement]:
    return [one for of in said for one in of]


def values(said: Sequence[Sequence[Judgement]]) -> list[float | None]:
    return [one.value for one in flat(said)]


def test_the_batch_form_gets_what_trl_gives() -> None:
    seen: dict[str, Any] = {}

    def f(prompts: Any, completions: Any, completion_ids: Any, **columns: Any) -> list[float]:
        seen.update(columns, prompts=prompts, completions=completions, completion_ids=completion_ids)
        return [float(len(one[0]["content"])) for one in completions]

    first = Group((sample("a", ids=(1, 2)), sample("bb", ids=(3,))), id="1", meta={"answer": "x"})
    second = Group((sample("ccc", ids=(4,)),), id="2", meta={"level": 3})
    said = reward(f).judge([first, second])
    assert values(said) == [1.0, 2.0, 3.0]
    assert [[one.target for one in of] for of in said] == [
        [SampleTarget(0), SampleTarget(1)],
        [SampleTarget(0)],
    ]
    assert {one.principle for one in flat(said)} == {"mine"}
    assert callable(seen.pop("log_extra")) and callable(seen.pop("log_metric"))
    assert seen == {
        "prompts": [[{"role": "user", "content": "Say yes."}]] * 3,
        "completions": [[{"role": "assistant", "content": text}] for text in ("a", "bb", "ccc")],
        "completion_ids": [[1, 2], [3], [4]],
        "answer": ["x", "x", None],
        "level": [None, None, 3],
    }


def test_plain_prompts_stay_text_and_only_named_columns_are_given() -> None:
    def f(completions: Any, answer: Any) -> list[float]:
        return [float(text == wanted) for text, wanted in zip(completions, answer, strict=True)]

    plain = Group((Sample(Context("1+1="), Completion("2")),), meta={"answer": "2", "other": 1})
    assert values(reward(f).judge([plain])) == [1.0]
    assert reward(f).needs == {"answer"}


def test_the_same_function_gives_what_trl_would_compute() -> None:
    from trl.rewards import get_repetition_penalty_reward, think_format_reward

    texts = ["<think>a</think> b", "b"]
    assert values(reward(think_format_reward).judge([group(*texts)])) == [1.0, 0.0]
    repeats = Group((sample("x", ids=(1, 2, 3, 4)), sample("y", ids=(5, 5, 5, 5, 5))))
    assert values(reward(get_repetition_penalty_reward(2)).judge([repeats])) == [0.0, -0.75]


def test_the_one_sample_form_gets_texts() -> None:
    def f(completion: str, prompt: str, answer: str, finish_reason: str, *, scale: float = 2.0) -> float:
        assert prompt == "Say yes." and finish_reason == "stop"
        return scale * (completion == answer)

    assert values(reward(f).judge([group("no", "yes", answer="yes")])) == [0.0, 2.0]


def test_async_functions_run_together_also_inside_a_loop() -> None:
    running = [0, 0]

    async def one(completion: str, **columns: Any) -> float:
        running[0] += 1
        running[1] = max(running)
        await asyncio.sleep(0.01)
        running[0] -= 1
        if completion == "bad":
            raise ValueError("no")
        return float(len(completion))

    async def batch(completions: Any, **columns: Any) -> list[float]:
        await asyncio.sleep(0)
        return [1.0] * len(completions)

    groups = [group("a", "bad"), group("ccc")]
    rewards = Rewards([reward(one, "one"), reward(batch, "batch")])
    outside = rewards.judge(groups)
    assert asyncio.run(rewards(groups)) == outside
    assert running[1] == 3
    assert values([[j for j in of if j.principle == "one"] for of in outside]) == [1.0, None, 3.0]
    assert values([[j for j in of if j.principle == "batch"] for of in outside]) == [1.0, 1.0, 1.0]


def test_one_bad_row_does_not_cost_the_others() -> None:
    calls: list[int] = []

    def f(completions: Any, **columns: Any) -> list[float]:
        calls.append(len(completions))
        texts = [one[0]["content"] for one in completions]
        if "bad" in texts:
            raise KeyError("bad row")
        return [1.0] * len(texts)

    said = reward(f).judge([group("a", "b"), group("c", "bad", "d"), group("e")])
    assert values(said) == [1.0, 1.0, 1.0, None, 1.0, 1.0]
    assert calls == [6, 2, 3, 1, 1, 1, 1]  # the groups, then the samples of the one that failed
    bad = said[1][1]
    assert bad.verdict == "error" and bad.reason.startswith("KeyError: 'bad row' (test_reward_functions.py:")


@pytest.mark.parametrize("returned", [[1.0], [1.0] * 3, "ab", {"a": 1}, 1.0, None])
def test_a_batch_of_the_wrong_shape_is_an_error(returned: Any) -> None:
    said = flat(reward(lambda completions, **columns: returned).judge([group("a", "b")]))
    if returned == [1.0]:  # right for each sample by itself
        assert [one.value for one in said] == [1.0, 1.0]
    else:
        assert {one.verdict for one in said} == {"error"}


@pytest.mark.parametrize(
    ("returned", "value", "verdict"),
    [
        (True, 1.0, "judged"),
        (np.float32(0.5), 0.5, "judged"),
        (np.array([2]), 2.0, "judged"),
        (torch.tensor(0.25), 0.25, "judged"),
        (None, None, "not_applicable"),
        (math.nan, None, "error"),
        (math.inf, None, "error"),
        (np.float64("nan"), None, "error"),
        ("1.0", None, "error"),
        ([1.0], None, "error"),
        (np.array([1.0, 2.0]), None, "error"),
        (10**400, None, "error"),
    ],
)
def test_what_a_reward_may_be(returned: Any, value: float | None, verdict: str) -> None:
    for function in (
        lambda completion, **columns: returned,
        lambda completions, **columns: [returned] * len(completions),
    ):
        (said,) = flat(reward(function).judge([group("a")]))
        assert (said.value, said.verdict) == (value, verdict)


def test_an_array_of_rewards_is_a_list() -> None:
    assert values(reward(lambda completions, **columns: np.arange(2.0)).judge([group("a", "b")])) == [
        0.0,
        1.0,
    ]
    assert values(reward(lambda completions, **columns: torch.ones(2)).judge([group("a", "b")])) == [1.0, 1.0]


def test_all_samples_failing_says_so_once_in_the_counts(tmp_path: Path) -> None:
    write(tmp_path, "def f(completion, **columns):\n    return 1 / 0\n")
    rewards = open_rewards(["mine.py:f", "eos"], base_dir=tmp_path)
    groups = [group("a", "b"), group("c")]
    judged = [g.with_judgements(*said) for g, said in zip(groups, rewards.judge(groups), strict=True)]
    assert all(math.isnan(value) for values in rewards.combined(judged) for value in values)
    (missing,) = rewards.missing(judged)
    assert (missing.reward, missing.verdict, missing.kind, missing.count) == (
        "f",
        "error",
        "ZeroDivisionError",
        3,
    )
    assert missing.example == "ZeroDivisionError: division by zero (mine.py:2)"


def test_a_missing_column_is_an_error_of_the_sample_and_found_before() -> None:
    from charter.errors import DataError

    def f(completion: str, answer: str) -> float:
        return 1.0

    rewards = Rewards([reward(f)])
    (said,) = flat(rewards.judge([group("a", ansver="x")]))
    assert said.verdict == "error" and "'answer'" in said.reason
    with pytest.raises(DataError, match="did you mean 'ansver'"):
        rewards.check([group("a", ansver="x")])
    rewards.check([group("a", answer="x")])


def test_trls_loggers_may_be_called() -> None:
    def f(completions: Any, log_metric: Any, log_extra: Any, **columns: Any) -> list[float]:
        log_metric("seen", 3)
        log_extra("column", [1])
        return [0.5]

    mine = reward(f)
    assert values(mine.judge([group("a")])) == [0.5]
    assert mine.logged == {"seen": [3.0]}
