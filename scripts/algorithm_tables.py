"""Bring the option tables in ``docs/algorithms/*.md`` up to date with the catalogue.

    python scripts/algorithm_tables.py

Each page is written by hand but for what stands between the two markers.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from charter.catalogue import ENTRIES, Entry
from charter.catalogue.entry import option_json
from charter.catalogue.options import TrainOptions

PAGES = Path(__file__).parent.parent / "docs" / "algorithms"
START, END = "<!-- options: written by scripts/algorithm_tables.py -->", "<!-- end of options -->"


def updated(text: str, entry: Entry) -> str:
    """``text`` with the table between the markers written anew.

    Raises:
        ValueError: the page lacks a marker.
    """
    head, start, rest = text.partition(START)
    _, end, tail = rest.partition(END)
    if not (start and end):
        raise ValueError(f"the page of {entry.name} lacks a marker: {START} ... {END}")
    return f"{head}{START}\n{options_table(entry)}\n{END}{tail}"


def options_table(entry: Entry) -> str:
    """The entry's own options, and those whose default it changes, then all the others."""
    lines = ["| option | type | default | meaning |", "|---|---|---|---|"]
    changed = [name for name in TrainOptions.model_fields if _default(entry, name) != _base_default(name)]
    own = [*entry.own_options(), *changed]
    names = [*own, *(name for name in entry.options.model_fields if name not in own)]
    return "\n".join(lines + [_row(entry, name) for name in names])


def _row(entry: Entry, name: str) -> str:
    option = option_json(entry.options, name)
    default = json.dumps(option["default"])
    cells = (f"`{name}`", option["type"], f"`{default}`", option["meaning"])
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _default(entry: Entry, name: str) -> Any:
    return entry.options.model_fields[name].default


def _base_default(name: str) -> Any:
    return TrainOptions.model_fields[name].default


if __name__ == "__main__":
    for entry in ENTRIES.values():
        path = PAGES / f"{entry.name}.md"
        path.write_text(updated(path.read_text(encoding="utf-8"), entry), encoding="utf-8")
        print(f"wrote {path}")
