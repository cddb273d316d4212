from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch

from charter.errors import ConfigError, UserError
from charter.feedback.trained.process import ProcessJudge
from charter.models.load import load
from charter.models.policy import Policy
from charter.models.reward import head_of, with_reward_head
from charter.objectives.process import Solution
from charter.testing import save_tiny
from charter.types import Completion, Context, Group, Message, Sample, SampleTarget, SegmentTarget

CONTEXT = Context((Message("user", "What is 2 + 3 + 4?"),))
STEPS = ("2 + 3 = 5", "5 + 4 = 9", "So nine.")


def answer(text: str) -> Sample:
    return Sample(CONTEXT, Completion((Message("assistant", text),)))


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Policy:
    loaded = load(save_tiny(str(tmp_path_factory.mktemp("tiny"))), bf16=False)
    return replace(loaded, model=with_reward_head(loaded.model, 1, seed=5))


def expected(policy: Policy, steps: tuple[str, ...], separator: str) -> list[float]:
    """Probability of each step, from a plain forward of transformers over the ids as trained."""
    turns = [{"role": "user", "content": CONTEXT.text}]
    ids = list(policy.tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_dict=False))
    ends = []
    for step in steps:
        ids += policy.tokenizer(step)["input_ids"] + policy.tokenizer(separator)["input_ids"]
        ends.append(len(ids) - 1)
    with torch.no_grad():
        hidden = policy.model.model(torch.tensor([ids])).last_hidden_state[0, ends]
        logits: list[float] = head_of(policy.model)(hidden)[:, 0].sigmoid().tolist()
        return logits


@pytest.mark.parametrize("separator", ["\n", "\n\n"])
def test_steps_are_scored_as_they_are_trained(policy: Policy, separator: str) -> None:
    (said,) = ProcessJudge(policy, step_separator=separator).judge([Group((answer(separator.join(STEPS)),))])
    probabilities = expected(policy, STEPS, separator)
    assert [one.value for one in said[1:]] == pytest.approx(probabilities, rel=1e-4)
    assert said[0].target == SampleTarget(0)
    assert said[0].value == said[0].probability == pytest.approx(min(probabilities), rel=1e-4)
    assert said[0].reason == "min of 3 steps"


@pytest.mark.parametrize(
    ("solution", "score"),
    [("product", lambda p: p[0] * p[1] * p[2]), ("min", min), ("last", lambda p: p[-1])],
)
def test_the_score_of_the_answer(policy: Policy, solution: Solution, score: object) -> None:
    (said,) = ProcessJudge(policy, solution=solution).judge([Group((answer("\n".join(STEPS)),))])
    assert said[0].value == pytest.approx(score(expected(policy, STEPS, "\n")), rel=1e-4)  # type: ignore[operator]


def test_segments_are_in_the_text_or_in_the_tokens(policy: Policy) -> None:
    text = "\n\n" + "\n".join(STEPS) + "\n"  # blank steps are no steps
    in_text = answer(text)
    ids = tuple(policy.tokenizer(text)["input_ids"])
    sampled = replace(
        in_text, completion=replace(in_text.completion, token_ids=ids, trained=(True,) * len(ids))
    )
    (said,) = ProcessJudge(policy).judge([Group((in_text, sampled))])
    segments = [one.target for one in said if isinstance(one.target, SegmentTarget)]
    assert [text[t.start : t.end] for t in segments if t.sample == 0] == list(STEPS)
    assert [policy.tokenizer.decode(ids[t.start : t.end]) for t in segments if t.sample == 1] == list(STEPS)
    first, second = ([one.value for one in said if one.target.sample == i] for i in (0, 1))  # type: ignore[union-attr]
    assert first == pytest.approx(second)


def test_answers_without_a_step_are_left_out(policy: Policy) -> None:
    judge = ProcessJudge(policy)
    groups = [Group((answer(" \n "), answer("2 + 3 = 5"))), Group((answer("9"),))]
    judged = judge.judge(groups)
    assert (judged[0][0].verdict, judged[0][0].value) == ("not_applicable", None)
    assert [len(said) for said in judged] == [3, 2]
    assert judged[0][1].value == pytest.approx(expected(policy, ("2 + 3 = 5",), "\n")[0], rel=1e-4)
    assert asyncio.run(judge(groups)) == judged
    assert judge.judge([Group((answer(" "),))])[0][0].verdict == "not_applicable"


@pytest.mark.parametrize("tokens", [1, 120])
def test_batches_do_not_change_scores(policy: Policy, tokens: int) -> None:
    groups = [Group(tuple(answer("\n".join(STEPS[: i + 1])) for i in range(3)))]
    whole, parts = (ProcessJudge(policy, tokens=size).judge(groups)[0] for size in (100_000, tokens))
    assert [one.value for one in whole] == pytest.approx([one.value for one in parts], rel=1e-4)


def test_a_model_without_a_head_and_an_unknown_score_are_refused(
    policy: Policy, tmp_path_factory: pytest.TempPathFactory
) -> None:
    plain = load(save_tiny(str(tmp_path_factory.mktemp("plain"))), bf16=False)
    with pytest.raises(UserError, match="no reward head"):
        ProcessJudge(plain).judge([Group((answer("a"),))])
    with pytest.raises(ConfigError, match="'mean'"):
        ProcessJudge(policy, solution="mean")  # type: ignore[arg-type]
