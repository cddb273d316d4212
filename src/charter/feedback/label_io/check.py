"""Everything that is wrong in a file of labels, at once, each with its line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from charter.constitution import Constitution
from charter.errors import DataError, did_you_mean
from charter.label import Label, label_of, word_of
from charter.strict_json import DECODER

Severity = Literal["error", "warning"]
"""``error``: the file cannot be read so, or says two things. ``warning``: somebody should look."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong, and where."""

    line: int
    severity: Severity
    what: str
    fix: str = ""


@dataclass(frozen=True, slots=True)
class LabelCheck:
    """What was found.

    Attributes:
        path: the file.
        labels: how many lines are labels.
        problems: in the order of lines.
    """

    path: str
    labels: int
    problems: tuple[Problem, ...]

    @property
    def ok(self) -> bool:
        """Whether the file can be read."""
        return not any(one.severity == "error" for one in self.problems)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {**asdict(self), "ok": self.ok}


def check_labels(path: str | Path, constitution: Constitution | None = None) -> LabelCheck:
    """Check every line of a labels file, and the labels against each other.

    Args:
        path: JSON Lines.
        constitution: to find principles that it does not have, and texts that changed since.

    Raises:
        DataError: there is no such file, or it is no text.
    """
    labels, problems = _read(Path(path))
    problems += _twice(labels)
    problems += _repeats(labels)
    problems += _items(labels)
    problems += _superseded(labels)
    if constitution is not None:
        problems += _principles(labels, constitution)
    return LabelCheck(str(path), len(labels), tuple(sorted(problems, key=lambda one: one.line)))


def _read(path: Path) -> tuple[dict[int, Label], list[Problem]]:
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror or error}", where=str(path)) from None
    labels: dict[int, Label] = {}
    problems: list[Problem] = []
    lines = raw.split(b"\n")
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            value = DECODER.decode(line.decode())
            if not isinstance(value, dict):
                raise DataError("a line must be one object")
            labels[number] = label_of(value)
        except DataError as error:
            problems.append(Problem(number, "error", error.what, error.fix or ""))
        except ValueError as error:  # not UTF-8, or not JSON
            torn = number == len(lines)
            fix = "a write was cut off here: delete the line" if torn else ""
            problems.append(Problem(number, "error", f"malformed: {error}", fix))
    return labels, problems


def _twice(labels: Mapping[int, Label]) -> Iterator[Problem]:
    first: dict[str, int] = {}
    for line, label in labels.items():
        if label.id in first:
            yield Problem(
                line, "error", f"id {label.id!r} stands on line {first[label.id]} too", "give it another id"
            )
        first.setdefault(label.id, line)


def _repeats(labels: Mapping[int, Label]) -> Iterator[Problem]:
    by_id = {label.id: label for label in labels.values()}
    for line, label in labels.items():
        if not label.repeat_of:
            continue
        before = by_id.get(label.repeat_of)
        if before is None:
            fix = did_you_mean(label.repeat_of, by_id) if len(by_id) < 1000 else ""
            yield Problem(line, "error", f"repeat_of names no label: {label.repeat_of!r}", fix)
        elif (before.rater, before.item) != (label.rater, label.item):
            yield Problem(line, "error", f"repeat_of {before.id!r} is another rater's, or of another item")


def _items(labels: Mapping[int, Label]) -> Iterator[Problem]:
    """One item is one prompt and one list of answers, for each kind of label."""
    first: dict[tuple[str, str], int] = {}
    for line, label in labels.items():
        key = (label.item, label.kind)
        before = labels[first.setdefault(key, line)]
        if (before.prompt, before.answers) != (label.prompt, label.answers):
            what = f"item {label.item!r} has another prompt or other answers than on line {first[key]}"
            yield Problem(line, "error", what, "give one of them another item")


def _superseded(labels: Mapping[int, Label]) -> Iterator[Problem]:
    last: dict[tuple[Any, ...], int] = {}
    for line, label in labels.items():
        key = word_of(label)
        if key in last:
            what = f"{label.rater!r} labelled this item on line {last[key]} too; the last word counts"
            yield Problem(line, "warning", what, "mark a repeat with repeat_of")
        last[key] = line


def _principles(labels: Mapping[int, Label], constitution: Constitution) -> Iterator[Problem]:
    known = {principle.id: principle.sha for principle in constitution.principles}
    unknown: Counter[str] = Counter()
    for line, label in labels.items():
        if label.principle and label.principle not in known:
            unknown[label.principle] += 1
            if unknown[label.principle] == 1:
                what = f"the constitution has no principle {label.principle!r}"
                yield Problem(line, "warning", what, did_you_mean(label.principle, known))
        elif label.principle and label.principle_sha not in ("", known[label.principle]):
            yield Problem(line, "warning", f"{label.principle!r} was changed since this was labelled")
