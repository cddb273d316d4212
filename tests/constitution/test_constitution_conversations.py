"""Tests with a system message or a conversation, and files that have neither."""

from __future__ import annotations

from pathlib import Path

import pytest

from charter.constitution import Constitution
from charter.constitution.canonical import canonical_text, case_values
from charter.constitution.exchange.imported import ImportOptions
from charter.constitution.exchange.importing import import_text
from charter.constitution.lint import lint
from charter.constitution.lint_training import lint_training
from charter.constitutions import path_of, shipped
from charter.errors import ConstitutionError
from charter.rundir import sha256_json
from charter.types import Message

ACME = Path(__file__).parent / "data" / "acme.constitution.md"


def read(tests: str) -> Constitution:
    head = "---\nname: x\nlevels: [user]\n---\n## A {#a authority=user}\n\nBe.\n\n"
    return Constitution.from_text(f"{head}```yaml tests\n{tests}\n```\n", "x.md")


TALK = (
    '- {id: t, kind: must_comply, conversation: [{role: developer, content: "Only maths."}, '
    '{role: user, content: "Hi"}, {role: assistant, content: "Hello."}, {role: user, content: "A poem?"}]}'
)


def test_a_conversation_and_a_system_message() -> None:
    tests = TALK + '\n- {id: s, kind: invariance, same: stance, system: "Be a bot.", prompts: ["A?", "B?"]}'
    talk, pair = read(tests).principle("a").tests
    [turns] = talk.conversations()
    assert turns[0] == Message("system", "Only maths.") and [t.role for t in turns] == [
        "system",
        "user",
        "assistant",
        "user",
    ]
    assert talk.prompts() == ("Hi\n\nA poem?",)  # what the user says, which must not be trained on
    assert pair.conversations() == (
        (Message("system", "Be a bot."), Message("user", "A?")),
        (Message("system", "Be a bot."), Message("user", "B?")),
    )


def test_a_set_up_alone_can_be_asked() -> None:
    [case] = (
        read('- {id: t, kind: judge, conversation: [{role: developer, content: "Greet people."}]}')
        .principle("a")
        .tests
    )
    assert case.conversations() == ((Message("system", "Greet people."),),) and case.prompts() == (
        "Greet people.",
    )


def test_they_are_written_and_read_back() -> None:
    constitution = read(TALK + '\n- {id: s, kind: judge, system: "Be a bot.", prompt: "A?"}')
    again = Constitution.from_text(canonical_text(constitution), "x.md")
    assert [case.to_dict() for case in again.principle("a").tests] == [
        case.to_dict() for case in constitution.principle("a").tests
    ]
    assert case_values(again.principle("a").tests[0])["conversation"][0] == {
        "role": "developer",
        "content": "Only maths.",
    }


@pytest.mark.parametrize("name", [*shipped(), "acme"])
def test_nothing_changes_for_files_without_them(name: str) -> None:
    constitution = Constitution.load(ACME if name == "acme" else path_of(name))
    for principle in constitution.principles:
        for case in principle.tests:
            assert not {"system", "conversation", "ordered"} & set(case.to_dict())


def test_the_form_of_an_old_test_is_as_it_was() -> None:
    """A change here makes every old file look changed: only on purpose."""
    [case] = read('- {id: t, kind: judge, prompt: "A?", tags: [b]}').principle("a").tests
    assert list(case_values(case).items()) == [
        ("id", "t"),
        ("kind", "judge"),
        ("tags", ["b"]),
        ("prompt", "A?"),
    ]
    assert case.to_dict() == {"id": "t", "tags": ["b"], "prompt": "A?", "kind": "judge"}


