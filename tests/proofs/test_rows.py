"""What a row says of itself reaches the loss: its weight, and how probable its label is."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any
from unittest import mock

import pytest
from declared import DECLARED
from rows import ROWS, Row
from running import Workshop, loss_and_gradient, nudge

from charter.catalogue import ENTRIES
from charter.training.batch import split

WEIGHTS = (1, 3, 1, 2, 1, 1)
UNJUDGED = {"sft", "conversations", "prompts", "sampled"}
"""Kinds of rows that nothing is said about, so that they have no weight."""

TAKEN_APART = {"sdpo": "its stages split the rows"}
"""Algorithms whose groups are not one group a row in the order of the rows."""

# Not genrm, which imitates certain answers only.
SOFT = [
    *(n for n, e in ENTRIES.items() if e.data == "unpaired" and n != "genrm"),
    *("simpo", "alphapo", "dpo", "ipo", "modpo", "reward", "gdpo", "cloud"),
]


def measured(workshop: Workshop, name: str, rows: Sequence[Row]) -> tuple[float, dict[str, Any]]:
    """Loss and gradient over all rows as one step, at weights that are not the reference's."""
    path = workshop.root / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    with mock.patch.object(Workshop, "data", lambda self, name: path):
        loop = workshop.loop(name)
    nudge(loop)
    return loss_and_gradient(loop, split(loop.groups, 100_000, loop.columns))


def assert_same_gradient(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert one.keys() == other.keys() and one
    for key, grad in one.items():
        assert (grad - other[key]).abs().max() <= 1e-5 * grad.abs().max() + 1e-8, key


def rows_of(name: str) -> list[Row]:
    return ROWS[DECLARED[name].rows or ENTRIES[name].data]()


WEIGHED = [
    name
    for name in ENTRIES
    if (DECLARED[name].rows or ENTRIES[name].data) not in UNJUDGED and name not in TAKEN_APART
]


@pytest.mark.parametrize("name", WEIGHED)
def test_a_weight_counts_as_so_many_copies(workshop: Workshop, name: str) -> None:
    rows = rows_of(name)
    weighed = [{**row, "weight": float(weight)} for row, weight in zip(rows, WEIGHTS, strict=True)]
    copied = [row for row, weight in zip(rows, WEIGHTS, strict=True) for _ in range(weight)]
    loss, gradient = measured(workshop, name, weighed)
    same, other = measured(workshop, name, copied)
    assert loss == pytest.approx(same, rel=1e-5)
    assert_same_gradient(gradient, other)


def turned(row: Row) -> Row:
    """The row with the opposite label."""
    if "label" in row:
        return {**row, "label": not row["label"]}
    sides = [name.removeprefix("chosen") for name in row if name.startswith("chosen")]
    return {**row, **{f"{a}{s}": row[f"{b}{s}"] for s in sides for a, b in _SIDES}}


_SIDES = (("chosen", "rejected"), ("rejected", "chosen"))


@pytest.mark.parametrize("name", SOFT)
def test_a_probable_label_is_a_mixture_of_both(workshop: Workshop, name: str) -> None:
    rows = rows_of(name)
    _, soft = measured(workshop, name, [{**row, "probability": 0.75} for row in rows])
    _, mixed = measured(workshop, name, [one for row in rows for one in (row, row, row, turned(row))])
    assert_same_gradient(soft, mixed)
