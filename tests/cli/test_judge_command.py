"""``charter judge`` with rules, with a local model and with mistakes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from charter.cli.main import app
from charter.errors import UserError
from charter.records import read_groups, write_groups
from charter.testing import save_tiny
from charter.types import Completion, Context, Group, Message, PairTarget, Sample

LAW = """---
constitution: 1
name: small
judge: {seeds: 1}
---
## Brief {#brief authority=user}
```yaml rules
all: [{length: {max_words: 3}}]
```
## Is kind {#kind authority=user}
Takes people seriously.
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("judge")
    save_tiny(str(found / "tiny"), max_position_embeddings=4096)
    (found / "small.constitution.md").write_text(LAW, "utf-8")
    context = Context((Message("user", "Hello?"),))
    texts = ("Hi.", "Hello there my friend", "Go away now please")
    samples = tuple(Sample(context, Completion((Message("assistant", text),))) for text in texts)
    write_groups(found / "samples.jsonl", [Group(samples, id="g")])
    return found


def charter(folder: Path, *more: str) -> Result:
    arguments = [
        "judge",
        str(folder / "samples.jsonl"),
        "--constitution",
        str(folder / "small.constitution.md"),
    ]
    return CliRunner().invoke(app, [*arguments, *more])


def as_json(folder: Path, *more: str) -> Any:
    found = charter(folder, "--json", *more)
    assert found.exit_code == 0, found.output
    return json.loads(found.stdout)


def test_rules_are_the_default(folder: Path) -> None:
    found = as_json(folder)
    assert found["judge"] == "rules"
    assert found == as_json(folder, "--judge", "rules")
    brief, kind = found["principles"]["brief"], found["principles"]["kind"]
    assert (brief["passed"], brief["n"]) == (1, 3)
    assert (kind["rate"], kind["missing"]) == (None, {"not_measured": 3})
    shown = charter(folder)
    assert "33%" in shown.stdout
    assert "not measured" in shown.stdout


def test_a_model_judges_what_rules_cannot(folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "judged.jsonl"
    found = as_json(folder, "--judge", str(folder / "tiny"), "--output", str(output))
    assert found["principles"]["brief"]["n"] == 3
    assert found["tally"]["questions"] == 3
    (group,) = read_groups(output)
    kind = [one for one in group.judgements if one.principle == "kind"]
    assert all("/per_principle@" in one.judge for one in kind)
    assert next(one for one in group.judgements if one.principle == "brief").judge == "rule"
    assert found["tally"]["garbage_share"] == 0.0
    assert not output.with_name("judged.jsonl.replies").exists()  # only an endpoint's replies are kept


def test_pairs(folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "judged.jsonl"
    judge = ("--judge", str(folder / "tiny"), "--form", "pairwise", "--output", str(output))
    row = as_json(folder, *judge, "--both-orders")["pairs"]["kind"]
    assert row["pairs"] == 3 == row["decided"] + row["ties"] + row["disagree"] + row["other"]
    (group,) = read_groups(output)
    assert sum(isinstance(one.target, PairTarget) for one in group.judgements) == 3
    assert as_json(folder, *judge, "--given-order")["tally"]["questions"] == 3
    shown = charter(folder, *judge)
    assert "orders disagree" in shown.stdout


def test_garbage_is_shown(folder: Path) -> None:
    found = charter(folder, "--judge", str(folder / "tiny"), "--method", "words")
    assert found.exit_code == 0, found.output
    assert "3 unreadable (100%)" in found.stderr
    assert "3 error" in found.stdout
    assert "No card says" in found.stderr
    assert "do not say which model wrote them" in found.stderr


def test_a_judge_may_be_held_to_some_principles(folder: Path) -> None:
    more = ("--judge", str(folder / "tiny"), "--only", "brief")
    assert as_json(folder, *more)["principles"]["kind"]["missing"] == {"not_measured": 3}
    assert "No card says" not in charter(folder, *more).stderr


def test_a_relative_is_kept_out(folder: Path) -> None:
    more = ("--judge", str(folder / "tiny"), "--answerer-family", "tiny")
    assert as_json(folder, *more)["principles"]["kind"]["missing"] == {"not_measured": 3}
    allowed = as_json(folder, *more, "--self-family", "allow")
    assert "not_measured" not in allowed["principles"]["kind"]["missing"]
    assert allowed["tally"]["questions"] == 3


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--form", "rubric"], "--form has no effect on rules"),
        (["--seeds", "3"], "--seeds has no effect on rules"),
        (["--judge", "rules", "--both-orders"], "--both-orders has no effect on rules"),
        (["--judge", "rules", "--judge", "tiny"], "needs a model"),
        (["--judge", "no-such-model"], "no-such-model"),
        (["--judge", "{tiny}", "--form", "rubrik"], "did you mean 'rubric'"),
        (["--judge", "{tiny}", "--method", "guess"], "no such value: 'guess'"),
        (["--judge", "{tiny}", "--self-family", "never"], "no such value: 'never'"),
        (["--judge", "{tiny}", "--panel-min", "2"], "a panel of 2"),
        (["--judge", "{tiny}", "--judge", "{tiny}"], "same judge twice"),
        (["--judge", "{tiny}", "--only", "kidn"], "did you mean 'kind'"),
        (["--judge", "{tiny}", "--pass-at", "9"], "pass_at 9 is above the scale"),
        (["--judge", "{tiny}", "--form", "reasons", "--method", "options"], "answered in words"),
        (["--judge", "{tiny}", "--max-chars", "3"], "at least 100"),
        (["--judge", "endpoint:m"], "endpoint"),
    ],
)
def test_mistakes(folder: Path, more: list[str], words: str) -> None:
    found = charter(folder, *(one.format(tiny=folder / "tiny") for one in more))
    assert isinstance(found.exception, UserError)
    assert words in str(found.exception)
