"""What became of the labels: how many count, what was left out, where they lie."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from charter.reporting.node import Node
from charter.reporting.words import count, listed


@dataclass(frozen=True, slots=True)
class Cell:
    """Labels of one principle and stratum; '' = the answer as a whole, and no stratum."""

    principle: str
    stratum: str
    labels: int
    questions: int
    raters: int


@dataclass(frozen=True, slots=True)
class LabelCounts:
    """Attributes: ``given`` labels, those that ``counted``, ``others`` by what they are, ``cells``."""

    given: int | None
    counted: int | None
    others: tuple[tuple[str, int], ...]
    cells: tuple[Cell, ...]


_KEPT_APART: Mapping[str, str] = {
    "repeats": "repeats of a question",
    "decisions": "decisions of adjudicators",
}


def read_counts(totals: Node, coverage: Node) -> LabelCounts:
    """``totals`` and ``coverage``."""
    apart = {words: totals.count(name) or 0 for name, words in _KEPT_APART.items()}
    others = {**apart, **totals.counts("left_out")}
    cells = [
        Cell(
            item.text("principle"),
            item.text("stratum"),
            item.count("labels") or 0,
            item.count("questions") or 0,
            item.count("raters") or 0,
        )
        for item in coverage.children("cells")
    ]
    return LabelCounts(
        totals.count("labels"),
        totals.count("counted"),
        tuple((words, n) for words, n in others.items() if n),
        tuple(sorted(cells, key=lambda cell: cell.labels)),
    )


def counted_sentence(found: LabelCounts) -> str:
    """What was not counted, and why; '' where everything was."""
    if not found.others or found.given is None or found.counted is None:
        return ""
    apart = listed([f"{n:,} {words}" for words, n in found.others])
    return f"Of {count(found.given, 'label')} {found.counted:,} are counted; apart are {apart}."
