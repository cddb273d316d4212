"""Declared against recovered: does the data teach what the constitution says, and what else?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from charter.reporting import charts
from charter.reporting.content import Estimate, Rate, read_estimate
from charter.reporting.node import Node
from charter.reporting.section import Section, Setting, Source
from charter.reporting.words import count

OUTCOMES: Mapping[str, tuple[str, str, str]] = {
    "recovered": ("✓", "recovered", "rose"),
    "entangled": ("?", "cannot be told apart", "gate-undecided"),
    "explained": ("?", "only through another", "gate-undecided"),
    "against": ("✕", "data go against it", "fell"),
    "not recovered": ("●", "no better than coins", "kept"),
    "silent": ("○", "says little here", "not_measured"),
    "not measured": ("○", "not measured", "not_measured"),
}


@dataclass(frozen=True, slots=True)
class Votes:
    """How far the labels follow one principle on held-out pairs it has a vote on."""

    accuracy: Estimate | None
    relevance: Estimate | None
    pairs: int | None


@dataclass(frozen=True, slots=True)
class Declared:
    """A principle of the constitution."""

    principle: str
    outcome: str
    explained_by: str
    votes: Votes | None


@dataclass(frozen=True, slots=True)
class Hidden:
    """What the data reward and the constitution does not say."""

    text: str
    about: str
    beyond: str
    votes: Votes | None


@dataclass(frozen=True, slots=True)
class RoundTrip:
    """All of it; ``ok`` None where it is not said."""

    ok: bool | None
    warning: str
    declared: tuple[Declared, ...]
    hidden: tuple[Hidden, ...]
    prompts: int | None
    left_out: Mapping[str, int]


def read(source: Source) -> RoundTrip | None:
    """The part ``round_trip``."""
    node = source.part("round_trip")
    if node.missing:
        return None
    return RoundTrip(
        ok=node.flag("ok"),
        warning=node.text("warning"),
        declared=tuple(_declared(item) for item in node.children("declared")),
        hidden=tuple(_hidden(item) for item in node.children("hidden")),
        prompts=node.count("prompts"),
        left_out=node.counts("left_out"),
    )


def summary(found: RoundTrip) -> str:
    """How many declared principles the data teach, and how much else."""
    measured = [one for one in found.declared if one.outcome != "not measured"]
    if not measured:
        return "It could not be measured which principles the training data follow."
    recovered = sum(one.outcome == "recovered" for one in measured)
    things = count(len(found.hidden), "thing")
    beside = f"{things} that the constitution does not say" if found.hidden else "nothing else that was found"
    return (
        f"The training data follow {recovered} of {len(measured)} declared principles for their own sake, "
        f"and {beside}."
    )


def _declared(node: Node) -> Declared:
    return Declared(
        node.text("principle"),
        node.text("outcome"),
        node.text("explained_by"),
        _votes(node.child("held_out")),
    )


def _hidden(node: Node) -> Hidden:
    return Hidden(node.text("text"), node.text("about"), node.text("beyond"), _votes(node.child("held_out")))


def _votes(node: Node) -> Votes | None:
    if node.missing:
        return None
    accuracy, relevance = (read_estimate(node.child(key)) for key in ("accuracy", "relevance"))
    return Votes(accuracy, relevance, node.count("pairs"))


def _rate(votes: Votes | None) -> Rate | None:
    if votes is None or votes.accuracy is None:
        return None
    found = votes.accuracy
    return Rate(found.value, _or(found.lo, 0.0), _or(found.hi, 1.0), None, None)


def _or(value: float | None, default: float) -> float:
    return default if value is None else value


def _plot(label: str, votes: Votes | None) -> Markup:
    return charts.forest_row(
        None,
        _rate(votes),
        label=label,
        status="",
        bound=0.5,
        names=("", "labels agree in"),
        bound_name="chance",
        alone=True,
    )


def _shown(found: RoundTrip, setting: Setting) -> dict[str, Any]:
    return {
        "summary": summary(found),
        "chip_of": lambda outcome: OUTCOMES.get(outcome, ("●", outcome, "kept")),
        "plot": _plot,
        "rate_of": _rate,
        "grid": charts.GRID,
        "warnings": [line for line in found.warning.splitlines() if line.strip()],
    }


SECTION = Section(
    "round_trip",
    "Does the data teach what the constitution says?",
    read,
    _shown,
    lambda found: bool(found.declared),
)
