"""The people behind the labels: how many, how far they agree, and what each is like as a rater."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from charter.reporting.content import Estimate
from charter.reporting.node import Node
from charter.reporting.section import Section, Setting, Source
from charter.reporting.words import count, listed
from charter.stats import percent


@dataclass(frozen=True, slots=True)
class Agreement:
    """Krippendorff's alpha of one principle and kind of label."""

    principle: str
    kind: str
    alpha: Estimate | None
    items: int | None
    raters: int | None


@dataclass(frozen=True, slots=True)
class Rater:
    """One rater's measures; None where there were none, ``thin`` names those with too few labels."""

    name: str
    group: str
    source: str
    labels: int | None
    gold: Estimate | None
    repeats: Estimate | None
    first: Estimate | None
    longer: Estimate | None
    agreement: Estimate | None
    thin: frozenset[str]
    flags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class People:
    """What ``charter raters`` found.

    Attributes:
        labels: counted.
        questions: items under a principle.
        raters: how many spoke.
        sources: share of labels by who spoke.
        agreement: by principle and kind.
        rows: the raters.
        without: principles of the constitution without a label.
    """

    labels: int | None
    questions: int | None
    raters: int | None
    sources: tuple[tuple[str, float], ...]
    agreement: tuple[Agreement, ...]
    rows: tuple[Rater, ...]
    without: tuple[str, ...]


MEASURES = ("gold", "repeats", "first", "longer", "agreement")


def read(source: Source) -> People | None:
    """The part ``people``."""
    node = source.part("people")
    if node.missing:
        return None
    totals, sources = node.child("totals"), node.child("balance").child("sources")
    return People(
        labels=totals.count("counted"),
        questions=totals.count("questions"),
        raters=totals.count("raters"),
        sources=tuple(
            (name, share) for name in sources.value if (share := sources.child(name).rate("share")) > 0
        ),
        agreement=tuple(_agreement(item) for item in node.children("alpha")),
        rows=tuple(_rater(item) for item in node.children("raters")),
        without=node.child("coverage").texts("without_labels"),
    )


def _agreement(node: Node) -> Agreement:
    return Agreement(
        node.text("principle"),
        node.text("kind"),
        _estimate(node, "alpha"),
        node.count("items"),
        node.count("raters"),
    )


def _rater(node: Node) -> Rater:
    measures = {name: _estimate(node.child(name), "value") for name in MEASURES}
    thin = frozenset(name for name in MEASURES if node.child(name).flag("enough") is False)
    return Rater(
        name=node.text("rater"),
        group=node.text("group"),
        source=node.text("source"),
        labels=node.count("labels"),
        **measures,
        thin=thin,
        flags=node.texts("flags"),
    )


def _estimate(node: Node, key: str) -> Estimate | None:
    value = node.number(key)
    return None if value is None else Estimate(value, node.number("lo"), node.number("hi"))


def sentence(found: People) -> str:
    """Who spoke, in a sentence."""
    people = count(found.raters or 0, "rater")
    said = f"{people} gave {count(found.labels or 0, 'label')} on {count(found.questions or 0, 'question')}."
    others = [f"{percent(share)} from {_SOURCES.get(name, name)}" for name, share in found.sources]
    return f"{said} {listed(others)}." if len(others) > 1 else said


_SOURCES = {"human": "people", "expert": "experts", "ai": "models", "implicit": "what people did"}


def _shown(found: People, setting: Setting) -> dict[str, Any]:
    flagged = [row for row in found.rows if row.flags]
    return {
        "sentence": sentence(found),
        "flagged": flagged,
        "title_of": lambda id: setting.title(id) if id else "the answer as a whole",
        "without": [setting.title(id) for id in found.without],
        "joined": listed,
    }


SECTION = Section("people", "Who labelled, and can it be trusted?", read, _shown)
