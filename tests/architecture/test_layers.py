"""The layers of ``.importlinter`` hold, and would be seen to be broken."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def lint(source: Path) -> subprocess.CompletedProcess[str]:
    code = "from importlinter.cli import lint_imports; import sys; sys.exit(lint_imports(no_cache=True))"
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(source)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_contracts_are_kept() -> None:
    done = lint(ROOT / "src")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("stats/upward.py", "from charter.models import score"),
        ("objectives/sideways.py", "import charter.data.packing"),
        ("reporting/writer.py", "import charter.training"),
        ("feedback/helper.py", "import charter.testing"),
        ("unknown_layer.py", "x = 1"),
    ],
)
def test_a_broken_layer_is_seen(tmp_path: Path, module: str, line: str) -> None:
    source = tmp_path / "src"
    ignore = shutil.ignore_patterns("__pycache__", "*.egg-info")
    shutil.copytree(ROOT / "src" / "charter", source / "charter", ignore=ignore)
    (source / "charter" / module).write_text(line + "\n")
    done = lint(source)
    assert done.returncode == 1, done.stdout + done.stderr
    assert Path(module).stem in done.stdout
