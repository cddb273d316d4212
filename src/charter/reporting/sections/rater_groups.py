"""Do groups of raters differ, in what they are like and in what they say?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from charter.reporting.content import Estimate, read_estimate
from charter.reporting.node import Node
from charter.reporting.words import equals, signed
from charter.stats import percent

MEASURES: Mapping[str, str] = {
    "agreement": "Agrees with others",
    "gold": "Test items right",
    "first": "Chose the first",
    "longer": "Chose the longer",
}


@dataclass(frozen=True, slots=True)
class Gap:
    """A group's mean against that of all other raters; ``difference`` in shares."""

    measure: str
    group: str
    raters: int
    value: float
    rest: float
    difference: Estimate


@dataclass(frozen=True, slots=True)
class Split:
    """Agreement on one kind of labels, within groups and between them."""

    kind: str
    within: float
    between: float
    difference: Estimate
    p: float


@dataclass(frozen=True, slots=True)
class RaterGroups:
    """What was found of groups.

    Attributes:
        least: raters below which no number of a group is shown.
        hidden: groups that have fewer, or leave fewer to compare with.
        gaps: of the others.
        splits: where there were enough.
    """

    least: int
    hidden: int
    gaps: tuple[Gap, ...]
    splits: tuple[Split, ...]


def read_groups(node: Node) -> RaterGroups | None:
    """``groups``; None where nobody said a group."""
    gaps, named, shown = [], set(), set()
    for measure in node.child("gaps").value:
        for item in node.child("gaps").children(measure):
            named.add(item.text("group"))
            difference = read_estimate(item, "difference")
            if difference is None:
                continue
            shown.add(item.text("group"))
            gaps.append(
                Gap(
                    measure,
                    item.text("group"),
                    item.count("raters") or 0,
                    item.must_number("value"),
                    item.must_number("rest"),
                    difference,
                )
            )
    kinds = node.child("split")
    splits = tuple(found for kind in kinds.value if (found := _split(kind, kinds.child(kind))))
    least = node.count("least_raters") or 0
    return RaterGroups(least, len(named - shown), tuple(gaps), splits) if named or splits else None


def _split(kind: str, node: Node) -> Split | None:
    within, between, p = node.number("within"), node.number("between"), node.number("p")
    difference = read_estimate(node.child("difference"))
    if within is None or between is None or p is None or difference is None:
        return None
    return Split(kind, within, between, difference, p)


def split_sentence(split: Split) -> str:
    """How far two of one group agree, and two of different ones."""
    apart = f"{points_with_span(split.difference)} points by question; p {equals(split.p)}"
    said = (
        f"On the same {split.kind} questions two raters of one group agree in {percent(split.within)}, "
        f"two of different groups in {percent(split.between)} ({apart})"
    )
    if split.p < 0.05 and split.difference.value > 0:
        return f"{said}: the groups answer differently, and an average would hide it."
    return f"{said}: no more than groups drawn by lot may show."


def points_with_span(found: Estimate) -> str:
    """``+8 [+2, +14]``, in percentage points."""
    if found.lo is None or found.hi is None:
        return signed(found.value)
    return f"{signed(found.value)} [{signed(found.lo)}, {signed(found.hi)}]"
