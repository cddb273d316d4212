"""``charter revise`` as a person meets it, on the tiny model: rows, going on, and mistakes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from charter.cli.main import app
from charter.errors import CharterError, DataError
from charter.feedback.judging.model import Asking, Question, Reply
from charter.feedback.revising.writer import JudgeWriter
from charter.testing import save_tiny

CONSTITUTION = """---
constitution: 1
name: quiet
version: 0.1.0
---
# Style

## Quiet {#quiet authority=user}

An answer has no capital letters.

```yaml rules
all:
  - not: {regex: {pattern: "[A-Z]", ignore_case: false}}
```
"""


class Planted:
    """Answers in capitals, and revises into small letters; one prompt it cannot mend."""

    name = "planted"
    family = "none"
    asked = 0

    def answer(self, questions: list[Question], asking: Asking) -> list[list[Reply]]:
        type(self).asked += len(questions)
        return [[Reply(self._say(one), model=self.name)] for one in questions]

    def _say(self, question: Question) -> str:
        last = question.turns[-1].content
        if last.startswith("Look"):
            return "It has capitals."
        if last.startswith("Please say that again"):
            return question.turns[-2].content.lower()
        if last.startswith("Now"):
            before = question.turns[-4].content
            return f"{before} STILL" if "STUBBORN" in before else before.lower()
        return f"ABOUT {last.upper()}"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    Planted.asked = 0
    monkeypatch.setattr(
        "charter.pipeline.revising.open_writer", lambda spec, **options: JudgeWriter(Planted())
    )
    monkeypatch.chdir(tmp_path)
    (tmp_path / "c.constitution.md").write_text(CONSTITUTION, "utf-8")
    rows = [
        {"prompt": [{"role": "user", "content": text}], "id": text} for text in ("cats", "stubborn", "dogs")
    ]
    (tmp_path / "p.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return tmp_path


def charter(*arguments: str) -> Any:
    given = [
        "revise",
        "some/model",
        "--constitution",
        "c.constitution.md",
        "--prompts",
        "p.jsonl",
        *arguments,
    ]
    return CliRunner().invoke(app, given, catch_exceptions=True)


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_rows_of_both_kinds_and_the_turns(project: Path) -> None:
    found = charter("--output-dir", "out")
    assert found.exit_code == 0, found.output
    assert "3 prompts with a revision" in found.output and "rows for sft: out/sft.jsonl" in found.output
    pairs = rows(project / "out" / "preference.jsonl")
    assert [(row["chosen"][0]["content"], row["rejected"][0]["content"]) for row in pairs] == [
        ("about cats", "ABOUT CATS"),
        ("ABOUT STUBBORN STILL", "ABOUT STUBBORN"),
        ("about dogs", "ABOUT DOGS"),
    ]
    assert {row["principle"] for row in pairs} == {"quiet"} and all(
        len(row["principle_sha"]) == 64 for row in pairs
    )
    assert len(rows(project / "out" / "sft.jsonl")) == len(rows(project / "out" / "revised.jsonl")) == 3
    summary = json.loads((project / "out" / "summary.json").read_text())
    assert summary["principles"] == {"quiet": 3} and set(summary["prompt_shas"]) >= {"critique", "revision"}


def test_only_what_the_rules_find_better(project: Path) -> None:
    found = charter("--output-dir", "out", "--only-better", "--to", "preference")
    assert found.exit_code == 0, found.output
    assert [row["id"] for row in rows(project / "out" / "preference.jsonl")] == ["cats", "dogs"]
    assert "1 revisions that pass no more of the rules than the answer" in found.output
    assert not (project / "out" / "sft.jsonl").exists()


def test_rules_as_the_critic(project: Path) -> None:
    found = charter("--output-dir", "out", "--critic", "rules", "--to", "preference")
    assert found.exit_code == 0, found.output
    assert "3 revisions used" in found.output
    pairs = rows(project / "out" / "preference.jsonl")
    assert {row["criticised_by"] for row in pairs} == {"rules"}
    assert pairs[0]["chosen"][0]["content"] == "about cats"
    for option in ("--no-few-shot", "--max-critique-length=9", "--only-better"):
        refused = charter("--output-dir", "no", "--critic", "rules", option)
        name = option.replace("--no-", "--").split("=")[0]
        assert f"{name} has no effect with --critic rules" in str(refused.exception)
    (project / "c.constitution.md").write_text(CONSTITUTION.partition("```")[0], "utf-8")
    refused = charter("--output-dir", "no", "--critic", "rules")
    assert "the rules cannot criticise anything" in str(refused.exception)
    assert not (project / "no").exists()


def test_the_same_command_asks_nothing_twice(project: Path) -> None:
    charter("--output-dir", "out", "--rounds", "2")
    asked, before = Planted.asked, (project / "out" / "sft.jsonl").read_bytes()
    assert charter("--output-dir", "out", "--rounds", "2").exit_code == 0
    assert Planted.asked == asked and (project / "out" / "sft.jsonl").read_bytes() == before
    assert (
        sum(
            "conversation" in row or "text" in row
            for row in rows(project / "out" / "critiques.journal.jsonl")
        )
        > 3
    )


def test_answers_in_the_file_are_the_first_answers(project: Path) -> None:
    row = {
        "prompt": [{"role": "user", "content": "q"}],
        "completion": [{"role": "assistant", "content": "GIVEN"}],
    }
    (project / "p.jsonl").write_text(json.dumps(row) + "\n", "utf-8")
    assert charter("--output-dir", "out").exit_code == 0
    assert rows(project / "out" / "preference.jsonl")[0]["rejected"][0]["content"] == "GIVEN"


def test_nothing_left_is_an_error_that_says_why(project: Path) -> None:
    (project / "p.jsonl").write_text(json.dumps({"prompt": "stubborn"}) + "\n", "utf-8")
    found = charter("--output-dir", "out", "--only-better")
    assert isinstance(found.exception, DataError)
    assert "no revision is left" in str(found.exception) and "pass no more of the rules" in str(
        found.exception
    )
    assert rows(project / "out" / "revised.jsonl")[0]["steps"][0]["revision"] == "ABOUT STUBBORN STILL"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--principle", "quit"), "did you mean 'quiet'"),
        (("--prompts", "none.jsonl"), "no such file"),
        (("--constitution", "none.md"), "no such file"),
        (("--wording", "none.yaml"), "no such file"),
    ],
)
def test_mistakes_are_found_before_anything_is_asked(
    project: Path, arguments: tuple[str, ...], words: str
) -> None:
    found = charter(*arguments)
    assert isinstance(found.exception, CharterError) and words in str(found.exception)
    assert Planted.asked == 0


def test_the_real_machinery_runs_on_the_tiny_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    save_tiny(str(tmp_path / "model"), max_position_embeddings=4096)
    (tmp_path / "c.constitution.md").write_text(CONSTITUTION, "utf-8")
    (tmp_path / "p.jsonl").write_text('{"prompt": "one"}\n{"prompt": "two"}\n', "utf-8")
    given = [
        "revise",
        "model",
        "--constitution",
        "c.constitution.md",
        "--prompts",
        "p.jsonl",
        "--no-few-shot",
    ]
    limits = ["--max-completion-length", "6", "--max-critique-length", "6", "--output-dir", "out"]
    found = CliRunner().invoke(app, [*given, *limits])
    # Random weights rarely end a turn: whatever they wrote is counted, and nothing cut off is trained on.
    turns = rows(tmp_path / "out" / "revised.jsonl")
    assert len(turns) == 2 and all("model@" in turn["answered_by"] for turn in turns)
    kept = [turn for turn in turns if turn["final"] is not None]
    assert (found.exit_code == 0) == bool(kept)
    assert all(turn["dropped"] == "answers cut off by the length limit" or turn["steps"] for turn in turns)
