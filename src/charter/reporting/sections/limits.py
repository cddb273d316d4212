"""What the report does not show, and what changed since an older one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from charter.reporting.node import Node
from charter.reporting.section import Section, Setting, Source
from charter.reporting.sections import adherence
from charter.reporting.sections.adherence import Adherence, missing_words
from charter.reporting.words import capital, count, ended

_CHANGES = (
    ("tests_removed", "Tests removed"),
    ("tests_changed", "Tests reworded"),
    ("tests_added", "Tests added"),
    ("principles_removed", "Principles gone"),
    ("principles_changed", "Principles reworded"),
    ("principles_added", "Principles added"),
)


@dataclass(frozen=True, slots=True)
class Known:
    """The ``limits`` of a report; ``training`` has sentences, None = the training data are not known."""

    unsure: tuple[tuple[str, str, str], ...]
    missing: Mapping[str, int]
    training: tuple[str, ...] | None
    labels_elsewhere: int
    unasked: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Since:
    """What changed since an older report: kind of change and the ids it is about."""

    created: str
    version: str
    sha: str
    tests_known: bool
    changes: tuple[tuple[str, tuple[str, ...]], ...]


@dataclass(frozen=True, slots=True)
class Limits:
    """Everything that is not shown."""

    adherence: Adherence
    known: Known | None
    since: Since | None


def read(source: Source) -> Limits:
    """``limits``, ``since``, and what the adherence card itself leaves open."""
    known, since = source.report.child("limits"), source.report.child("since")
    return Limits(
        adherence.read(source),
        None if known.missing else _known(known),
        None if since.missing else _since(since),
    )


def sentences(found: Limits, setting: Setting) -> list[tuple[str, str]]:
    """(heading, why) of everything that is not shown."""
    return [*_of_card(found.adherence), *(_of_known(found, setting) if found.known else [])]


def _of_card(card: Adherence) -> list[tuple[str, str]]:
    found = [
        (f"{row.title}: {word}", row.why or "No reason was recorded.")
        for status, word in (("not_measured", "not measured"), ("kept", "kept, not claimed"))
        for row in card.principles
        if row.status == status
    ]
    found += [
        (f"{row.title}: verdicts missing", lost) for row in card.principles if (lost := missing_words(row))
    ]
    for reason, left in card.left_out.items():
        found.append((count(left, "prompt") + " not in the overall result", f"{capital(reason)}."))
    if alone := card.base_only + card.aligned_only:
        found.append((count(alone, "prompt") + " not used", "Only one of the two models answered."))
    n = card.overall.n
    if n is not None and 0 < n < card.min_prompts:
        found.append((f"Small sample: {n} prompts", "Intervals are wide, and only large changes can show."))
    return found


def _of_known(found: Limits, setting: Setting) -> list[tuple[str, str]]:
    known = found.known
    assert known is not None
    told = {row.id for row in found.adherence.principles if row.status == "not_measured"}
    said = [
        (f"{setting.title(principle)}: {word}", capital(ended(why)))
        for word, principle, why in known.unsure
        if principle not in told
    ]
    if known.training is None:
        said.append(("The training data are not known", "Whether tests were among them cannot be told."))
    else:
        said += [("Tests and training data", line) for line in known.training]
    if known.labels_elsewhere:
        said.append(
            (count(known.labels_elsewhere, "label") + " not used", "They are of no answer that was measured.")
        )
    if known.unasked:
        reasons = "; ".join(dict.fromkeys(known.unasked.values()))
        said.append((f"{count(len(known.unasked), 'test')} not asked", capital(ended(reasons))))
    return said


def _known(node: Node) -> Known:
    unsure = [
        (word, item.text("principle"), item.text("why"))
        for key, word in (
            ("untested", "untested"),
            ("uncalibrated", "judged by a judge whose errors are not known"),
            ("refused", "its judge may not judge it"),
        )
        for item in node.children(key)
    ]
    training = node.child("training")
    return Known(
        tuple(unsure),
        node.counts("missing_verdicts"),
        None if training.missing else _training(training),
        node.count("labels_elsewhere") or 0,
        node.texts_by("unasked"),
    )


def _training(node: Node) -> tuple[str, ...]:
    lines = [ended(capital(item.text("message"))) for item in node.children("tests") if item.text("message")]
    exact, shared = node.count("prompts_exact") or 0, node.count("prompts_shared") or 0
    if exact:
        be = "is a training prompt" if exact == 1 else "are training prompts"
        lines.append(f"{count(exact, 'held-out prompt')} {be} too.")
    if shared > exact:
        more = count(shared - exact, "held-out prompt")
        lines.append(f"{more} share a run of eight words with a training prompt.")
    if not lines:
        rows = node.count("rows")
        of = "the training data" if rows is None else f"the {rows:,} rows of training data"
        lines.append(f"No test and no held-out prompt was found in {of}.")
    return tuple(lines)


def _since(node: Node) -> Since:
    constitution = node.child("constitution")
    changes = tuple((words, node.texts(key)) for key, words in _CHANGES)
    return Since(
        node.text("created"),
        constitution.text("version"),
        constitution.text("sha"),
        bool(node.flag("tests_known")),
        tuple((words, ids) for words, ids in changes if ids),
    )


def _shown(found: Limits, setting: Setting) -> dict[str, Any]:
    return {"sentences": sentences(found, setting)}


SECTION = Section("limits", "What this does not show", read, _shown)
