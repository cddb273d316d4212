"""Rows of labelled steps, for process rewards."""

from __future__ import annotations

from typing import Any

from charter.data.columns import items
from charter.data.group_parts import Built, group_of, judgement_of, prompt_of
from charter.data.rows import Row
from charter.errors import DataError
from charter.types import Completion, Context, Judgement, Sample, SegmentTarget


def steps(row: Row) -> Built:
    """``completions`` (the steps of one answer) and ``labels``: true, false, a share of successes, or null.

    Segments are in characters of the answer's text until it is rendered.
    """
    name, values = items(row, "completions", "steps")
    texts = [_step(value, f"{name}[{number}]", row) for number, value in enumerate(values, start=1)]
    labels = _step_labels(row, name, len(texts))
    said, start = [], 0
    for step, value in zip(texts, labels, strict=True):
        target = SegmentTarget(0, start, start + len(step))
        start = target.end + 1
        if value is None:
            said.append(Judgement(target, verdict="not_measured"))
        else:
            said.append(judgement_of(row, target, value))
    sample = Sample(Context(prompt_of(row)), Completion("\n".join(texts)))
    return Built((group_of(row, [sample], said, used={"prompt", name, "labels"}),))


def _step(value: Any, column: str, row: Row) -> str:
    if not isinstance(value, str) or not value.strip():
        found = "blank" if isinstance(value, str) else type(value).__name__
        raise DataError(f"{column} is {found}, wanted the text of a step", where=row.source)
    return value


def _step_labels(row: Row, name: str, count: int) -> list[float | None]:
    _, values = items(row, "labels")
    if len(values) != count:
        raise DataError(
            f"'labels' has {len(values)} entries for {count} {name}",
            where=row.source,
            fix="one label for each step; null where there is none",
        )
    for number, value in enumerate(values, start=1):
        if value is not None and not (isinstance(value, bool | int | float) and 0 <= value <= 1):
            raise DataError(
                f"'labels' entry {number} is {value!r}, wanted true, false or a number from 0 to 1",
                where=row.source,
            )
    if all(value is None for value in values):
        raise DataError("no step has a label", where=row.source, fix="label a step or remove the row")
    return [None if value is None else float(value) for value in values]
