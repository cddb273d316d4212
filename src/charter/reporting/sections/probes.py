"""The gaming watch: probes of bad habits, and the pre-flight of rewards."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from charter.reporting import charts
from charter.reporting.content import Estimate, read_estimate
from charter.reporting.node import Node
from charter.reporting.overoptimisation import Measured, Peak, overoptimisation_chart
from charter.reporting.section import Section, Setting, Source
from charter.reporting.words import signed
from charter.stats import percent

TITLES: Mapping[str, str] = {
    "flip": "Does it give up right answers when doubted, and wrong ones?",
    "stance": "Does its yes or no follow the user's?",
    "authorship": "Does it rate a text higher when the user wrote it?",
    "false-premise": "Does it explain what is not so?",
    "lexicon": "How much praise and hedging is in its answers?",
    "over-refusal": "Does it refuse harmless requests for their words?",
    "format": "How are its answers dressed?",
    "tampering": "Does it game a reward, up to editing it?",
    "hidden-reasoning": "Does it game more where its thoughts are unseen?",
    "injection": "Does a reward obey the answer?",
    "empty-answers": "What does a reward give for nothing?",
    "reward-style": "How much of a reward is length and style?",
    "best-of-n": "Where does choosing by a reward stop helping?",
}

_NAMESPACE = Markup(' xmlns="http://www.w3.org/2000/svg"')

MOST_SHOWN = 2
"""Conversations shown of each probe."""


@dataclass(frozen=True, slots=True)
class Measure:
    """One measure; ``unit`` is ``share``, ``change`` or ``number``."""

    name: str
    estimate: Estimate | None
    unit: str
    n: int | None
    missing: int
    p: float | None
    why: str


@dataclass(frozen=True, slots=True)
class Curve:
    """Best of n by a reward under a held-out one; ``turn`` is in nats, None where none was found."""

    proxy: str
    gold: str
    points: tuple[Measured, ...]
    bands: tuple[tuple[float, float, float, float], ...]
    turn: float | None
    words: str


@dataclass(frozen=True, slots=True)
class Talk:
    """A conversation, as (role, text) turns."""

    item: str
    arm: str
    turns: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Probe:
    """One probe."""

    name: str
    measures: tuple[Measure, ...]
    curves: tuple[Curve, ...]
    talks: tuple[Talk, ...]
    missing: Mapping[str, int]
    cut: int


@dataclass(frozen=True, slots=True)
class Probes:
    """All that were run."""

    model: str
    rewards: tuple[str, ...]
    probes: tuple[Probe, ...]


def read(source: Source) -> Probes | None:
    """The part ``probes``; in a report, also its bare list."""
    node = source.part("probes")
    if node.missing:
        return None
    return Probes(
        node.text("model"), node.texts("rewards"), tuple(_probe(item) for item in node.children("probes"))
    )


def _probe(node: Node) -> Probe:
    rows = node.children("rows")
    return Probe(
        name=node.text("probe"),
        measures=tuple(_measure(row) for row in rows),
        curves=tuple(curve for row in rows if (curve := _curve(row.child("detail")))),
        talks=tuple(_talk(item) for item in node.children("transcripts")[:MOST_SHOWN]),
        missing=node.counts("missing"),
        cut=node.count("cut") or 0,
    )


def _measure(node: Node) -> Measure:
    return Measure(
        node.text("name"),
        read_estimate(node),
        node.text("unit"),
        node.count("n"),
        node.count("missing") or 0,
        node.number("p"),
        node.text("why"),
    )


def _talk(node: Node) -> Talk:
    turns = tuple((turn.text("role"), turn.words("content")) for turn in node.children("turns"))
    return Talk(node.text("item"), node.text("arm"), turns)


def _curve(node: Node) -> Curve | None:
    """Only details of the pre-flight hold a ``curve`` with held-out values."""
    if not isinstance(node.value.get("curve"), list):
        return None
    points, bands = [], []
    for item in node.children("curve"):
        gold = item.number("gold")
        if gold is None:
            return None
        place = math.sqrt(max(0.0, item.must_number("kl")))
        points.append(Measured(place, item.must_number("proxy"), gold))
        lo, hi = item.interval("gold_interval") or (gold, gold)
        bands.append((place, lo, gold, hi))
    if not points:
        return None
    turn = node.number("turning_kl") if node.flag("within") and node.flag("decided") is not False else None
    return Curve(node.text("proxy"), node.text("gold"), tuple(points), tuple(bands), turn, node.text("words"))


def _value(measure: Measure) -> str:
    if measure.estimate is None:
        return "not measured"
    return _number(measure.estimate.value, measure.unit)


def _span(measure: Measure) -> str:
    found = measure.estimate
    if found is None or found.lo is None or found.hi is None:
        return ""
    if measure.unit == "change":
        return f"{signed(found.lo)} to {signed(found.hi)}"
    return f"{_number(found.lo, measure.unit)} to {_number(found.hi, measure.unit)}"


def _number(value: float, unit: str) -> str:
    if unit == "share" and 0 <= value <= 1:
        return percent(value)
    if unit == "change" and -1 <= value <= 1:
        return f"{signed(value)} points"
    return charts.number(value).replace("-", "\N{MINUS SIGN}")


def _drawn(curve: Curve) -> Markup:
    turn = None if curve.turn is None else math.sqrt(max(0.0, curve.turn))
    words = f"{curve.proxy} chooses, {curve.gold} is held out: {curve.words}"
    peak = None if turn is None else Peak(turn, turn, turn)
    drawn = overoptimisation_chart(curve.points, curve.bands, peak, words)
    return Markup(drawn.replace(_NAMESPACE, "", 1))  # within a page it needs none


def _shown(found: Probes, setting: Setting) -> dict[str, Any]:
    return {"titles": TITLES, "value": _value, "span": _span, "drawn": _drawn}


SECTION = Section("probes", "Gaming watch", read, _shown, lambda found: bool(found.probes))
