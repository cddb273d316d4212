"""Every command stands under one heading of the help, in one whole sentence."""

from __future__ import annotations

from collections import Counter

import typer
from typer.testing import CliRunner

from charter.cli.main import app
from charter.cli.sections import SECTIONS


def test_every_command_stands_under_one_heading() -> None:
    listed = Counter(name for names in SECTIONS.values() for name in names)
    assert set(listed) == set(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
    assert set(listed.values()) == {1}


def test_the_help_says_what_each_command_does_without_breaking_off() -> None:
    shown = CliRunner().invoke(app, ["--help"], terminal_width=80).stdout
    assert "..." not in shown.replace("COMMAND [ARGS]...", "")
    for title, names in SECTIONS.items():
        assert f"{title}:" in shown
        for name in names:
            assert any(line.split()[:1] == [name] and len(line.split()) > 2 for line in shown.splitlines())
