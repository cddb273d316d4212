"""``charter distil-judge``: from files to a judge, and mistakes found before a model is loaded."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from planted_principles import COIN, SHOUTS, label_rows, written
from typer.testing import CliRunner, Result

from charter.cli.distil_judge import distil_judge_command
from charter.errors import CharterError
from charter.records import write_groups
from charter.testing import save_tiny
from charter.types import Completion, Context, Group, Judgement, Message, Sample, SampleTarget


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "c.md").write_text(written(pairs=8))
    (tmp_path / "labels.jsonl").write_text("".join(json.dumps(row) + "\n" for row in label_rows(10)))
    return tmp_path


def run(files: Path, *options: str) -> Result:
    app = typer.Typer()
    app.command()(distil_judge_command)
    return CliRunner().invoke(app, [str(files / "c.md"), "--out", str(files / "judge"), *options])


def test_every_source_is_counted(files: Path) -> None:
    save_tiny(str(files / "model"), max_position_embeddings=1024)
    said = Judgement(SampleTarget(0), 0.0, principle=COIN, judge="other")
    group = Group(
        (Sample(Context((Message("user", "Well?"),)), Completion((Message("assistant", "tea and maps"),))),),
        (said,),
    )
    write_groups(files / "groups.jsonl", [group])
    options = ("--answers", str(files / "groups.jsonl"), "--labels", str(files / "labels.jsonl"))
    result = run(files, "--model", str(files / "model"), *options, "--folds", "3", "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["principles"][SHOUTS]["rows"] == {
        "examples": {"good": 8, "bad": 8, "pairs": 8},
        "human": {"good": 5, "bad": 5, "pairs": 0},
    }
    assert found["principles"][COIN]["rows"]["judge:other"] == {"good": 0, "bad": 1, "pairs": 0}
    assert found["model"]["name"] == str((files / "model").resolve())
    assert len(found["heads"]) == 3 and set(found["held_out_by_source"]) == {
        "examples",
        "human",
        "judge:other",
    }


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--pooling", "median"), "pooling"),
        (("--depth", "2"), "depth"),
        (("--answers", "nowhere.jsonl"), "no such file"),
        (("--model", "nowhere/model"), "nowhere"),
    ],
)
def test_mistakes_are_found_before_a_model_is_loaded(
    files: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], told: str
) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("a model was loaded")

    monkeypatch.setattr("charter.models.load.load", never)
    result = run(files, *options)
    assert isinstance(result.exception, CharterError)
    assert told in str(result.exception)
    assert not (files / "judge").exists()
