"""Rules as the critic: what they find, what is asked, and which revisions are kept."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from planted_models import Script, answered, prompt

from charter.constitution import Constitution
from charter.errors import ConfigError, DataError
from charter.feedback.revising.options import ReviseOptions
from charter.feedback.revising.revise import revise
from charter.feedback.revising.rows import revision_preference_rows, sft_rows
from charter.feedback.revising.writer import Conversation, Written
from charter.pipeline.revising import revise_into

TEXT = """---
constitution: 1
name: planted
version: 0.1.0
levels: [user]
---
# All {#all}

## Short {#short authority=user}

An answer has at most six words.

```yaml rules
all: [length: {max_words: 6, finished: true}]
```

## No lists {#plain authority=user}

An answer holds no list.

```yaml rules
all: [list_free]
```

## Says it is a machine {#machine authority=user}

Asked about itself, it says that it is a machine.

```yaml rules
applies_when: {prompt_tag: identity}
all: [regex: machine]
```

## Kind {#kind authority=user}

An answer is kind.
"""

LONG_LIST = "- one two three\n- four five six seven."


def constitution(text: str = TEXT) -> Constitution:
    return Constitution.from_text(text, "planted.constitution.md")


def mends(turns: Conversation) -> str:
    """Mends exactly what it is asked to mend."""
    last, answer = turns[-1].content, turns[-2].content if len(turns) > 1 else ""
    if not last.startswith("Please say that again"):
        return LONG_LIST
    if "sentence" in last:
        return "- one two." if answer.startswith("-") else "One two."
    if "without a list" in last:
        return answer.replace("- ", "")
    return f"{answer} A machine."


def rounds(
    say: object = mends, many: int = 3, prompts: object = None, **options: object
) -> tuple[Script, object]:
    script = Script(say)  # type: ignore[arg-type]
    found = revise(
        prompts or [prompt("hello")],  # type: ignore[arg-type]
        constitution(),
        script,
        options=ReviseOptions(rounds=many, **options),  # type: ignore[arg-type]
        by_rules=True,
    )
    return script, found


def test_rounds_mend_one_fault_after_another_and_then_stop() -> None:
    script, found = rounds(many=5)
    (record,) = found.records
    assert (record.answer, record.final) == (LONG_LIST, "one two.")
    assert [step.outcome for step in record.steps] == ["used", "used"], "three rounds had nothing to mend"
    assert {step.principle for step in record.steps} == {"short", "plain"}
    assert len(script.asked) == 3
    assert (record.criticised_by, record.revised_by) == ("rules", "script")
    assert found.counts["rounds"] == 2 and found.counts["revisions used"] == 2
    assert set(found.shas) == {"rule_revision"}


def test_the_request_names_the_fault_and_the_row_says_what_the_rules_said() -> None:
    script, found = rounds(many=1)
    (step,) = found.records[0].steps
    said = {
        "short": ("Short: 7 words, more than 6.", "Please say that again in one short sentence."),
        "plain": (
            "No lists: list, heading or table at '- o'.",
            "Please say that again as plain text without a list.",
        ),
    }
    assert (step.critique, step.revision_request) == said[step.principle]
    assert [turn.role for turn in script.asked[-1]] == ["user", "assistant", "user"]
    assert step.critique_request == "" and step.prompt_shas == ("", found.shas["rule_revision"])


def test_what_no_rule_puts_into_words_is_asked_in_the_principles() -> None:
    machine = [prompt("who are you?", tags=["identity"])]
    script, found = rounds(lambda turns: "One." if len(turns) == 1 else "A machine.", 1, machine)
    assert script.asked[-1][-1].content == (
        "Please say that again so that this holds: Says it is a machine. "
        "Asked about itself, it says that it is a machine."
    )
    assert found.records[0].final == "A machine."


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [
        ("One two.", "used"),
        ("One two three four five six seven.", "no better"),  # too long still
        ("- One two.", "no better"),  # mends one, breaks another
        ("One two", "no better"),  # does not end
        (Written("One two.", cut=True), "cut off"),
        ("", "empty"),
        ("a b c d e f g.", "unchanged"),
    ],
)
def test_a_revision_counts_if_it_mends_something_and_breaks_nothing(
    reply: str | Written, outcome: str
) -> None:
    _, found = rounds(lambda turns: "a b c d e f g." if len(turns) == 1 else reply, many=1)
    assert [step.outcome for step in found.records[0].steps] == [outcome]
    assert found.counts["rounds"] == 1
    assert bool(sft_rows(found.records)) == (outcome == "used")


def test_a_failed_try_is_tried_again_with_another_seed() -> None:
    tries: list[str] = []

    def say(turns: Conversation) -> str:
        if len(turns) == 1:
            return "a b c d e f g."
        tries.append(turns[-1].content)
        return "One two." if len(tries) == 3 else "h i j k l m n o."

    script, found = rounds(say, many=4)
    assert [step.outcome for step in found.records[0].steps] == ["no better", "no better", "used"]
    assert len(set(tries)) == 1, "the same is asked of the same answer"
    assert [writing.seed for writing in script.writings[1:]] == [0, 1, 2]


def test_an_answer_that_was_cut_off_is_a_fault_like_another() -> None:
    cut = Written("one two", cut=True)
    _, found = rounds(lambda turns: cut if len(turns) == 1 else "One two.", many=1)
    (record,) = found.records
    assert record.answer_cut and record.final == "One two."
    assert record.steps[0].critique == "Short: cut off by the length limit."
    (row,) = revision_preference_rows([record])
    assert row["finish_reasons"] == ["stop", "length"] and row["criticised_by"] == "rules"
    assert record.to_json()["answer_cut"] is True


def test_answers_without_a_fault_are_counted_and_left_alone() -> None:
    script, found = rounds(lambda turns: "One two.")
    assert found.records[0].dropped and len(script.asked) == 1
    assert found.counts["answers in which the rules find no fault"] == 1
    assert found.counts["prompts without a usable revision"] == 0


def test_escaping_a_rule_is_no_mending() -> None:
    """Readability abstains on a few words; an answer cut down to them has not become plainer."""
    rules = TEXT.replace("max_words: 6, finished: true", "max_words: 60").replace(
        "all: [list_free]", "all: [readability: {metric: coleman_liau_index, max: 10}]"
    )
    heavy = "Institutional infrastructure facilitates multidimensional environmental considerations " * 2
    found = revise(
        [prompt("x")],
        constitution(rules),
        Script(lambda turns: heavy if len(turns) == 1 else "Infrastructure."),
        by_rules=True,
    )
    assert [step.outcome for step in found.records[0].steps] == ["no better"]


def test_only_named_principles_are_mended_and_no_other_may_break() -> None:
    _, found = rounds(many=4, principles=("plain",))
    assert {step.principle for step in found.records[0].steps} == {"plain"}
    worse = "one two three four five six seven"  # no list any more, but it no longer ends
    short = [answered("hello", "- one two.")]
    _, found = rounds(lambda turns: worse, 1, short, principles=("plain",))
    assert [step.outcome for step in found.records[0].steps] == ["no better"]


def test_without_rules_there_is_no_such_critic() -> None:
    script = Script(mends)
    options = ReviseOptions(principles=("kind",))
    with pytest.raises(ConfigError, match="the rules cannot criticise"):
        revise([prompt("x")], constitution(), script, options=options, by_rules=True)
    assert not script.asked


def test_a_broken_rule_is_never_a_fault_of_the_answer(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "def check(completion, prompt):\n"
        "    if completion == 'boom':\n        raise OSError('no disk')\n"
        "    return completion == 'good'\n"
    )
    file = tmp_path / "c.constitution.md"
    file.write_text(TEXT.replace("all: [list_free]", "all: [callable: 'mine.py:check']"), "utf-8")
    options = ReviseOptions(principles=("plain",))
    for first, second, count in (
        ("boom", "good", "answers to which a rule could not be applied"),
        ("bad.", "boom", "rounds that failed"),
    ):
        script = Script(lambda turns, a=first, b=second: a if len(turns) == 1 else b)
        found = revise([prompt("x")], Constitution.load(file), script, options=options, by_rules=True)
        assert found.counts[count] == 1 and not found.revised


def test_files_and_going_on(tmp_path: Path) -> None:
    prompts = [prompt(f"q{number}") for number in range(3)]
    script = Script(mends)
    options = ReviseOptions(rounds=2)
    summary = revise_into(tmp_path, prompts, constitution(), script, options=options, by_rules=True)
    assert (summary["criticised_by"], summary["revised_by"]) == ("rules", "script")
    assert summary["counts"]["rows"] == 3 and set(summary["prompt_shas"]) == {"rule_revision"}
    assert not (tmp_path / "critiques.journal.jsonl").exists()
    rows = (tmp_path / "sft.jsonl").read_text("utf-8")
    assert json.loads(rows.splitlines()[0])["criticised_by"] == "rules"
    silent = Script(lambda turns: pytest.fail("asked again"))
    revise_into(tmp_path, prompts, constitution(), silent, options=options, by_rules=True)
    assert (tmp_path / "sft.jsonl").read_text("utf-8") == rows
    with pytest.raises(ConfigError, match="only_better has no effect"):
        revise_into(tmp_path, prompts, constitution(), script, by_rules=True, only_better=True)
    with pytest.raises(DataError, match="no revision is left"):
        revise_into(tmp_path / "no", prompts, constitution(), Script(lambda _: LONG_LIST), by_rules=True)
