"""Every command stands on a page that people read."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from charter.cli.main import app

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
COMMANDS = sorted(
    {command.name for command in app.registered_commands if command.name}
    | {group.name for group in app.registered_groups if group.name}
)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_is_on_a_page(name: str) -> None:
    pattern = re.compile(rf"charter (?:[a-z-]+ \| )*{name}\b(?!-)")
    assert any(pattern.search(page.read_text(encoding="utf-8")) for page in PAGES)


def test_every_page_is_in_the_index() -> None:
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    linked = set(re.findall(r"\]\(([^)#]+)", index))
    pages = {
        page.relative_to(ROOT / "docs").as_posix()
        for page in (ROOT / "docs").rglob("*.md")
        if page.parent.name not in ("algorithms", "demo") and page != ROOT / "docs" / "README.md"
    }
    assert pages <= linked
    assert all((ROOT / "docs" / link).exists() for link in linked)
