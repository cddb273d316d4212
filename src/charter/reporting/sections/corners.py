"""Do text, model, judges and people agree: every two corners, judges on their own models, and what to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from charter.reporting.node import Node
from charter.reporting.section import Section, Setting, Source

_NAMES = {"spec": "The text's own examples", "people": "People"}

CAUSES: Mapping[str, tuple[str, str]] = {
    "consistent": ("✓", "rose"),
    "policy": ("✕", "fell"),
    "judge": ("✕", "fell"),
    "text": ("?", "gate-undecided"),
    "people": ("?", "gate-undecided"),
    "undecided": ("○", "not_measured"),
}


@dataclass(frozen=True, slots=True)
class Pair:
    """Two corners on the answers both spoke of."""

    first: str
    second: str
    n: int | None
    agree: float
    agree_interval: tuple[float, float] | None
    kappa: float | None
    kappa_interval: tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong with a principle, or that nothing is, and what to do."""

    principle: str
    title: str
    cause: str
    who: str
    action: str
    why: str


@dataclass(frozen=True, slots=True)
class ThreeWay:
    """Own constitution, own model, own judge."""

    judge: str
    rate: float
    interval: tuple[float, float] | None
    n: int | None


@dataclass(frozen=True, slots=True)
class OwnModel:
    """A judge's leniency towards its own model, in points."""

    judge: str
    model: str
    interaction: float
    interval: tuple[float, float] | None
    favours: bool


@dataclass(frozen=True, slots=True)
class Flips:
    """How often a judge's preference changes with the order, of ``pairs``."""

    judge: str
    pairs: int | None
    rate: float
    interval: tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class Corners:
    """The whole table."""

    corners: tuple[str, ...]
    self_judge: str
    pairs: Mapping[tuple[str, str], Pair]
    findings: tuple[Finding, ...]
    three_way: ThreeWay | None
    own: tuple[OwnModel, ...]
    flips: tuple[Flips, ...]
    left_out: Mapping[str, int]

    def pair(self, first: str, second: str) -> Pair | None:
        """In either order."""
        return self.pairs.get((first, second)) or self.pairs.get((second, first))


def read(source: Source) -> Corners | None:
    """The part ``consistency``."""
    node = source.part("consistency")
    if node.missing:
        return None
    pairs = [pair for pair in map(_pair, node.children("pairs")) if pair]
    three = node.child("three_way")
    return Corners(
        corners=node.texts("corners"),
        self_judge=node.text("self_judge"),
        pairs={(pair.first, pair.second): pair for pair in pairs},
        findings=tuple(
            _finding(item, said)
            for item in node.children("principles")
            for said in item.children("diagnosis")
        ),
        three_way=None
        if three.missing
        else ThreeWay(three.text("judge"), three.rate("rate"), three.interval("interval"), three.count("n")),
        own=tuple(_own(item) for item in node.child("scores").children("own")),
        flips=tuple(_flips(item) for item in node.children("flips") if not item.text("principle")),
        left_out=node.counts("left_out"),
    )


def _pair(node: Node) -> Pair | None:
    if node.number("agree") is None:
        return None
    return Pair(
        node.text("first"),
        node.text("second"),
        node.count("n"),
        node.rate("agree"),
        node.interval("agree_interval"),
        node.number("kappa"),
        node.interval("kappa_interval"),
    )


def _finding(item: Node, said: Node) -> Finding:
    texts = (said.text(key) for key in ("cause", "who", "action", "why"))
    return Finding(item.text("principle"), item.text("title"), *texts)


def _own(node: Node) -> OwnModel:
    return OwnModel(
        node.text("judge"),
        node.text("model"),
        node.must_number("interaction"),
        node.interval("interval"),
        bool(node.flag("favours")),
    )


def _flips(node: Node) -> Flips:
    return Flips(node.text("judge"), node.count("pairs"), node.rate("rate"), node.interval("interval"))


def _shown(found: Corners, setting: Setting) -> dict[str, Any]:
    def name(corner: str) -> str:
        if corner == found.self_judge and corner:
            return f"{corner} (the model itself)"
        return _NAMES.get(corner, corner)

    return {
        "name": name,
        "chip_of": lambda cause: CAUSES.get(cause, ("●", "kept")),
    }


SECTION = Section(
    "consistency",
    "Do the text, the model, the judges and people agree?",
    read,
    _shown,
    lambda found: bool(found.pairs or found.findings),
)
