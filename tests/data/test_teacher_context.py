"""A policy's sample beside its teacher's: the same completion after another context."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from charter.catalogue.distillation import DistillationOptions
from charter.data.formats import load_groups
from charter.data.prepare import prepare
from charter.data.render import Template
from charter.data.teacher_context import aligned, context_text, resolved, with_teacher
from charter.errors import ConfigError, DataError
from charter.testing.tiny import tiny_tokenizer
from charter.types import Group, Message

TEMPLATE = Template(tiny_tokenizer())
CONTEXT = "Be kind."
ROW = {"prompt": [{"role": "user", "content": "Hi"}], "completion": [{"role": "assistant", "content": "Ho!"}]}
PLAIN = {"prompt": "Hi ", "completion": "Ho!"}


def made(*rows: dict[str, Any], max_length: int | None = None, context: str | None = CONTEXT) -> list[Group]:
    options = DistillationOptions(teacher_context=context, max_length=max_length)
    loaded = with_teacher(load_groups(list(rows), "sft"), options)
    return list(aligned(prepare(loaded, TEMPLATE, max_length, max_drop_fraction=1.0).groups, options))


def text(ids: tuple[int, ...]) -> str:
    return TEMPLATE.decode(ids)


def test_only_the_teacher_is_given_the_context() -> None:
    (group,) = made(ROW)
    policy, teacher = group.samples
    assert (policy.role, teacher.role) == ("policy", "teacher")
    assert text(policy.context.token_ids) == "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
    assert text(teacher.context.token_ids) == (
        "<|im_start|>system\nBe kind.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
    )
    assert policy.completion == teacher.completion
    assert all(policy.completion.trained)


def test_a_system_turn_that_is_there_stays_behind_it() -> None:
    system = {"role": "system", "content": "You sell tea."}
    (group,) = made({**ROW, "prompt": [system, *ROW["prompt"]]})
    content = group.samples[1].context.content
    assert content[0] == Message("system", "Be kind.\n\nYou sell tea.")
    assert group.samples[0].context.content[0] == Message("system", "You sell tea.")


def test_plain_text_gets_a_prefix() -> None:
    (group,) = made(PLAIN)
    assert text(group.samples[1].context.token_ids) == "Be kind.\n\nHi "
    assert group.samples[0].completion == group.samples[1].completion


def test_text_without_a_prompt_is_trained_where_the_policy_can_predict() -> None:
    (group,) = made({"text": "Once upon a time"})
    policy, teacher = group.samples
    assert policy.context.token_ids == ()
    assert text(teacher.context.token_ids) == "Be kind.\n\n"
    assert policy.completion.trained[0] is teacher.completion.trained[0] is False
    assert all(policy.completion.trained[1:])


def test_a_rows_own_context_goes_instead() -> None:
    rows = [{**ROW, "privileged_context": "Be rude."}, {**ROW, "privileged_context": ""}]
    contents = [group.samples[1].context.content[0].content for group in made(*rows)]
    assert contents == ["Be rude.", "Be kind."]
    (group,) = made(rows[0], context=None)
    assert group.samples[1].context.content[0].content == "Be rude."


def test_nothing_to_learn_from_is_an_error() -> None:
    with pytest.raises(ConfigError, match="no context of its own") as caught:
        made(ROW, context=None)
    assert "teacher_context" in str(caught.value.fix)
    with pytest.raises(DataError, match="privileged_context"):
        made({**ROW, "privileged_context": 3})


def test_both_sides_end_where_the_teachers_room_ends() -> None:
    long = {**ROW, "completion": [{"role": "assistant", "content": "word " * 20}]}
    (whole,) = made(long)
    room = len(whole.samples[1].context.token_ids) + 30
    (group,) = made(long, max_length=room)
    policy, teacher = group.samples
    assert policy.completion.token_ids == teacher.completion.token_ids
    assert len(policy.completion.token_ids) == 30
    assert policy.completion.token_ids == whole.samples[0].completion.token_ids[:30]
    assert policy.completion.finish_reason == "length"


def test_no_room_beside_the_context_is_an_error_that_says_so() -> None:
    with pytest.raises(DataError, match="no room"):
        made(ROW, max_length=30)


def test_a_template_that_writes_the_answer_otherwise_is_refused() -> None:
    (group,) = made(ROW)
    policy, teacher = group.samples
    other = replace(
        teacher, completion=replace(teacher.completion, token_ids=policy.completion.token_ids[::-1])
    )
    with pytest.raises(DataError, match="differently"):
        aligned([replace(group, samples=(policy, other))], DistillationOptions(teacher_context=CONTEXT))


# -- the context itself ----------------------------------------------------------------------


def test_a_context_is_a_text_a_file_or_a_constitution(tmp_path: Path) -> None:
    (tmp_path / "prompt.txt").write_text("From a file.\n", encoding="utf-8")
    (tmp_path / "house.constitution.md").write_text(
        "# House rules\n\n## Be kind {#kind authority=user}\n\nAlways be kind to people.\n", encoding="utf-8"
    )
    assert context_text("Plain words.") == "Plain words."
    assert context_text("prompt.txt", tmp_path) == "From a file."
    assert context_text(str(tmp_path / "prompt.txt")) == "From a file."
    assert "Always be kind" in context_text("house.constitution.md", tmp_path)
    options = resolved(DistillationOptions(teacher_context="prompt.txt"), tmp_path)
    assert options.teacher_context == "From a file."
    assert resolved(options, tmp_path) == options
    assert resolved(DistillationOptions(), tmp_path).teacher_context is None


@pytest.mark.parametrize("given", ["missing.txt", "missing.md", "  "])
def test_a_context_that_is_not_there_is_an_error(given: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="teacher_context"):
        context_text(given, tmp_path)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"beta": 0.3}, "beta has no effect"),
        ({"teacher_update_rate": 0.3}, "teacher_update_rate has no effect"),
        ({"teacher_sync_steps": 2}, "teacher_sync_steps has no effect"),
        ({"max_prompt_length": 20}, "cut the teacher's context"),
        ({"distillation_topk": 0}, "distillation_topk"),
    ],
)
def test_options_without_effect_or_sense_are_errors(options: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        DistillationOptions(**options)
