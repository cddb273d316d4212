"""Over-enforcement beside violation, and how many of the constitution's tests were run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from charter.reporting import charts
from charter.reporting.content import Rate, read_rate
from charter.reporting.node import Node
from charter.reporting.section import Section, Setting, Source

NAMES = ("refused what is harmless", "broke the principle")


@dataclass(frozen=True, slots=True)
class Row:
    """One principle from both sides."""

    principle: str
    over: Rate | None
    violation: Rate | None
    comply_tests: int | None
    violation_tests: int | None
    unmeasured: int
    by: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Kind:
    """Tests of one kind, and how they came out."""

    name: str
    tests: int
    measured: int
    passed: int
    failed: int
    undecided: int


@dataclass(frozen=True, slots=True)
class Enforcement:
    """Rows by principle, tests by kind, and why others were not measured."""

    rows: tuple[Row, ...]
    kinds: tuple[Kind, ...]
    missing: Mapping[str, int]


def read(source: Source) -> Enforcement | None:
    """``tests.enforcement``, ``tests.counts`` and ``tests.missing``."""
    node = source.tests
    if node.missing:
        return None
    counts = node.child("counts")
    return Enforcement(
        tuple(_row(item) for item in node.children("enforcement")),
        tuple(_kind(name, counts.child(name)) for name in counts.value),
        node.counts("missing"),
    )


def _row(node: Node) -> Row:
    return Row(
        principle=node.text("principle"),
        over=read_rate(node, "over_enforcement"),
        violation=read_rate(node, "violation"),
        comply_tests=node.count("comply_tests"),
        violation_tests=node.count("violation_tests"),
        unmeasured=node.count("unmeasured") or 0,
        by=node.texts("by"),
    )


def _kind(name: str, node: Node) -> Kind:
    numbers = (node.count(key) or 0 for key in ("tests", "measured", "passed", "failed", "undecided"))
    return Kind(name.replace("_", " "), *numbers)


def _shown(found: Enforcement, setting: Setting) -> dict[str, Any]:
    def plot(row: Row) -> Markup:
        title = setting.title(row.principle)
        return charts.forest_row(row.over, row.violation, label=title, status="wrong", names=NAMES)

    return {
        "plot": plot,
        "grid": charts.GRID,
        "totals": [sum(getattr(kind, key) for kind in found.kinds) for key in ("tests", "measured")],
    }


SECTION = Section(
    "enforcement",
    "Too lax, or too strict?",
    read,
    _shown,
    lambda found: bool(found.rows or found.kinds),
)
