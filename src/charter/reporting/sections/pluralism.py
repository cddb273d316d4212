"""Whose view is served: groups, spreads of opinion and viewpoints, the worst first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from charter.reporting import charts
from charter.reporting.content import Estimate, read_estimate
from charter.reporting.node import Node
from charter.reporting.section import Section, Setting, Source
from charter.reporting.words import capital, signed
from charter.stats import percent

KINDS = (
    ("steer", "Does it answer as a group would, where the group is named?", "Group"),
    ("distribution", "Do its answers spread as people's do?", "Question"),
    ("overton", "Does it say what reasonable people differ about?", "Left out most often"),
)


@dataclass(frozen=True, slots=True)
class Row:
    """One group or test; ``group`` '' is nobody's."""

    kind: str
    principle: str
    test: str
    group: str
    measure: str
    estimate: Estimate | None
    why: str


def read(source: Source) -> tuple[Row, ...] | None:
    """``tests.pluralism``."""
    return tuple(_row(item) for item in source.tests.children("pluralism")) or None


def _row(node: Node) -> Row:
    return Row(
        kind=node.text("kind"),
        principle=node.text("principle"),
        test=node.text("test"),
        group=node.text("group"),
        measure=node.text("measure"),
        estimate=read_estimate(node),
        why=node.text("why"),
    )


def worst_sentence(rows: tuple[Row, ...]) -> str:
    """The group or viewpoint that is served worst; '' where nothing was measured."""
    moved, far, left = (
        next((row for row in rows if row.kind == kind and row.estimate and row.group), None)
        for kind in ("steer", "distribution", "overton")
    )
    told = []
    if moved:
        told.append(f"naming the group changes least for {_quoted(moved.group)} ({_value(moved)})")
    if far:
        told.append(f"answers are spread least like those of {_quoted(far.group)} ({_value(far)})")
    if left:
        told.append(f"the viewpoint left out most often is {_quoted(left.group)}")
    return f"{capital('; '.join(told))}." if told else ""


def _quoted(name: str) -> str:
    return f"\N{LEFT DOUBLE QUOTATION MARK}{name}\N{RIGHT DOUBLE QUOTATION MARK}"


def _value(row: Row) -> str:
    if row.estimate is None:
        return "not measured"
    return _in_words(row.estimate.value, row.kind)


def _span(row: Row) -> str:
    found = row.estimate
    if found is None or found.lo is None or found.hi is None:
        return ""
    if row.kind == "steer":
        return f"{signed(found.lo)} to {signed(found.hi)}"
    return f"{_in_words(found.lo, row.kind)} to {_in_words(found.hi, row.kind)}"


def _in_words(value: float, kind: str) -> str:
    if kind == "steer":
        return f"{signed(value)} points"
    return percent(value) if kind == "overton" else f"{value:.2f}"


def _plot(row: Row) -> Markup:
    found = row.estimate
    assert found is not None
    return charts.difference_row(
        found.value,
        found.lo,
        found.hi,
        reach=1.0,
        low=-1.0 if row.kind == "steer" else 0.0,
        label=row.group or f"{row.principle}/{row.test}",
        told=_value(row),
    )


def _of_kind(kind: str, title: str, column: str, found: tuple[Row, ...]) -> tuple[str, str, str, list[Row]]:
    """Kind, title, heading of the first column, and rows."""
    rows = [row for row in found if row.kind == kind]
    of_groups = kind == "distribution" and any(row.group for row in rows)
    return kind, title, "Group" if of_groups else column, rows


def _shown(found: tuple[Row, ...], setting: Setting) -> dict[str, Any]:
    groups = [_of_kind(*kind, found) for kind in KINDS]
    known = {kind for kind, _, _ in KINDS}
    others = [row for row in found if row.kind not in known]
    if others:
        groups.append(("other", "Other tests", "Test", others))
    return {
        "groups": [group for group in groups if group[3]],
        "worst": worst_sentence(found),
        "value": _value,
        "span": _span,
        "plot": _plot,
    }


SECTION = Section("pluralism", "Whose view is served?", read, _shown)
