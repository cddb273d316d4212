"""Tests that stand in training data are found, and where."""

import pytest

from charter.constitution import Constitution
from charter.constitution.lint_training import RUN, lint_training

TEXT = (
    "## A {#a authority=user}\n\nDo.\n\n```yaml tests\n"
    "- {id: one, kind: judge, prompt: 'Why is the sky blue?'}\n"
    "- {id: long, kind: judge, prompt: 'a1 a2 a3 a4 a5 a6 a7 a8 a9 a10'}\n"
    "- {id: two, kind: invariance, prompts: ['First?', 'Second, then?'], same: answer}\n```\n"
    "\n## B {#b authority=user status=retired}\n\n```yaml tests\n"
    "- {id: old, kind: judge, prompt: 'Never mind?'}\n```\n"
)


def found(*texts):
    rows = [(f"d:{number}", text) for number, text in enumerate(texts, start=1)]
    return [
        (finding.level, finding.code, finding.where, finding.message)
        for finding in lint_training(Constitution.from_text(TEXT, "x.md"), rows)
    ]


def test_the_prompt_itself():
    [(level, code, where, message)] = found("other", "why is the SKY blue", "Why is the sky blue?")
    assert (level, code, where) == ("error", "test-in-training", "x.md:6")
    assert message == "test 'one' is trained on: d:2"


def test_any_clothing_of_an_invariance_test():
    assert found("second then")[0][:3] == ("error", "test-in-training", "x.md:8")


def test_a_shared_run_of_words():
    [(level, code, where, message)] = found("x a2 a3 a4 a5 a6 a7 a8 a9 y")
    assert (level, code, where) == ("warning", "test-near-training", "x.md:7")
    assert "'a2 a3 a4 a5 a6 a7 a8 a9' with d:1" in message


@pytest.mark.parametrize(
    "text",
    ["Why is the sky blue today?", "a2 a3 a4 a5 a6 a7 a8", "", "Never mind?", "First? Second, then?", "?!"],
)
def test_what_is_no_leak(text):
    assert RUN == 8 and found(text) == []


def test_no_tests_and_no_data():
    assert lint_training(Constitution.from_text("## A {#a authority=user}\nDo.\n"), [("d:1", "x")]) == []
    assert found() == []
