from __future__ import annotations

import importlib.util
import json
import sys

import pytest

from charter.environments.tasks import (
    INSTRUCTIONS,
    answer_in,
    is_task_spec,
    load_prompts,
    reasoning_gym_prompts,
    score,
)
from charter.errors import ConfigError, EnvironmentFault
from charter.types import Message

needs_it = pytest.mark.skipif(
    importlib.util.find_spec("reasoning_gym") is None,
    reason="reasoning-gym is not installed",
)


@needs_it
def test_prompts_are_made_from_the_seed() -> None:
    spec = "reasoning-gym:spell_backward?size=3&seed=7&min_word_len=3&max_word_len=4"
    first, second = reasoning_gym_prompts(spec), reasoning_gym_prompts(spec)
    assert first == second and len(first) == 3
    assert len({group.id for group in first}) == 3
    one = first[0]
    (turn,) = one.samples[0].context.content
    assert isinstance(turn, Message) and turn.role == "user"
    entry = json.loads(one.meta["entry"])
    assert turn.content == entry["question"] and one.meta["answer"] == entry["answer"]
    assert json.loads(json.dumps(one.meta["reasoning_gym"])) == one.meta["reasoning_gym"]
    assert reasoning_gym_prompts(spec.replace("seed=7", "seed=8")) != first


@needs_it
def test_the_scorer_makes_the_task_again_with_its_options() -> None:
    groups = reasoning_gym_prompts("reasoning-gym:basic_arithmetic?size=3&seed=1&min_terms=2&max_terms=2")
    for group in groups:
        task = group.meta["reasoning_gym"]
        assert task["options"]["max_terms"] == 2
        assert score(f"<answer>{group.meta['answer']}</answer>", task) == 1.0
        assert score("<answer>no number</answer>", task) < 1.0


@needs_it
@pytest.mark.parametrize("instruction", ["none", "answer", "think"])
def test_solved_examples_come_first_and_are_the_same_for_every_seed(instruction: str) -> None:
    spec = f"reasoning-gym:chain_sum?size=4&seed=3&shots=2&instruction={instruction}"
    one, *_ = reasoning_gym_prompts(spec)
    other, *_ = reasoning_gym_prompts(spec.replace("seed=3", "seed=90"))
    turns = one.samples[0].context.content
    assert [turn.role for turn in turns] == ["user", "assistant"] * 2 + ["user"]
    assert turns[:-1] == other.samples[0].context.content[:-1] and turns != other.samples[0].context.content
    plain = reasoning_gym_prompts(f"reasoning-gym:chain_sum?size=4&seed=3&instruction={instruction}")[0]
    assert turns[-1:] == plain.samples[0].context.content
    assert one.meta == plain.meta
    said = turns[1].content
    assert isinstance(said, str)
    opening = {"none": "", "answer": "<answer>", "think": "<think>"}[instruction]
    assert said.startswith(opening) and ("<" in said) is (opening != "")
    from charter.environments.tasks import EXAMPLES_SEED

    examples = reasoning_gym_prompts(f"reasoning-gym:chain_sum?size=2&seed={EXAMPLES_SEED}")
    assert score(said, examples[0].meta["reasoning_gym"]) == 1.0


@needs_it
def test_a_task_that_is_shown_solved_is_not_asked() -> None:
    family = "reasoning-gym:gcd?min_value=1&max_value=4&min_numbers=2&max_numbers=2"
    loaded = load_prompts(f"{family}&size=60&shots=3")
    shown = {turn.content for turn in loaded.groups[0].samples[0].context.content[:-1]}
    asked = [group.samples[0].context.content[-1].content for group in loaded.groups]
    assert asked and not shown & set(asked)
    assert loaded.counts == {"tasks made": 60, "shown as solved examples": 60 - len(asked)}
    assert len(asked) < 60


@needs_it
@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("chain_sum?shots=-1", "shots is a whole number"),
        ("gcd?min_value=1&max_value=2&min_numbers=2&max_numbers=2&shots=9", r"only \d different questions"),
    ],
)
def test_examples_that_cannot_be(options: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        reasoning_gym_prompts(f"reasoning-gym:{options}")


@needs_it
def test_an_instruction_is_said_after_the_question() -> None:
    plain, told = (
        reasoning_gym_prompts(f"reasoning-gym:spell_backward?size=1&instruction={name}")[0]
        for name in ("none", "think")
    )
    assert told.samples[0].context.text == f"{plain.samples[0].context.text}\n\n{INSTRUCTIONS['think']}"
    assert told.meta["reasoning_gym"] == plain.meta["reasoning_gym"]


@needs_it
@pytest.mark.parametrize(
    ("rest", "says"),
    [
        ("", "which tasks"),
        ("spell_backwards", "did you mean 'spell_backward'"),
        ("spell_backward?sise=3", "did you mean 'size'"),
        ("spell_backward?size=3&size=4", "twice"),
        ("spell_backward?size=0", "size is a whole number"),
        ("spell_backward?size=many", "size is a whole number"),
        ("spell_backward?size", "bad options"),
        ("spell_backward?min_word_len=-1", "refuses its options"),
        ("spell_backward?instruction=thinks", "did you mean 'think'"),
    ],
)
def test_mistakes_in_a_spec(rest: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says.replace("?", r"\?")):
        reasoning_gym_prompts(f"reasoning-gym:{rest}")


def test_a_missing_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "reasoning_gym.factory", None)
    with pytest.raises(EnvironmentFault, match=r"charter\[tasks\]"):
        reasoning_gym_prompts("reasoning-gym:spell_backward?size=1")


@needs_it
def test_prompts_from_a_spec_or_from_data() -> None:
    made = load_prompts("reasoning-gym:spell_backward?size=2")
    assert made.kind == "prompts" and len(made.groups) == 2 and made.counts == {"tasks made": 2}
    read = load_prompts([{"prompt": "hello"}])
    assert read.kind == "prompts" and len(read.groups) == 1
    assert is_task_spec("reasoning-gym:x") and not is_task_spec("x.jsonl") and not is_task_spec([{}])


def test_where_an_answer_is() -> None:
    assert answer_in(" 4 ") == "4"
    assert answer_in("<think>3</think> 4") == "4"
    assert answer_in("<answer>3</answer> or <answer> 4\n</answer>") == "4"
