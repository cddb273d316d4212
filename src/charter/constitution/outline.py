"""A constitution in the order people read it: by level, with everything about a principle in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from charter.constitution.cases import Case, Conflict
from charter.constitution.constitution import Constitution
from charter.constitution.examples import Comparison, Example, Label
from charter.constitution.principle import Principle
from charter.constitution.prompt import flowing, plain
from charter.constitution.references import link_targets

_LABELS: tuple[Label, ...] = ("good", "bad", "ok")

_OVERRIDE = {
    "never": "nobody may set it aside",
    "explicit": "an explicit instruction may set it aside",
    "implicit": "the context may set it aside",
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One principle.

    Attributes:
        id, title: its own.
        about: type, weight, hardness, tags, as one line; "" = nothing to say.
        text: the statement, without link targets, a paragraph a line.
        why: its reasons likewise.
        measured: by what, in words.
        rubric: ratings and what they mean, and what else the rubric says.
        examples: how many of each label, in words.
        tests: how many of each kind, in words.
        shown: the examples in full: (title, [(who or label, text)]).
        asked: the tests in full: (id and kind, what is asked).
        links: ids its statement names.
        linked: ids of principles that name it.
        adopted: votes and amendments, in words.
    """

    id: str
    title: str
    about: str
    text: str
    why: str
    measured: str
    rubric: tuple[tuple[str, str], ...]
    examples: str
    tests: str
    shown: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]
    asked: tuple[tuple[str, str], ...]
    links: tuple[str, ...]
    linked: tuple[str, ...]
    adopted: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Level:
    """One level of authority; ``override`` says who may set its principles aside; "" = not said."""

    name: str
    override: str
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class Outline:
    """The whole.

    Attributes:
        name, version, licence, sha: of the constitution.
        measured: how many principles are measured by what, in words.
        levels: that have principles in force, the highest first; principles without a level last.
        empty: levels that have none.
        retired: ids of principles that are given up.
    """

    name: str
    version: str
    licence: str
    sha: str
    measured: str
    levels: tuple[Level, ...]
    empty: tuple[str, ...]
    retired: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def outline(constitution: Constitution) -> Outline:
    """``constitution`` as people read it."""
    active = constitution.active
    names = [*constitution.levels, ""]
    return Outline(
        constitution.name,
        constitution.version,
        constitution.licence,
        constitution.sha,
        _measured_in_all(active),
        tuple(
            Level(
                name or "without a level",
                _OVERRIDE.get(constitution.override.get(name, ""), ""),
                tuple(entry(constitution, one) for one in active if one.level == name),
            )
            for name in names
            if any(one.level == name for one in active)
        ),
        tuple(name for name in constitution.levels if all(one.level != name for one in active)),
        tuple(one.id for one in constitution.principles if not one.active),
    )


def entry(constitution: Constitution, principle: Principle) -> Entry:
    """One principle of ``constitution``."""
    titles = constitution.titles
    labels = {label: len(principle.answers(label)) for label in _LABELS}
    kinds = Counter(case.kind for case in principle.tests)
    return Entry(
        principle.id,
        plain(principle.title, titles),
        ", ".join(_about(principle)),
        flowing(plain(principle.text, titles)),
        flowing(plain(principle.rationale, titles)),
        _measured(principle),
        tuple(_rubric(principle)),
        ", ".join(f"{n} {label.upper()}" for label, n in labels.items() if n) or "none",
        ", ".join(f"{n} {kind}" for kind, n in kinds.items()) or "none",
        tuple((one.title, tuple(_steps(one))) for one in principle.examples),
        tuple((f"{case.id} ({case.kind})", text) for case in principle.tests for text in _asked(case)),
        link_targets(principle.text),
        tuple(one.id for one in constitution.active if principle.id in link_targets(one.text)),
        tuple(_adopted(principle)),
    )


def _measured_in_all(principles: tuple[Principle, ...]) -> str:
    by = Counter(one.measured_by for one in principles)
    parts = (
        (by["rules"], "by rules"),
        (by["rubric"], "by a judge with a rubric"),
        (by["nothing"], "by nothing yet"),
    )
    told = ", ".join(f"{n} {how}" for n, how in parts if n)
    return f"{len(principles)} principle{'' if len(principles) == 1 else 's'}, measured: {told or 'none'}"


def _about(principle: Principle) -> Iterator[str]:
    if not principle.active:
        yield principle.status
    if principle.hard:
        yield "hard"
    if principle.type:
        yield principle.type
    if principle.weight != 1.0:
        yield f"weight {principle.weight:g}"
    if principle.tags:
        yield f"tags {' '.join(principle.tags)}"


def _measured(principle: Principle) -> str:
    if principle.rules is not None:
        return f"by rules: {principle.rules.describe()}"
    if principle.rubric is not None:
        return "by a judge with the rubric"
    return "by nothing yet: it has neither rules nor a rubric"


def _rubric(principle: Principle) -> Iterator[tuple[str, str]]:
    rubric = principle.rubric
    if rubric is None:
        return
    yield from ((str(level), rubric.levels[level]) for level in sorted(rubric.levels))
    if rubric.applies_when:
        yield "applies when", rubric.applies_when
    if rubric.not_a_violation:
        yield "no violation", rubric.not_a_violation


def _steps(example: Example) -> Iterator[tuple[str, str]]:
    for step in example.steps:
        if not isinstance(step, Comparison):
            yield step.speaker, step.text
            continue
        for answer in step.answers:
            about = f" of {answer.about}" if answer.about else ""
            reason = f": {answer.reason}" if answer.reason else ""
            yield f"{answer.label.upper()}{about}{reason}", answer.text


def _asked(case: Case) -> Iterator[str]:
    """Every conversation of a test as one text."""
    for turns in case.conversations():
        several = len(turns) > 1
        text = "\n".join(f"{turn.role}: {turn.content}" if several else turn.content for turn in turns)
        wins = f"\n(wins: {case.config.expect_winner})" if isinstance(case.config, Conflict) else ""
        yield text + wins


def _adopted(principle: Principle) -> Iterator[str]:
    found = principle.provenance
    if found is None:
        return
    if found.source:
        yield f"source: {found.source}"
    if found.adopted_by is not None:
        votes = found.adopted_by
        yield f"adopted by {votes.votes_for} for, {votes.against} against, {votes.abstain} abstaining"
    for one in found.amendments:
        votes = one.votes
        yield f"{one.version} ({one.date}): {one.title}; {votes.votes_for} for, {votes.against} against"
        yield from (f"against, {dissent.who}: {dissent.reason}" for dissent in one.dissent)
