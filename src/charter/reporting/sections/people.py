"""The people behind the labels: how many, how far they agree, and what each is like as a rater."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from charter.reporting.content import Estimate, read_estimate
from charter.reporting.node import Node, printable
from charter.reporting.section import Section, Setting, Source
from charter.reporting.sections.label_counts import LabelCounts, counted_sentence, read_counts
from charter.reporting.sections.rater_groups import (
    MEASURES as GROUP_MEASURES,
)
from charter.reporting.sections.rater_groups import (
    RaterGroups,
    points_with_span,
    read_groups,
    split_sentence,
)
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
    """One rater's measures; None where there were none, ``thin`` names those with too few labels.

    ``right`` is the share of right labels that Dawid-Skene estimates, of the kind of label there is most of.
    """

    name: str
    group: str
    source: str
    labels: int | None
    gold: Estimate | None
    repeats: Estimate | None
    first: Estimate | None
    longer: Estimate | None
    followed: Estimate | None
    agreement: Estimate | None
    right: Estimate | None
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
        counts: what became of the labels.
        groups: how groups of raters differ; None where nobody said a group.
        loud: numbers that one rater alone moves; None = not looked at.
        ranking: models by strength in people's eyes, the strongest first.
    """

    labels: int | None
    questions: int | None
    raters: int | None
    sources: tuple[tuple[str, float], ...]
    agreement: tuple[Agreement, ...]
    rows: tuple[Rater, ...]
    without: tuple[str, ...]
    counts: LabelCounts
    groups: RaterGroups | None
    loud: int | None
    ranking: tuple[tuple[str, Estimate], ...]


MEASURES = ("gold", "repeats", "first", "longer", "followed", "agreement")


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
        counts=read_counts(totals, node.child("coverage")),
        groups=read_groups(node.child("groups")),
        loud=_loud(node),
        ranking=_ranking(node.child("ranking")),
    )


def _loud(node: Node) -> int | None:
    found = node.children("loud")
    return sum(len(item.texts("loud")) for item in found) if len(found) > 1 else None


def _ranking(node: Node) -> tuple[tuple[str, Estimate], ...]:
    scores, intervals = node.child("scores"), node.child("intervals")
    found = [
        (printable(name), Estimate(scores.must_number(name), *(intervals.interval(name) or (None, None))))
        for name in scores.value
    ]
    return tuple(sorted(found, key=lambda one: -one[1].value))


def _agreement(node: Node) -> Agreement:
    return Agreement(
        node.text("principle"),
        node.text("kind"),
        read_estimate(node, "alpha"),
        node.count("items"),
        node.count("raters"),
    )


def _rater(node: Node) -> Rater:
    kinds = node.child("dawid_skene")
    fits = [kinds.child(kind).child("accuracy") for kind in kinds.value]
    most = max(fits, key=lambda fit: fit.count("n") or 0, default=Node(None, node.where))
    read = {**{name: node.child(name) for name in MEASURES}, "right": most}
    measures = {name: read_estimate(one) for name, one in read.items()}
    thin = frozenset(name for name, one in read.items() if one.flag("enough") is False)
    return Rater(
        name=node.text("rater"),
        group=node.text("group"),
        source=node.text("source"),
        labels=node.count("labels"),
        **measures,
        thin=thin,
        flags=node.texts("flags"),
    )


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
        "counted": counted_sentence(found.counts),
        "suggested": any(row.followed for row in found.rows),
        "splits": [split_sentence(split) for split in found.groups.splits] if found.groups else [],
        "measure_words": GROUP_MEASURES,
        "points": points_with_span,
        "flagged": flagged,
        "title_of": lambda id: setting.title(id) if id else "the answer as a whole",
        "without": [setting.title(id) for id in found.without],
        "joined": listed,
    }


SECTION = Section("people", "Who labelled, and can it be trusted?", read, _shown)
