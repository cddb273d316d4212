"""What an import found: labels, and everything that could not be one, with its place and reason."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from charter.data.public.schema import MALFORMED
from charter.data.rows import Row, Rows
from charter.errors import DataError
from charter.feedback.label_io.question_map import QuestionMap
from charter.label import Label, label_of


@dataclass(frozen=True, slots=True)
class LeftOut:
    """One thing that became no label."""

    where: str
    why: str


@dataclass(frozen=True, slots=True)
class Imported:
    """An import.

    Attributes:
        format: of the file.
        labels: in the file's order, unless the format says otherwise.
        left_out: what became no label.
        notes: what a person should know of how the file was read.
        rows: rows read.
        targets: what groups answered, as rows of a survey; only surveys have them.
    """

    format: str
    labels: tuple[Label, ...]
    left_out: tuple[LeftOut, ...] = ()
    notes: tuple[str, ...] = ()
    rows: int = 0
    targets: tuple[Mapping[str, Any], ...] = ()

    @property
    def reasons(self) -> dict[str, list[str]]:
        """Places by reason, the most frequent reason first."""
        counted = Counter(one.why for one in self.left_out)
        return {
            why: [one.where for one in self.left_out if one.why == why] for why, _ in counted.most_common()
        }

    def to_json(self) -> dict[str, Any]:
        """Counts and reasons, without the labels."""
        return {
            "format": self.format,
            "rows": self.rows,
            "labels": len(self.labels),
            "targets": len(self.targets),
            "raters": len({label.rater for label in self.labels}),
            "left_out": self.reasons,
            "notes": list(self.notes),
        }


@dataclass
class _Draft:
    question: str
    option: str
    where: str
    values: dict[str, Any]


@dataclass
class Collector:
    """Gathers labels while a file is read; names principles when every question is known.

    Attributes:
        map: what the person said of the file.
    """

    map: QuestionMap
    _drafts: list[_Draft] = field(default_factory=list)
    _left_out: list[LeftOut] = field(default_factory=list)
    _notes: dict[str, None] = field(default_factory=dict)

    def add(self, where: str, question: str = "", option: str = "", **values: Any) -> None:
        """Take the parts of a label, without its principle where ``question`` says it."""
        self._drafts.append(_Draft(question, option, where, values))

    def skip(self, where: str, why: str) -> None:
        """Take one thing that becomes no label."""
        self._left_out.append(LeftOut(where, why))

    def each(self, rows: Rows, read_one: Callable[[Row], None]) -> None:
        """Read every row; one that cannot be read is left out, whatever is wrong with it."""
        for row in rows.rows:
            try:
                read_one(row)
            except DataError as error:
                self.skip(error.where or row.source, error.what)
            except MALFORMED as error:
                self.skip(row.source, f"not of this form ({type(error).__name__}: {error})")

    def note(self, said: str) -> None:
        """Say something about the whole file, once."""
        self._notes[said] = None

    def done(self, format: str, rows: Rows) -> Imported:
        """Everything, as labels with ids that differ.

        One question alone judges the answer as a whole; of several, each is a principle of its own name,
        unless the map names one.
        """
        judging = {draft.question for draft in self._drafts if draft.question}
        labels: dict[str, Label] = {}
        for draft in self._drafts:
            try:
                label = label_of(self._named(draft, alone=len(judging) < 2))
                json.dumps(label.to_json(), allow_nan=False)  # it can be written
            except DataError as error:
                self.skip(draft.where, error.what)
                continue
            except MALFORMED as error:
                self.skip(draft.where, f"no label can be written of it ({type(error).__name__}: {error})")
                continue
            self._keep(labels, label, draft.where)
        bare = sum(label.kind == "rating" and not label.scale for label in labels.values())
        if bare:
            self.note(
                f"{bare} ratings whose scale nobody declared: say it in the map (scale: [1, 5]), or they are "
                "scores and never verdicts"
            )
        if len(judging) > 1:
            self.note(f"{len(judging)} questions, each a principle: {', '.join(sorted(judging))}")
        unread = tuple(LeftOut(error.where or rows.name, error.what) for error in rows.bad)
        return Imported(
            format,
            tuple(labels.values()),
            unread + tuple(self._left_out),
            tuple(self._notes),
            len(rows.rows) + len(rows.bad),
        )

    def _named(self, draft: _Draft, alone: bool) -> dict[str, Any]:
        values = dict(draft.values)
        if draft.question:
            mapped = self.map.of(draft.question).principle
            name = mapped if mapped is not None else "" if alone else draft.question
            values["principle"] = ".".join(filter(None, (name, draft.option)))
            values["meta"] = {**values.get("meta", {}), "question": draft.question}
        if values.get("kind") == "rating":
            own = self.map.of(draft.question).scale if draft.question else None
            values["scale"] = tuple(own or values.get("scale") or self.map.scale or ())
        return values

    def _keep(self, labels: dict[str, Label], label: Label, where: str) -> None:
        if label.id not in labels:
            labels[label.id] = label
        elif labels[label.id] == label:
            self.skip(where, "the same label stands here twice")
        else:  # the source gave two labels one id: both are somebody's word
            number = next(n for n in range(2, len(labels) + 3) if f"{label.id}~{n}" not in labels)
            labels[f"{label.id}~{number}"] = replace(label, id=f"{label.id}~{number}")
            self.note(f"an id that stood twice with different labels was made {label.id}~{number}")
