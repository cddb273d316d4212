"""Labels in tables: our own long CSV, read back without loss, and a simple one that people write.

The simple one has ``rater`` and either ``choice`` (``a``, ``b``, ``tie``, ``both_bad``, ``a>>b``, ...) with
``answer_a`` and ``answer_b``, or ``rating`` with ``answer``. Further: ``prompt``, ``item``, ``id``,
``principle``, ``margin``, ``group``, ``seconds``, ``at``, ``rationale``, ``model_a``, ``model_b``, ``model``,
``source``, and ``lowest`` and ``highest``, the scale of a rating. Other columns are kept as meta.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from charter.data.columns import missing_column, require
from charter.data.public.parts import filled, item_of, number
from charter.data.rows import Row, Rows
from charter.errors import DataError
from charter.feedback.label_io.imported import Collector
from charter.feedback.label_io.words import said_by
from charter.label import Label

COLUMNS = tuple(one.name for one in fields(Label))
JSON_COLUMNS = frozenset(
    {"value", "answers", "models", "shown", "gold", "suggestion", "seconds", "scale", "meta"}
)
"""Columns of the long table whose cells are JSON."""

_SIMPLE = frozenset(
    {
        *("rater", "choice", "rating", "answer", "answer_a", "answer_b", "prompt", "item", "id", "principle"),
        *("margin", "group", "seconds", "at", "rationale", "model_a", "model_b", "model", "source"),
        *("lowest", "highest"),
    }
)
_TEXTS = ("group", "at", "rationale", "principle")


def fits_long(values: Mapping[str, Any]) -> bool:
    """Whether a row is of the long table."""
    return all(name in values for name in ("id", "item", "rater", "kind", "outcome", "value"))


def fits_simple(values: Mapping[str, Any]) -> bool:
    """Whether a row is of the simple table."""
    return "rater" in values and "kind" not in values and ("choice" in values or "rating" in values)


def read_long(rows: Rows, found: Collector) -> None:
    """Hand every line to ``found`` as the label it was."""
    found.each(rows, lambda row: _long(row, found))


def read_simple(rows: Rows, found: Collector) -> None:
    """Hand every line to ``found``."""
    found.each(rows, lambda row: _simple(row, found))


def _long(row: Row, found: Collector) -> None:
    unknown = [name for name in row.values if name not in COLUMNS]
    if unknown:
        raise missing_column(unknown[:1], COLUMNS, row.source)
    given = {name: value for name, value in _decoded(row) if value is not None and value != ""}
    texts = [name for name in ("id", "item", "rater") if not isinstance(given.get(name), str)]
    if texts:
        raise DataError(f"{texts[0]!r} is {given.get(texts[0])!r}, wanted text", where=row.source)
    found.add(row.source, **given)


def _decoded(row: Row) -> list[tuple[str, Any]]:
    found = []
    for name, cell in row.values.items():
        if name in JSON_COLUMNS and isinstance(cell, str) and cell.strip():
            try:
                cell = json.loads(cell)
            except ValueError:
                raise DataError(f"column {name!r} is no JSON: {cell[:40]!r}", where=row.source) from None
        found.append((name, cell))
    return found


def _simple(row: Row, found: Collector) -> None:
    compared = bool(row.values.get("choice"))
    names = ("answer_a", "answer_b") if compared else ("answer",)
    answers = tuple(filled(row, name) for name in names)
    prompt = str(row.values.get("prompt") or "")
    models = tuple(str(row.values.get(n) or "") for n in (("model_a", "model_b") if compared else ("model",)))
    item = str(row.values.get("item") or item_of(prompt, *answers))
    line = row.source.rpartition(":")[2]
    found.add(
        row.source,
        id=str(row.values.get("id") or f"csv-{line}"),
        item=item,
        rater=filled(row, "rater"),
        prompt=prompt,
        answers=answers,
        models=models if any(models) else (),
        source=str(row.values.get("source") or "human"),
        seconds=number(row, "seconds", 0) if row.values.get("seconds") not in (None, "") else None,
        meta={k: v for k, v in row.values.items() if k not in _SIMPLE and v not in (None, "")},
        **{name: str(row.values.get(name) or "") for name in _TEXTS},
        **_judged(row, compared),
    )


def _judged(row: Row, compared: bool) -> dict[str, Any]:
    if not compared:
        cell = str(require(row, "rating")[1])
        said = said_by(cell, 1)
        if said is None:
            raise DataError(f"the rating is {cell!r}", where=row.source, fix="a number, yes or no, n/a, skip")
    else:
        said = said_by(str(row.values["choice"]), 2)
        if said is None:
            raise DataError(
                f"the choice is {row.values['choice']!r}", where=row.source, fix="a, b, tie, both_bad, a>>b"
            )
    value = said.value
    if compared and value is not None and row.values.get("margin") not in (None, ""):
        value = number(row, "margin", 0, 3) * (1 if value > 0 else -1)
    scale = said.scale if compared else _scale(row) or said.scale
    return {"kind": said.kind, "outcome": said.outcome, "value": value, "scale": scale}


def _scale(row: Row) -> tuple[float, ...]:
    given = [name for name in ("lowest", "highest") if row.values.get(name) not in (None, "")]
    if len(given) == 1:
        raise DataError(f"{given[0]!r} without the other end of the scale", where=row.source)
    return tuple(number(row, name) for name in given)
