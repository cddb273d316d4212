"""The labels of a file in order: last words, repeats beside their first, and what was left out, counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from charter.errors import DataError
from charter.label import Label, latest
from charter.rundir import read_jsonl

Question = tuple[str, str]
"""What two raters both answered: principle and item."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What counts of a file of labels.

    Attributes:
        labels: the last word of each rater on each question, repeats left out.
        repeats: (first, again) of the same rater and question.
        left_out: how many labels do not count, by reason.
        total: labels in the file.
    """

    labels: tuple[Label, ...]
    repeats: tuple[tuple[Label, Label], ...]
    left_out: Mapping[str, int]
    total: int

    @property
    def raters(self) -> list[str]:
        """In order of appearance."""
        return list(dict.fromkeys(label.rater for label in self.labels))

    def by_rater(self) -> dict[str, list[Label]]:
        """Each rater's labels, in order."""
        found: dict[str, list[Label]] = {}
        for label in self.labels:
            found.setdefault(label.rater, []).append(label)
        return found


def hear(labels: Sequence[Label], gold: Mapping[Question, Any] | None = None) -> Heard:
    """Sort out ``labels``; ``gold`` names right values that the labels do not carry themselves.

    A value of ``gold`` under principle "" holds for the item under every principle that has none of its own.
    """
    given = [_with_gold(label, gold or {}) for label in labels]
    last = latest(given)
    counts = Counter({"replaced by a later label of the same rater": len(given) - len(last)})
    by_id = {label.id: label for label in given}
    kept: list[Label] = []
    repeats: list[tuple[Label, Label]] = []
    for label in last:
        if not label.repeat_of:
            kept.append(label)
        elif label.repeat_of in by_id:
            repeats.append((by_id[label.repeat_of], label))
        else:
            counts["repeats whose first label is not in the file"] += 1
    return Heard(tuple(kept), tuple(repeats), dict(+counts), len(given))


def question(label: Label) -> Question:
    """What ``label`` answers."""
    return label.principle, label.item


def choice(label: Label) -> float | None:
    """What was said as one number; None where nothing can be compared.

    Of a pair 1 = the first of ``answers``, 0 = the second, 0.5 = a tie; of a rating the rating.
    """
    if label.kind == "pair":
        if label.outcome == "tie":
            return 0.5
        return (1.0 if label.value > 0 else 0.0) if label.outcome == "judged" else None
    if label.kind == "rating" and label.outcome == "judged":
        return float(label.value)
    return None


def right(label: Label) -> bool | None:
    """Whether a gold label is right; None where it is no test, or nothing was said.

    A tie is right where the gold value of the pair is 0, and wrong elsewhere; two bad answers are never
    right.
    """
    if label.gold is None or label.outcome in ("skipped", "not_applicable"):
        return None
    if label.kind == "pair":
        wanted = 0.5 if label.gold == 0 else 1.0 if label.gold > 0 else 0.0
        return choice(label) == wanted
    if label.kind == "rating":
        return choice(label) == float(label.gold)
    if label.kind == "ranking":
        return list(label.value) == list(label.gold) if label.outcome == "judged" else False
    return None


def gold_choice(label: Label) -> float | None:
    """The right answer in the numbers of :func:`choice`."""
    if label.gold is None or label.kind not in ("pair", "rating"):
        return None
    if label.kind == "rating":
        return float(label.gold)
    return 0.5 if label.gold == 0 else 1.0 if label.gold > 0 else 0.0


def read_gold(path: Path) -> dict[Question, float]:
    """Right values: one ``{"item": ..., "value": ..., "principle": ...}`` a line.

    Raises:
        DataError: no such file, or a line that is none.
    """
    if not path.is_file():
        raise DataError("no such file", where=str(path))
    found: dict[Question, float] = {}
    for number, row in enumerate(read_jsonl(path), start=1):
        where = f"{path}:{number}"
        if not isinstance(row, dict) or not isinstance(row.get("item"), str):
            raise DataError(
                "a line of gold names its item", where=where, fix='write {"item": "i1", "value": 1}'
            )
        value = row.get("value")
        if isinstance(value, bool) or not isinstance(value, int | float):
            fix = "above 0 = the first answer of a pair is better; of a rating the rating"
            raise DataError(f"the value is {value!r}", where=where, fix=fix)
        found[str(row.get("principle", "")), row["item"]] = float(value)
    return found


def _with_gold(label: Label, gold: Mapping[Question, Any]) -> Label:
    if label.gold is not None or not gold:
        return label
    value = gold.get(question(label), gold.get(("", label.item)))
    return label if value is None else replace(label, gold=value)


def of_kind(labels: Iterable[Label], kind: str) -> list[Label]:
    """Those of one kind that say something comparable."""
    return [label for label in labels if label.kind == kind and choice(label) is not None]
