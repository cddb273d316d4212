"""``charter model`` prints what its functions return."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from charter.cli.model import app
from charter.errors import UserError
from charter.testing import save_tiny


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CHARTER_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_list_shows_what_is_cached_damaged_and_missing(own_cache: Path) -> None:
    save_tiny(str(own_cache / "models" / "unfinished"))
    lines = CliRunner().invoke(app, ["list"]).stdout.splitlines()
    assert lines == [
        "smollm2-135m  not fetched yet: charter model pull smollm2-135m",
        "unfinished  damaged: charter-model.json is missing or unreadable",
    ]


def test_path_of_a_run(tmp_path: Path) -> None:
    save_tiny(str(tmp_path / "run" / "model"))
    result = CliRunner().invoke(app, ["path", str(tmp_path / "run")])
    assert result.stdout.strip() == str(tmp_path / "run" / "model")


def test_export_prints_the_evidence(tmp_path: Path) -> None:
    save_tiny(str(tmp_path / "run" / "model"))
    result = CliRunner().invoke(app, ["export", str(tmp_path / "run"), str(tmp_path / "out")])
    assert result.exit_code == 0
    assert f"model written to {tmp_path / 'out'}" in result.stdout
    assert "at most 0" in result.stdout
    assert (tmp_path / "out" / "model.safetensors").exists()


def test_errors_reach_the_caller_as_they_are() -> None:
    result = CliRunner().invoke(app, ["pull", "nothing-like-this"])
    assert isinstance(result.exception, UserError)
