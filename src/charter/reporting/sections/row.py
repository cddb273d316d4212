"""One principle's evidence, or that of all together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from charter.reporting.content import Change, Rate, one_of, read_change, read_rate
from charter.reporting.node import Node

STATUSES = ("rose", "fell", "kept", "measured", "not_measured")

Side = Literal["before", "after"]


@dataclass(frozen=True, slots=True)
class Corrected:
    """A rate corrected for a judge's errors; ``rate`` is None where they leave nothing to say."""

    rate: float | None
    lo: float
    hi: float
    method: str
    why: str
    labels: int | None


@dataclass(frozen=True, slots=True)
class CorrectedChange:
    """A change of corrected rates, and what it rests on."""

    diff: float
    lo: float
    hi: float
    p: float | None
    assumes: str


@dataclass(frozen=True, slots=True)
class Basis:
    """What stands behind a principle's verdicts; ``evidence`` is '' where it is not said."""

    name: str
    evidence: str
    why: str
    sensitivity: float | None
    specificity: float | None
    labels: int
    alpha: float | None


@dataclass(frozen=True, slots=True)
class Row:
    """One principle's evidence, or that of all together (``id`` is '')."""

    id: str
    title: str
    level: str
    sha: str
    text: str
    applicable: int | None
    n: int | None
    before: Rate | None
    after: Rate | None
    change: Change | None
    status: str
    why: str
    missing_before: Mapping[str, int]
    missing_after: Mapping[str, int]
    applies: float | None = None
    basis: Basis | None = None
    corrected_before: Corrected | None = None
    corrected_after: Corrected | None = None
    corrected_change: CorrectedChange | None = None

    def corrected(self, side: Side) -> Rate | None:
        """The corrected rate of a side; None where there is none, or nothing can be said."""
        found = self.corrected_before if side == "before" else self.corrected_after
        if found is None or found.rate is None:
            return None
        return Rate(found.rate, found.lo, found.hi, None, None)

    def counted(self, side: Side) -> Rate | None:
        """What the judge or the rule passed."""
        return self.before if side == "before" else self.after

    def best(self, side: Side) -> Rate | None:
        """The corrected rate, else the counted one."""
        return self.corrected(side) or self.counted(side)

    @property
    def difference(self) -> Change | CorrectedChange | None:
        """The change of the rates that :meth:`best` gives; None where only one of a pair is corrected."""
        if self.corrected_change is not None:
            return self.corrected_change
        mixed = (self.corrected("before") is None) != (self.corrected("after") is None)
        return None if mixed or self.corrected("after") is not None else self.change


def read_row(node: Node, texts: Mapping[str, Node]) -> Row:
    """A row of the card under a principle."""
    name = node.text("principle")
    return _row(node, name, node.text("title"), texts.get(name))


def read_overall(node: Node) -> Row:
    """The row of all principles together."""
    return _row(node, "", "All principles together", None)


def read_unmeasured(node: Node, texts: Mapping[str, Node]) -> Row:
    """A principle that the card only names as not measured."""
    name = node.text("id")
    only = Node(
        {key: node.value[key] for key in ("title", "why") if key in node.value}, node.where, node.path
    )
    return _row(only, name, only.text("title"), texts.get(name))


def _row(node: Node, name: str, title: str, told: Node | None) -> Row:
    told = told or Node(None, node.where)
    status = node.text("status", "not_measured")
    one_of(node, "status", status, STATUSES)
    missing, corrected = node.child("missing"), node.child("corrected")
    return Row(
        id=name,
        title=title or told.text("title") or name,
        level=node.text("level") or told.text("level"),
        sha=node.text("sha") or told.text("sha"),
        text=told.text("text"),
        applicable=node.count("applicable"),
        n=node.count("n_prompts"),
        before=read_rate(node, "before"),
        after=read_rate(node, "after"),
        change=read_change(node),
        status=status,
        why=node.text("why"),
        missing_before=missing.counts("before"),
        missing_after=missing.counts("after"),
        applies=None if node.number("applies") is None else node.rate("applies"),
        basis=_basis(node.child("judge")),
        corrected_before=_corrected(corrected.child("before")),
        corrected_after=_corrected(corrected.child("after")),
        corrected_change=_corrected_change(corrected.child("change")),
    )


def _basis(node: Node) -> Basis | None:
    if node.missing:
        return None
    return Basis(
        name=node.text("name"),
        evidence=node.text("evidence"),
        why=node.text("why"),
        sensitivity=node.number("sensitivity"),
        specificity=node.number("specificity"),
        labels=node.count("calibration_labels") or 0,
        alpha=node.number("human_alpha"),
    )


def _corrected(node: Node) -> Corrected | None:
    if node.missing:
        return None
    rate = None if node.number("rate") is None else node.rate("rate")
    return Corrected(
        rate, node.rate("lo"), node.rate("hi"), node.text("method"), node.text("why"), node.count("labels")
    )


def _corrected_change(node: Node) -> CorrectedChange | None:
    if node.missing:
        return None
    diff, lo, hi = (node.rate(key, lowest=-1.0) for key in ("diff", "lo", "hi"))
    return CorrectedChange(diff, lo, hi, node.number("p"), node.text("assumes"))
