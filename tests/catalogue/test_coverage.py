"""docs/coverage.md names every algorithm, and only commands, options and pages that exist."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer

from charter.catalogue import ENTRIES
from charter.cli.main import app
from charter.cli.train import TrainGroup
from charter.config import validate

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "coverage.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"`charter ([^`]+)`", PAGE)


def cells(row: str) -> list[str]:
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", row.strip())[1:-1]]


def test_every_algorithm_is_covered() -> None:
    trained = {words.split()[1] for words in COMMANDS if words.startswith("train ")}
    assert sorted(set(ENTRIES) - trained) == []
    assert sorted(trained - set(ENTRIES)) == []


@pytest.mark.parametrize("command", [c for c in dict.fromkeys(COMMANDS) if c.startswith("train ")])
def test_training_commands_parse_and_their_options_are_valid(command: str) -> None:
    name, *arguments = shlex.split(command)[1:]
    parsed = TrainGroup().get_command(None, name).make_context(name, [*arguments, "--data", "x"])  # type: ignore[arg-type]
    given = {k: v for k, v in parsed.params.items() if v not in (None, ())}
    options = {k: v for k, v in given.items() if k in ENTRIES[name].options.model_fields and k != "preset"}
    options = {k: list(v) if isinstance(v, tuple) else v for k, v in options.items()}
    validate(ENTRIES[name].options, options, where=command)


def test_other_commands_exist() -> None:
    root: Any = typer.main.get_command(app)
    for command in COMMANDS:
        words = command.split()
        found = root
        while words and hasattr(found, "commands"):  # a verb of a group of verbs
            assert words[0] in found.commands, command
            found = found.commands[words.pop(0)]
        flags = [word for word in words if word.startswith("--")]
        if found.name != "train":
            names = {opt for parameter in found.params for opt in parameter.opts}
            assert set(flags) <= names, command


def test_scripts_exist() -> None:
    scripts = re.findall(r"`python ([^` ]+)", PAGE)
    assert len(scripts) >= 4
    assert [script for script in scripts if not (DOCS.parent / script).exists()] == []


def test_pages_exist() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", PAGE)
    assert len(links) > 40
    assert [link for link in links if not (DOCS / link).exists()] == []


def test_every_row_has_every_cell() -> None:
    width = 0
    for line in PAGE.splitlines():
        if line.startswith("|---"):
            width = len(cells(line))
        elif line.startswith("|") and width:
            assert len(cells(line)) == width, line
        elif not line.startswith("|"):
            width = 0


def test_slips_are_told_from_what_is_right() -> None:
    rows = [cells(line) for line in PAGE.partition("## Common slips")[2].splitlines() if line.startswith("|")]
    assert len(rows) > 25
    assert all(slip != right for _, slip, right in rows[2:])


def test_the_readme_counts_the_algorithms() -> None:
    text = " ".join((DOCS.parent / "README.md").read_text(encoding="utf-8").split())
    online = sum(entry.rollouts is not None for entry in ENTRIES.values())
    counts = (
        f"lists {len(ENTRIES)}.",
        f"{len(ENTRIES) - online} train on a data set",
        f"{online} train on what",
    )
    assert [count for count in counts if count not in text] == []


def test_options_named_in_the_online_guide_exist() -> None:
    page = (DOCS / "online.md").read_text(encoding="utf-8")
    fields = {name for entry in ENTRIES.values() for name in entry.options.model_fields}
    flags = {flag.replace("-", "_") for flag in re.findall(r"--([a-z][a-z-]+)", page)}
    assert flags and flags <= fields | {"data", "eval_data", "output_dir"}
    listed = page.partition("## Credit")[2].partition("## The run")[0]
    assert set(re.findall(r"`([a-z0-9-]+)`", listed.partition("`charter advise")[0])) <= set(ENTRIES)
    missing = [n for n, e in ENTRIES.items() if e.rollouts and f"`{n}`" not in listed]
    assert missing == []
