"""``charter init`` writes files that work, once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
import yaml
from typer.testing import CliRunner

from charter.cli.init import init_command, write_starter
from charter.cli.main import app as charter_app
from charter.constitution import Constitution
from charter.constitution.lint import lint
from charter.errors import EnvironmentFault, UserError
from charter.feedback.rules.lint import lint_rules
from charter.testing import save_tiny

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
    assert len(rows[0]) >= 30 and len(rows[1]) >= 40  # fewer show nothing
    every = rows[0] + rows[1]
    texts = [row["prompt"][0]["content"] for row in every]
    assert len(set(texts)) == len({row["id"] for row in every}) == len(every)
    assert all(row["prompt"][0]["role"] == "user" and row["tags"] for row in every)
    identity = [sum("identity" in row["tags"] for row in part) for part in rows]
    assert min(identity) >= 12  # the principle on identity applies to these alone


def test_the_recipe_is_one_that_check_accepts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_starter(tmp_path)
    (tmp_path / "tiny").mkdir()
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(recipe.read_text().replace("smollm2-135m ", f"{save_tiny(str(tmp_path / 'tiny'))} "))
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(charter_app, ["check", "recipe.yaml"])
    assert result.exit_code == 0, result.output
    kinds = [next(iter(stage)) for stage in yaml.safe_load(recipe.read_text())["stages"]]
    assert kinds == ["sample", "judge", "compare", "train", "evaluate", "report"]


def test_it_says_what_to_do_next(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, [str(tmp_path / "my start")])
    assert result.exit_code == 0
    assert f"cd '{tmp_path / 'my start'}'" in result.stdout
    for command in ("constitution lint house.constitution.md", "check recipe.yaml", "run recipe.yaml"):
        assert f"charter {command}" in result.stdout
        assert (tmp_path / "my start" / command.split()[-1]).is_file()


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
