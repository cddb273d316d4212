"""Writes ``docs/algorithms/README.md``, the list of all algorithms; run after a change to the catalogue."""

from __future__ import annotations

from pathlib import Path

from charter.catalogue import ENTRIES, Entry

PAGE = Path(__file__).resolve().parent.parent / "docs" / "algorithms" / "README.md"
HEAD = """# Algorithms

`charter algorithms` prints this list, `charter algorithms NAME` explains one, `charter algorithms compare A
B` puts several side by side, and `charter advise DATA` says which fit a data set.
"""
TABLE = "| | learns from | best for |\n|---|---|---|\n"


def page() -> str:
    """The whole page."""
    return HEAD + "".join(_section(family) for family in dict.fromkeys(e.family for e in ENTRIES.values()))


def _section(family: str) -> str:
    lines = (_line(entry) for entry in ENTRIES.values() if entry.family == family)
    return f"\n## {family.replace('-', ' ').capitalize()}\n\n{TABLE}" + "".join(lines)


def _line(entry: Entry) -> str:
    name = f"[{entry.name}]({entry.name}.md): {_cell(entry.title)}"
    return f"| {name} | {_data(entry)} | {_cell(entry.best_for)} |\n"


def _data(entry: Entry) -> str:
    return f"{entry.data}, own samples" if entry.rollouts is not None else entry.data


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(PAGE)