@pytest.mark.parametrize(
    ("test", "said"),
    [
        ("{id: t, kind: judge}", "give a prompt, or a conversation in its place"),
        ('{id: t, kind: judge, prompt: ""}', "prompt"),
        ('{id: t, kind: judge, prompt: "A?", conversation: [{role: user, content: "B?"}]}', "in its place"),
        (
            '{id: t, kind: judge, system: "S", conversation: [{role: user, content: "B?"}]}',
            "leave `system` out",
        ),
        (
            "{id: t, kind: judge, conversation: [{role: user, content: B}, {role: assistant, content: C}]}",
            "nothing is left to say",
        ),
        ('{id: t, kind: judge, conversation: [{role: robot, content: "B"}]}', "role"),
        ('{id: t, kind: judge, conversation: [{role: user, content: ""}]}', "content"),
        ("{id: t, kind: judge, conversation: [{role: user}]}", "content"),
        ("{id: t, kind: judge, conversation: []}", "give a prompt"),
        ('{id: t, kind: judge, conversation: "B?"}', "conversation"),
        ('{id: t, kind: judge, sytem: "S", prompt: "A?"}', "did you mean 'system'"),
        ('{id: t, kind: judge, system: "", prompt: "A?"}', "system"),
    ],
)
def test_what_is_wrong_is_named_at_its_line(test: str, said: str) -> None:
    with pytest.raises(ConstitutionError) as error:
        read(f"- {test}")
    assert said in str(error.value) and error.value.where == "x.md:10"


def test_a_conversation_that_is_trained_on_is_found() -> None:
    constitution = read(TALK)
    found = lint_training(constitution, [("row 1", "Hi. A poem!")])
    assert [one.code for one in found] == ["test-in-training"]
    assert lint_training(constitution, [("row 1", "Only maths.")]) == []


# -- the Model Spec's -------------------------------------------------------------------

SPEC = (
    "## A {#a authority=user}\n\nDo[^abcd].\n\n**Example**: e\n\n~~~xml\n<user>Seen?</user>\n<comparison>\n"
    "<assistant> <!-- GOOD --> x </assistant>\n</comparison>\n~~~\n"
)
PROMPTS = [
    "<user>Why?</user>",
    "<system>S</system><developer>D</developer><user>Why?</user>",
    "<user>One</user><assistant>Two</assistant><user>Three</user>",
    "<developer>Greet.</developer>",
    '<user>Read it</user><assistant recipient="reader">{"a": 1}</assistant><tool name="reader">text</tool>',
    "<developer>Other</developer><user>seen</user>",
    "<user>One</user><assistant>Two</assistant><user>three!</user>",
    "<user>One</user><assistant>Two</assistant>",
]


def test_its_conversations_become_tests(tmp_path: Path) -> None:
    body = "".join(f"\n**Example**: t\n\n~~~xml\n{one}\n~~~\n" for one in PROMPTS)
    (tmp_path / "abcd.md").write_text(f"Examples:\n{body}")
    found = import_text(SPEC, "spec.md", options=ImportOptions(tests=str(tmp_path)))
    tests = found.constitution.principle("a").tests
    roles = {case.id: [turn.role for turn in case.conversations()[0]] for case in tests}
    assert roles == {
        "abcd-1": ["user"],
        "abcd-2": ["system", "system", "user"],
        "abcd-3": ["user", "assistant", "user"],
        "abcd-4": ["system"],
        "abcd-5": ["user", "assistant", "tool"],
    }
    assert found.counts["prompts read"] == 8 and found.counts["tests"] == 5
    assert found.counts["tests that are conversations"] == 4
    assert sorted(one.what for one in found.left_out) == [
        "an example or another test asks the same",
        "an example or another test asks the same",
        "nothing to ask: no message, an empty one, or answers",
        'what a tag says: name="reader"',
        'what a tag says: recipient="reader"',
    ]
    assert tests[1].to_dict()["conversation"][1] == {"role": "developer", "content": "D"}
    assert [one.code for one in lint(found.constitution) if one.level == "error"] == []
    assert import_text(found.text, "spec.md").text == found.text


def test_old_fingerprints_stand() -> None:
    """sha256 of the canonical tests of a shipped file, as it was before conversations were known."""
    tests = [case.to_dict() for p in Constitution.load("small").principles for case in p.tests]
    assert sha256_json(tests) == "dabd6fe96662ab6692dbe230d87875c012334529a54934fea4d072bf3de78494"
