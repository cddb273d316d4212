"""``charter init`` writes files that work, once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from charter.cli.init import HELD_OUT, TRAINING, init_command, starter_files, write_starter
from charter.constitution import Constitution
from charter.constitution.lint import lint
from charter.errors import EnvironmentFault, UserError
from charter.feedback.lint_rules import lint_rules

app = typer.Typer()
app.command()(init_command)


def test_the_constitution_is_sound(tmp_path: Path) -> None:
    write_starter(tmp_path)
    constitution = Constitution.load(tmp_path / "house.constitution.md")
    assert len(constitution.active) == 3
    assert all(principle.rules is not None for principle in constitution.active)
    assert lint(constitution) + lint_rules(constitution) == []


def test_prompts_are_tagged_rows_and_none_is_in_both_files(tmp_path: Path) -> None:
    write_starter(tmp_path)
    files = [tmp_path / "prompts.jsonl", tmp_path / "heldout.jsonl"]
    rows = [[json.loads(line) for line in file.read_text().splitlines()] for file in files]
    assert [len(part) for part in rows] == [12, 12]
    every = rows[0] + rows[1]
    texts = [row["prompt"][0]["content"] for row in every]
    assert len(set(texts)) == len({row["id"] for row in every}) == 24
    assert all(row["prompt"][0]["role"] == "user" and row["tags"] for row in every)
    identity = [sum("identity" in row["tags"] for row in part) for part in rows]
    assert identity == [4, 4]  # the principle on identity applies to these alone
    assert set(TRAINING).isdisjoint(HELD_OUT)


def test_it_says_what_to_do_next(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, [str(tmp_path / "my start")])
    assert result.exit_code == 0
    assert f"cd '{tmp_path / 'my start'}'" in result.stdout
    assert "charter constitution lint house.constitution.md" in result.stdout
    assert {path.name for path in (tmp_path / "my start").iterdir()} == set(starter_files())


def test_it_starts_in_this_directory_by_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, [])
    assert (tmp_path / "heldout.jsonl").exists()
    assert "  cd " not in result.stdout


def test_nothing_is_overwritten_and_nothing_is_half_written(tmp_path: Path) -> None:
    (tmp_path / "heldout.jsonl").write_text("mine")
    with pytest.raises(UserError, match=r"not overwritten: heldout\.jsonl"):
        write_starter(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["heldout.jsonl"]
    assert (tmp_path / "heldout.jsonl").read_text() == "mine"


def test_other_files_do_not_matter(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("")
    write_starter(tmp_path)
    assert (tmp_path / "prompts.jsonl").exists()


def test_a_file_is_not_a_directory(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="this is a file"):
        write_starter(tmp_path / "file")
    with pytest.raises(EnvironmentFault, match="cannot be made"):
        write_starter(tmp_path / "file" / "below")
