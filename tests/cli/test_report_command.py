from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from charter.cli.report import report_command
from charter.errors import UserError

DATA = Path(__file__).parents[1] / "reporting" / "data"


@pytest.fixture
def app() -> typer.Typer:
    made = typer.Typer()
    made.command()(report_command)
    return made


def test_renders_again(app: typer.Typer, tmp_path: Path) -> None:
    shutil.copy(DATA / "report.json", tmp_path / "report.json")
    result = CliRunner().invoke(app, [str(tmp_path)])
    assert result.exit_code == 0, result.output
    assert (tmp_path / "report.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    other = tmp_path / "page.html"
    assert CliRunner().invoke(app, [str(tmp_path), "-o", str(other)]).exit_code == 0
    assert other.exists()


def test_says_what_to_do_without_a_report(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"report\.json") as caught:
        report_command(tmp_path)
    assert caught.value.exit_code == 2
    assert caught.value.fix


def test_needs_no_torch() -> None:
    code = "import sys, charter.cli.report, charter.reporting; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
