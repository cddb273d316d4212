"""The labels of a file in order: last words, repeats beside their first, and what was left out, counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from charter.errors import DataError
from charter.label import VERDICT, Label, is_decision, latest, side_of
from charter.rundir import read_jsonl

Question = tuple[str, str]
"""What two raters both answered: principle and item."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What counts of a file of labels.

    Attributes:
        labels: the last word of each rater on each question; repeats and decisions are not among them.
        repeats: (first, again) of the same rater and question.
        decisions: an adjudicator's last word on each question. They saw what the others said, so they are
            no voice of their own in any measure of raters; rows to train on follow them.
        left_out: how many labels do not count, by reason.
        total: labels in the file.
    """

    labels: tuple[Label, ...]
    repeats: tuple[tuple[Label, Label], ...]
    left_out: Mapping[str, int]
    total: int
    decisions: tuple[Label, ...] = ()

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


def hear(
    labels: Sequence[Label], gold: Mapping[Question, Any] | None = None, scale: tuple[float, ...] = ()
) -> Heard:
    """Sort out ``labels``.

    Args:
        labels: of a file, in its order.
        gold: right values that the labels do not carry themselves. A value under principle "" holds for the
            item under every principle that has none of its own.
        scale: of the ratings that do not carry one; () = nobody said.

    Raises:
        DataError: a rating or a right value that is not on its scale.
    """
    given = [_with_gold(label, gold or {}) for label in (_scaled(one, scale) for one in labels)]
    spoken = [label for label in given if not is_decision(label)]
    last = latest(spoken)
    counts = Counter({"replaced by a later label of the same rater": len(spoken) - len(last)})
    decisions: dict[tuple[str, str, str], Label] = {}
    for label in given:
        if is_decision(label):
            key = decided_question(label)
            counts["replaced by a later decision"] += decisions.pop(key, None) is not None
            decisions[key] = label
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
    return Heard(tuple(kept), tuple(repeats), dict(+counts), len(given), tuple(decisions.values()))


def question(label: Label) -> Question:
    """What ``label`` answers."""
    return label.principle, label.item


def decided_question(label: Label) -> tuple[str, str, str]:
    """What one decision decides: a question, asked in one way."""
    return label.principle, label.item, label.kind


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


def class_of(label: Label) -> float | None:
    """What was said as one of few answers: what raters' errors are counted in.

    A pair as in :func:`choice`. A rating is the half of its scale in which it lies (1, 0, or 0.5 for the
    middle), as tests of raters take it too: how far in is a matter of taste. Without a scale it is itself.
    """
    value = choice(label)
    if value is None or label.kind != "rating" or not label.scale:
        return value
    return side_of(value, label.scale)


def gold_class(label: Label) -> float | None:
    """The right answer in the numbers of :func:`class_of`; None where there is none."""
    if not isinstance(label.gold, int | float) or label.kind not in ("pair", "rating"):
        return None
    if label.kind == "rating":
        return side_of(label.gold, label.scale) if label.scale else float(label.gold)
    return 0.5 if label.gold == 0 else 1.0 if label.gold > 0 else 0.0


def share_of_scale(label: Label) -> float | None:
    """A rating from 0, the lowest of its scale, to 1, the highest; None without a scale or a rating."""
    value = choice(label)
    if value is None or label.kind != "rating" or not label.scale:
        return None
    low, high = label.scale
    return (value - low) / (high - low)


def is_verdict(label: Label) -> bool:
    """Whether a rating says no or yes: by its scale, never by the ratings there happen to be."""
    return label.kind == "rating" and label.scale == VERDICT


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


def _scaled(label: Label, scale: tuple[float, ...]) -> Label:
    if not scale or label.kind != "rating" or label.scale:
        return label
    try:
        return replace(label, scale=scale)
    except DataError as error:
        raise DataError(error.what, where=f"label {label.id}", fix=error.fix) from None


def _with_gold(label: Label, gold: Mapping[Question, Any]) -> Label:
    if label.gold is not None or not gold:
        return label
    value = gold.get(question(label), gold.get(("", label.item)))
    if value is None:
        return label
    try:
        return replace(label, gold=value)
    except DataError as error:
        raise DataError(error.what, where=f"gold of item {label.item}", fix=error.fix) from None


def of_kind(labels: Iterable[Label], kind: str) -> list[Label]:
    """Those of one kind that say something comparable."""
    return [label for label in labels if label.kind == kind and choice(label) is not None]
