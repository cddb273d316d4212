from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from reward_rollouts import group, sample

from charter.feedback.rewards import open_rewards
from charter.feedback.rewards.builtin import own_tokens
from charter.types import Completion, Context, FinishReason, Group, Sample

GOLDEN = Path(__file__).parents[2] / "golden" / "cases.json"


def tokens(count: int, finish: FinishReason = "stop") -> Sample:
    return sample("x", ids=tuple(range(count)), finish=finish)


def values(spec: str, one: Group) -> list[float | None]:
    rewards = open_rewards([spec])
    (said,) = rewards.judge([one])
    rewards.close()
    return [j.value for j in said]


def test_length() -> None:
    one = Group(tuple(tokens(count) for count in (0, 5, 10, 15, 40)))
    assert values("length:target=10", one) == [-1.0, -0.5, 0.0, -0.5, -1.0]
    assert values("length:max=10", one) == [0.0, 0.0, 0.0, -0.5, -1.0]
    assert values("length:min=10,max=20", one) == [-1.0, -0.5, 0.0, 0.0, -1.0]
    assert values("length:target=2,unit=words", group("a b", "a", "a b c d")) == [0.0, -0.5, -1.0]
    assert values("length:target=4,unit=chars", group("abcd", "ab")) == [0.0, -0.5]


def test_only_tokens_of_the_model_count() -> None:
    completion = Completion("x", (1, 2, 3, 4), (True, False, False, True))
    one = Sample(Context("p"), completion)
    assert own_tokens(one) == (1, 4)
    assert values("length:target=2", Group((one,))) == [0.0]


def test_repetition_is_trls() -> None:
    from trl.rewards import get_repetition_penalty_reward

    ids = [(1, 2, 3, 4), (5, 5, 5, 5, 5), (1, 2, 1, 2, 1, 2), (1,), ()]
    one = Group(tuple(sample("x", ids=i) for i in ids))
    for size, most in ((1, -1.0), (2, -0.5), (3, -1.0)):
        theirs = get_repetition_penalty_reward(size, most)([list(i) for i in ids])
        assert values(f"repetition:ngram_size={size},max_penalty={most}", one) == pytest.approx(theirs)


def test_soft_overlong_golden() -> None:
    cases = json.loads(GOLDEN.read_text(encoding="utf-8"))
    rows = cases if isinstance(cases, list) else cases["cases"]
    (case,) = [row for row in rows if row["name"] == "soft_overlong_punishment"]
    one = Group(tuple(tokens(int(count)) for count in case["inputs"]["lengths"]))
    options = ",".join(f"{key}={value}" for key, value in case["options"].items())
    assert values(f"soft_overlong:{options}", one) == pytest.approx(case["expected"]["rewards"])


def test_eos() -> None:
    one = Group((tokens(3), tokens(3, "length")))
    assert values("eos", one) == [0.0, -1.0]
    assert values("eos:penalty=0.25", one) == [0.0, -0.25]


def test_format() -> None:
    whole = "<think>a\nb</think>\n<answer>4</answer>"
    texts = (
        whole,
        f"  {whole}\n",
        f"{whole} more",
        f"before {whole}",
        "<think>a</think><answer> </answer>",
        "<think>a</think><answer>1</answer><answer>2</answer>",
        "<answer>4</answer><think>a</think>",
        "<think>a</think> 4",
        "<think>a <think>b</think> 4",
        "<think>a</think>",
        "4",
    )
    assert values("format", group(*texts)) == [1.0, 1.0] + [0.0] * 9
    assert values("format:answer=false", group(*texts[:3], *texts[7:])) == [1.0] * 4 + [0.0] * 3


def test_format_in_parts() -> None:
    """Each tag that is there once counts, whatever stands around it."""
    texts = {
        "<think>a</think><answer>4</answer>": 1.0,
        "</answer> <think> <answer> </think>": 1.0,
        "It is <answer>4</answer>": 0.5,
        "<think><think>a</think>4": 0.25,
        "four": 0.0,
        "": 0.0,
    }
    assert values("format:partial=true", group(*texts)) == list(texts.values())
    assert values("format:partial=true,answer=false", group("<think>a</think>4", "</think>")) == [1.0, 0.5]


def test_vader() -> None:
    pytest.importorskip("vaderSentiment")
    good, bad, none = values("vader", group("A wonderful day!", "This is horrible.", "A table."))
    assert good is not None and bad is not None
    assert good > 0.3 and bad < -0.3 and none == 0.0


def test_accuracy() -> None:
    pytest.importorskip("math_verify")
    rewards = open_rewards(["accuracy:seconds=20"])
    right = group(
        "I think <answer>1/3</answer>",
        r"So \boxed{\frac{1}{3}}",
        "<think>maybe 1/2</think> 1/3",
        "<answer>1/3</answer> no, <answer>1/2</answer>",
        "no idea",
        "",
        answer=r"\frac{1}{3}",
    )
    hangs = group("<answer>9^{9^{9^{9^{9}}}}</answer>", answer="5")
    unknown, nothing = group("4", answer=None), group("4", answer="$$")
    number = group("<answer>4</answer>", answer=4)
    said = rewards.judge([right, unknown, nothing, number])
    assert [j.value for j in said[0]] == [1.0, 1.0, 1.0, 0.0, 0.0, 0.0]
    assert said[1][0].verdict == "error" and said[1][0].reason.startswith("no right answer")
    assert said[2][0].verdict == "not_applicable"
    assert said[3][0].value == 1.0
    rewards.close()
    quick = open_rewards(["accuracy:seconds=1"])
    (slow,) = quick.judge([hangs])
    quick.close()
    assert slow[0].value in (None, 0.0)  # an answer that sympy cannot finish is wrong or an error, not a hang
    assert rewards.needs == {"answer"}


def test_reasoning_gym() -> None:
    pytest.importorskip("reasoning_gym")
    from dataclasses import replace

    from charter.environments.tasks import reasoning_gym_prompts
    from charter.records import group_from_json, group_to_json

    tasks = reasoning_gym_prompts("reasoning-gym:spell_backward?size=2&seed=1&min_word_len=3")
    answered = []
    for task in tasks:
        answer = task.meta["answer"]
        texts = (f"<think>hm</think><answer>{answer}</answer>", answer, "zzz", f"it is {answer}")
        made = replace(task, samples=tuple(sample(text) for text in texts))
        answered.append(group_from_json(json.loads(json.dumps(group_to_json(made)))))
    rewards = open_rewards(["reasoning-gym"])
    rewards.check(answered)
    said = rewards.judge([*answered, group("x")])
    for of in said[:2]:
        assert [j.value for j in of[:2]] == [1.0, 1.0]
        assert of[2].value is not None and of[2].value < 0.5
    assert said[2][0].verdict == "not_applicable"
    broken = replace(
        answered[0], meta={"reasoning_gym": {**answered[0].meta["reasoning_gym"], "question": "?"}}
    )
    (other,) = rewards.judge([broken])
    assert other[0].verdict == "error" and "another task" in other[0].reason
    rewards.close()


def test_what_an_environment_said_is_a_reward() -> None:
    rewards = open_rewards(["environment", "eos"])
    assert rewards.names == ("environment", "eos")
    assert math.isnan(rewards.reward(group("a"))[0])
