"""Answers of other systems that prompts bring along."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from charter.data.formats import load_groups
from charter.data.other_systems import check_systems, samples_of_systems
from charter.data.prepare import prepare
from charter.errors import DataError
from charter.models.load import load
from charter.testing import save_tiny
from charter.types import Group

ASKED = [{"role": "user", "content": "Say one"}]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save_tiny(str(tmp_path_factory.mktemp("tiny")))


def prompt(systems: Any) -> Group:
    return load_groups([{"prompt": ASKED, "systems": systems}], "prompts").groups[0]


def test_answers_are_rendered_as_the_template_writes_them(tiny: str) -> None:
    policy = load(tiny, bf16=False)
    asked = prompt({"human": "one", "strong": "One!", "absent": None})
    person, strong = samples_of_systems(asked, "systems", policy.template)
    assert (person.completion.sampled_by, strong.completion.sampled_by) == ("human", "strong")
    row = {"prompt": ASKED, "completion": [{"role": "assistant", "content": "One!"}]}
    (group,) = prepare(load_groups([row], "sft"), policy.template).groups
    assert strong.completion.token_ids == group.samples[0].completion.token_ids
    assert strong.completion.trained == group.samples[0].completion.trained


def test_they_follow_the_prompt_as_it_was_cut(tiny: str) -> None:
    policy = load(tiny, bf16=False)
    asked = policy.template.render(prompt({"human": "one"}))
    sample = asked.samples[0]
    cut = replace(sample.context, token_ids=sample.context.token_ids[3:])
    (person,) = samples_of_systems(
        replace(asked, samples=(replace(sample, context=cut),)), "systems", policy.template
    )
    assert person.context.token_ids == cut.token_ids


@pytest.mark.parametrize(
    ("systems", "says"),
    [
        ("one", "must name systems"),
        ({"human": 1}, "not a text"),
        ({"human": "  "}, "not a text"),
        ({"human": None}, "names no answer"),
        ({"policy": "one"}, "another name"),
    ],
)
def test_what_is_no_such_column_is_refused(systems: Any, says: str) -> None:
    asked = prompt(systems)
    with pytest.raises(DataError, match=says) as found:
        check_systems([asked], "systems")
    assert found.value.where == asked.source


def test_a_missing_column_is_named() -> None:
    with pytest.raises(DataError, match="did you mean 'systems'"):
        check_systems([prompt({"human": "one"})], "system")
