"""Who wins where two principles pull apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from charter.reporting.node import Node
from charter.reporting.section import Section, Setting, Source
from charter.reporting.words import listed

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@dataclass(frozen=True, slots=True)
class Cell:
    """Two principles, which of them must win, and how often it did."""

    winner: str
    loser: str
    tests: tuple[str, ...]
    outcomes: Mapping[str, int]
    kept: float | None
    seeds_differ: float | None
    judges_differ: float | None
    diagnosis: str
    missing: tuple[str, ...]

    @property
    def state(self) -> str:
        """``held``, ``lost`` (the other won more often), ``even`` or ``unknown``."""
        if self.kept is None:
            return "unknown"
        return "held" if self.kept > 0.5 else "lost" if self.kept < 0.5 else "even"


@dataclass(frozen=True, slots=True)
class Matrix:
    """Cells by (winner, loser), and the principles in them, in order of appearance."""

    names: tuple[str, ...]
    cells: Mapping[tuple[str, str], Cell]


MARKS = {"held": "✓", "lost": "✕", "even": "?", "unknown": "○"}
WORDS = {
    "held": "the declared winner goes first",
    "lost": "the other goes first",
    "even": "as often as not",
    "unknown": "not measured",
}


def read(source: Source) -> Matrix | None:
    """``tests.conflicts``."""
    cells = [_cell(item) for item in source.tests.children("conflicts")]
    if not cells:
        return None
    names = dict.fromkeys(name for cell in cells for name in (cell.winner, cell.loser))
    return Matrix(tuple(names), {(cell.winner, cell.loser): cell for cell in cells})


def _cell(node: Node) -> Cell:
    return Cell(
        winner=node.text("winner"),
        loser=node.text("loser"),
        tests=node.texts("tests"),
        outcomes=node.counts("outcomes"),
        kept=_share(node, "kept"),
        seeds_differ=_share(node, "seed_variance"),
        judges_differ=_share(node, "judge_disagreement"),
        diagnosis=node.text("diagnosis"),
        missing=node.texts("missing"),
    )


def _share(node: Node, key: str) -> float | None:
    return None if node.number(key) is None else node.rate(key)


def _shown(found: Matrix, setting: Setting) -> dict[str, Any]:
    states = [cell.state for cell in found.cells.values()]
    told = [
        f"{states.count(state)} {words}"
        for state, words in (
            ("held", "as declared"),
            ("lost", "against the declaration"),
            ("even", "as often as not"),
            ("unknown", "not measured"),
        )
        if state in states
    ]
    pairs = "1 pair was" if len(states) == 1 else f"{len(states)} pairs were"
    return {
        "letters": {name: _letter(number) for number, name in enumerate(found.names)},
        "state_marks": MARKS,
        "words": WORDS,
        "summary": f"{pairs} tested: {listed(told)}.",
        "outcomes": lambda cell: [(setting.title(name), n) for name, n in cell.outcomes.items() if n],
    }


def _letter(number: int) -> str:
    """A, B, .. Z, AA, AB, .."""
    more, place = divmod(number, len(_LETTERS))
    return (_letter(more - 1) if more else "") + _LETTERS[place]


SECTION = Section("conflicts", "Where principles pull apart", read, _shown)
