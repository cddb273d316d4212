"""Marked places of answers beside the rows of those answers: no trainer reads them, people do."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from charter.feedback.people.compiled import Compiled
from charter.feedback.people.row_parts import answer_of, prompt_of
from charter.label import Label

ALONE = "spans: no row holds the marked answer"
_ONE = ("chosen", "rejected", "completion", "response")


def attach_marks(labels: Sequence[Label], made: Compiled) -> None:
    """Column ``spans`` of the rows that hold a marked answer; marks without such a row are counted."""
    marks: dict[str, list[Label]] = {}
    for label in labels:
        if len(label.answers) == 1:
            marks.setdefault(_key(prompt_of(label), answer_of(label, 0)), []).append(label)
    used: set[str] = set()
    for row in (row for rows in made.rows.values() for row in rows):
        found = []
        for column, answer in _answers(row):
            for label in marks.get(_key(row["prompt"], answer), ()):
                used.add(label.id)
                found += [_mark(label, column, one) for one in label.value]
        if found:
            row["spans"] = found
    made.marked = len(used)
    made.used += len(used)
    if len(labels) > len(used):
        made.dropped[ALONE] += len(labels) - len(used)


def _answers(row: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    yield from ((name, row[name]) for name in _ONE if name in row)
    yield from ((f"responses[{place}]", answer) for place, answer in enumerate(row.get("responses", ())))


def _key(prompt: Any, answer: Any) -> str:
    return json.dumps([prompt, answer], ensure_ascii=False)


def _mark(label: Label, column: str, mark: Sequence[Any]) -> dict[str, Any]:
    start, end, tag = mark
    whose = {"rater": label.rater, "principle": label.principle}
    return {"answer": column, "start": start, "end": end, "tag": tag, **whose}
