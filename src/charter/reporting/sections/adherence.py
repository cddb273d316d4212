"""Adherence, principle by principle, with intervals drawn."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from charter.reporting import charts
from charter.reporting.content import Change, Rate, read_change, read_rate
from charter.reporting.node import Node
from charter.reporting.section import Section, Setting, Source
from charter.reporting.sections.basis import basis_words
from charter.reporting.sections.gate import Gate, read_gate
from charter.reporting.sections.row import Row, read_overall, read_row, read_unmeasured
from charter.reporting.words import capital


@dataclass(frozen=True, slots=True)
class Mean:
    """Mean fraction of applicable principles passed."""

    before: Rate | None
    after: Rate | None
    change: Change | None


@dataclass(frozen=True, slots=True)
class Adherence:
    """The adherence card."""

    overall: Row
    left_out: Mapping[str, int]
    fraction: Mean
    principles: tuple[Row, ...]
    gates: tuple[Gate, ...]
    alpha: float
    min_prompts: int
    ceiling: float
    level: float
    base_only: int
    aligned_only: int


def read(source: Source) -> Adherence:
    """The card; a principle that it only names as not measured becomes a row too."""
    node = source.adherence
    texts = {item.text("id"): item for item in source.report.child("constitution").children("principles")}
    overall, criteria, coverage = node.child("overall"), node.child("criteria"), node.child("coverage")
    rows = [read_row(item, texts) for item in node.children("principles")]
    known = {row.id for row in rows}
    rows += [
        read_unmeasured(item, texts) for item in node.children("not_measured") if item.text("id") not in known
    ]
    fraction = overall.child("fraction")
    return Adherence(
        overall=read_overall(overall),
        left_out=overall.counts("left_out"),
        fraction=Mean(read_rate(fraction, "before"), read_rate(fraction, "after"), read_change(fraction)),
        principles=tuple(rows),
        gates=tuple(read_gate(item) for item in node.children("gates")),
        alpha=_or(criteria, "alpha", 0.05),
        min_prompts=int(_or(criteria, "min_prompts", 40)),
        ceiling=_or(criteria, "ceiling", 0.9),
        level=_or(criteria, "level", 0.95),
        base_only=coverage.count("base_only") or 0,
        aligned_only=coverage.count("aligned_only") or 0,
    )


def tally(rows: tuple[Row, ...]) -> str:
    """How the principles came out, in one sentence."""
    counts = Counter(row.status for row in rows)
    parts = [
        f"{counts[status] or 'none'} {told}"
        for status, told in (
            ("rose", "rose"),
            ("fell", "fell significantly"),
            ("kept", "kept without a claim"),
            ("measured", "measured"),
            ("not_measured", "not measured"),
        )
        if counts[status] or (status in ("rose", "fell") and any(row.change for row in rows))
    ]
    noun = "principle" if len(rows) == 1 else "principles"
    if not rows:
        return "The constitution's principles are not listed."
    return f"Of {len(rows)} {noun}: {', '.join(parts)}."


def falls(rows: tuple[Row, ...]) -> str:
    """The principles that fell, by name; '' when none did."""
    names = [row.title for row in rows if row.status == "fell"]
    return f"Fell: {', '.join(names)}." if names else ""


def missing_words(row: Row) -> str:
    """``Base: 3 error; aligned: 1 abstained.``, or ''."""
    sides = (("base", row.missing_before), ("aligned", row.missing_after))
    told = [
        f"{side}: "
        + ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in counts.items() if count)
        for side, counts in sides
        if any(counts.values())
    ]
    return f"{capital('; '.join(told))}." if told and row.status != "not_measured" else ""


def _or(node: Node, key: str, default: float) -> float:
    value = node.number(key)
    return default if value is None else value


def _forest(row: Row) -> Markup:
    counted = [row.counted(side) if row.corrected(side) else None for side in ("before", "after")]
    first, second = (None if one is None else one.rate for one in counted)
    return charts.forest_row(
        row.best("before"),
        row.best("after"),
        label=row.title,
        status=row.status,
        counted=(first, second),
    )


def _shown(found: Adherence, setting: Setting) -> dict[str, Any]:
    rows = (found.overall, *found.principles)
    return {
        "forest": _forest,
        "basis_words": basis_words,
        "grid": charts.GRID,
        "corrected": any(row.corrected("after") or row.corrected("before") for row in rows),
        "changed": any(row.difference or row.change for row in rows),
        "test": _test_words(found),
    }


def _test_words(found: Adherence) -> str:
    tests = {row.change.test for row in (found.overall, *found.principles) if row.change}
    names = {"mcnemar": "exact McNemar test", "permutation": "paired permutation test"}
    told = [names.get(test, test.replace("_", " ")) for test in sorted(tests) if test]
    return " or ".join(told)


SECTION = Section("adherence", "Adherence, principle by principle", read, _shown)
