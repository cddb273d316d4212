"""The command, and language models as judges, through a script that stands for the model."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
from judge_card_judges import POLITE, TRUE, constitution, label_rows, truth, written
from typer.testing import CliRunner, Result

from charter.cli.judge_card import judge_card_command
from charter.evaluation.judge_card.examine import examine
from charter.evaluation.judge_card.labels import read_labels
from charter.evaluation.judge_card.subjects import open_subject
from charter.testing.judge import ScriptedJudge, ScriptedOptionJudge

RULES = constitution()
TITLES = {"Is polite": POLITE, "Is sure": TRUE}
Use = Callable[..., None]


def told(title: str, answer: str) -> bool:
    """The truth; of a principle that is turned round, the opposite."""
    usual = title.removeprefix("The opposite of: ")
    return truth(TITLES[usual], answer) == (usual == title)


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> Use:
    """Whatever model is named, a scripted one answers."""

    def use(**faults: Any) -> None:
        judge = (ScriptedOptionJudge if faults.pop("options", False) else ScriptedJudge)(told, **faults)
        monkeypatch.setattr("charter.feedback.judging.open_judge.open_model", lambda *_, **__: judge)

    return use


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "c.md").write_text(written())
    (tmp_path / "labels.jsonl").write_text("".join(json.dumps(row) + "\n" for row in label_rows()))
    return tmp_path


def run(files: Path, judge: str, *options: str) -> Result:
    app = typer.Typer()
    app.command()(judge_card_command)
    return CliRunner().invoke(app, [judge, "--constitution", str(files / "c.md"), *options])


@pytest.mark.parametrize("form", ["per_principle", "pairwise", "rubric", "reasons", "all_at_once"])
def test_an_honest_model_is_cleared_in_every_form(scripted: Use, form: str) -> None:
    scripted()
    card = examine(open_subject("model", form=form), RULES, labels=read_labels(label_rows(), RULES))
    assert card.usable == {POLITE, TRUE}, card.principles[0].why
    assert card.principles[0].criterion("flipped").result == "pass"


@pytest.mark.parametrize(
    ("form", "faults", "criterion"),
    [
        ("per_principle", {"yes_man": True, "options": True}, "pairs"),
        ("per_principle", {"yes_man": True}, "pairs"),
        ("pairwise", {"position": 0.7}, "position"),
        ("pairwise", {"length": 0.7}, "pairs"),
        ("per_principle", {"sensitivity": 0.5, "specificity": 0.5}, "labels"),
    ],
)
def test_a_planted_fault_of_a_model_is_found_out(
    scripted: Use, form: str, faults: dict[str, Any], criterion: str
) -> None:
    scripted(**faults)
    card = examine(open_subject("model", form=form), RULES, labels=read_labels(label_rows(), RULES))
    found = {one.name: one for one in (*card.wide, *card.principles[0].criteria)}
    assert found[criterion].result == "fail", found[criterion].why
    assert not card.usable


def test_a_model_that_is_down_is_undecided_and_not_wrong(scripted: Use) -> None:
    scripted(down=True)
    card = examine(open_subject("model", form="per_principle"), RULES)
    assert card.exit_code == 6 and card.principles[0].criterion("pairs").result == "not_measured"
    assert any("down" in reason for reason in card.principles[0].missing)


def test_the_command(scripted: Use, files: Path) -> None:
    scripted()
    labels = str(files / "labels.jsonl")
    found = run(files, "model", "--labels", labels, "--output", str(files / "card.json"))
    assert found.exit_code == 0, found.output
    assert "calibrated" in found.output and "asked the opposite question" in found.output
    card = json.loads((files / "card.json").read_text())
    assert card["usable"] == [POLITE, TRUE] and card["principles"][0]["errors"]["sensitivity"] == 1.0


def test_json_and_exit_codes(scripted: Use, files: Path) -> None:
    scripted(sensitivity=0.5, specificity=0.5)
    found = run(files, "model", "--json")
    assert found.exit_code == 1
    assert json.loads(found.stdout)["principles"][0]["use"] == "refused"


def test_the_baseline_fails_its_card(files: Path) -> None:
    found = run(files, "longest", "--json")
    card = json.loads(found.stdout)
    assert found.exit_code == 1 and card["usable"] == []
    assert card["principles"][0]["criteria"][1]["result"] == "fail"


def test_the_anchor_set_is_written_once_and_then_compared(scripted: Use, files: Path) -> None:
    anchor = files / "anchor.json"
    scripted()
    options = ("--anchor", str(anchor), "--labels", str(files / "labels.jsonl"), "--json")
    assert run(files, "model", *options).exit_code == 0
    frozen = anchor.read_text()
    assert run(files, "model", *options).exit_code == 0
    scripted(sensitivity=0.6, specificity=0.6)
    card = json.loads(run(files, "model", *options).stdout)
    assert card["judge_wide"][-1]["name"] == "drift" and card["judge_wide"][-1]["result"] == "fail"
    assert anchor.read_text() == frozen


def test_only_what_is_asked_for(scripted: Use, files: Path) -> None:
    scripted()
    card = json.loads(run(files, "model", "--principle", TRUE, "--json").stdout)
    assert [one["principle"] for one in card["principles"]] == [TRUE]
    clash = run(files, "model", "--principle", TRUE, "--all")
    assert "exclude each other" in str(clash.exception)
