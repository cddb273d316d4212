"""What taught which principle: data that carries its id, beside what changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from charter.reporting import charts
from charter.reporting.node import Node
from charter.reporting.section import Section, Setting, Source
from charter.reporting.sections import adherence
from charter.reporting.words import signed


@dataclass(frozen=True, slots=True)
class Data:
    """What the model was trained and tested on."""

    prompts: tuple[tuple[str, str], ...]
    samples: int | None
    pairs: int | None
    pairs_per_principle: Mapping[str, int] | None
    dropped: Mapping[str, int] | None


@dataclass(frozen=True, slots=True)
class Share:
    """A principle's training rows, and its change."""

    principle: str
    groups: int | None
    change: float | None
    lo: float | None
    hi: float | None
    status: str


@dataclass(frozen=True, slots=True)
class Attribution:
    """Rows of training data by principle, of ``rows``; ``other`` ids are no principles here."""

    source: str
    rows: int | None
    principles: tuple[Share, ...]
    other: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Taught:
    """Data, attribution, and the principles in the constitution's order."""

    data: Data
    told: bool
    attribution: Attribution | None
    order: tuple[str, ...]


def read_data(report: Node) -> Data:
    """The ``data`` of a report; what it does not say is None."""
    node = report.child("data")
    pairs = node.child("pairs")
    return Data(
        prompts=tuple((name, words) for name, words in node.child("prompts").items() if words != "null"),
        samples=node.count("samples"),
        pairs=pairs.count("total"),
        pairs_per_principle=None if pairs.child("per_principle").missing else pairs.counts("per_principle"),
        dropped=None if node.child("dropped").missing else node.counts("dropped"),
    )


def read(source: Source) -> Taught | None:
    """``data`` and ``attribution``."""
    report = source.report
    if report.child("data").missing and report.child("attribution").missing:
        return None
    order = tuple(row.id for row in adherence.read(source).principles)
    attribution = report.child("attribution")
    return Taught(
        read_data(report),
        not report.child("data").missing,
        None if attribution.missing else _attribution(attribution),
        order,
    )


def _attribution(node: Node) -> Attribution:
    return Attribution(
        node.text("source"),
        node.count("rows"),
        tuple(_share(item) for item in node.children("principles")),
        node.counts("other_ids"),
    )


def _share(node: Node) -> Share:
    change, lo, hi = (node.number(key) for key in ("change", "lo", "hi"))
    return Share(node.text("principle"), node.count("groups"), change, lo, hi, node.text("status"))


def _bars(found: Taught, setting: Setting) -> list[dict[str, Any]]:
    """Pairs per principle in the constitution's order, with bar widths in percent of the largest."""
    counts = found.data.pairs_per_principle
    if counts is None:
        return []
    names = [*found.order, *(name for name in counts if name not in found.order)]
    most = max(counts.values(), default=0)
    return [
        {
            "title": setting.title(name),
            "count": counts.get(name),
            "width": 100 * counts.get(name, 0) / most if most else 0.0,
        }
        for name in names
    ]


def _shown(found: Taught, setting: Setting) -> dict[str, Any]:
    shares = found.attribution.principles if found.attribution else ()
    reach = charts.reach_of(end for one in shares for end in (one.lo, one.hi, one.change))
    most = max((one.groups or 0 for one in shares), default=0)

    def plot(one: Share) -> Markup:
        assert one.change is not None
        told = f"{signed(one.change)} points"
        return charts.difference_row(
            one.change,
            one.lo,
            one.hi,
            reach=reach,
            label=setting.title(one.principle),
            told=told,
            status=one.status,
        )

    return {
        "bars": _bars(found, setting),
        "plot": plot,
        "reach": reach,
        "width": lambda one: 100 * (one.groups or 0) / most if most else 0.0,
    }


SECTION = Section(
    "taught",
    "What taught which principle",
    read,
    _shown,
    lambda found: found.told or found.attribution is not None,
)
