"""CSV and TSV: text cells, with JSON in the columns that hold lists."""

from __future__ import annotations

import csv
import io
import json
import sys
from pathlib import Path
from typing import Any

from charter.data.read_json import decode, without_bom
from charter.data.rows import Collector
from charter.errors import DataError

_LISTS = frozenset({"messages", "responses", "completions", "ranks", "scores", "tags"})
_NUMBERS = frozenset({"margin", "weight", "probability"})
_TURNS = frozenset({"prompt", "completion", "chosen", "rejected"})
_LABELS = {"true": True, "1": True, "false": False, "0": False}


def read_csv(path: Path, collector: Collector) -> None:
    """Read a CSV or TSV file whose first line names the columns."""
    raw = path.read_bytes()
    body = without_bom(raw)
    text = decode(body, str(path), len(raw) - len(body))
    csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
    delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    header: list[str] | None = None
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader, None)
        except csv.Error as error:
            raise DataError(f"malformed CSV: {error}", where=f"{path}:{line}") from None
        if cells is None:
            return
        if not any(cells):
            continue
        if header is None:
            header = _checked_header(cells, f"{path}:{line}")
        else:
            _add(header, cells, f"{path}:{line}", collector)


def _checked_header(cells: list[str], where: str) -> list[str]:
    names = [cell.strip() for cell in cells]
    if "" in names:
        raise DataError(f"column {names.index('') + 1} has no name", where=where)
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise DataError(f"column {twice[0]!r} appears twice", where=where)
    return names


def _add(header: list[str], cells: list[str], where: str, collector: Collector) -> None:
    if len(cells) != len(header):
        found = f"{len(cells)} cells where the header names {len(header)}"
        collector.fail(DataError(found, where=where, fix="quote cells that hold the delimiter"))
        return
    try:
        values = {name: _value(name, cell, where) for name, cell in zip(header, cells, strict=True)}
    except DataError as error:
        collector.fail(error)
        return
    collector.add(values, where)


def _value(column: str, cell: str, where: str) -> Any:
    if column in _LISTS or (column in _TURNS and _looks_like_turns(cell)):
        return _json(column, cell, where)
    if column == "label":
        return _LABELS.get(cell.strip().lower(), cell)
    if column in _NUMBERS:
        return _number(column, cell, where)
    return cell


def _looks_like_turns(cell: str) -> bool:
    return cell.lstrip().startswith("[{") and '"role"' in cell


def _json(column: str, cell: str, where: str) -> Any:
    if not cell.strip():
        return None
    try:
        return json.loads(cell)
    except json.JSONDecodeError as error:
        found = f"column {column!r} is not a JSON list: {error.msg} at character {error.pos}"
        raise DataError(found, where=where) from None


def _number(column: str, cell: str, where: str) -> float | None:
    if not cell.strip():
        return None
    try:
        return float(cell)
    except ValueError:
        raise DataError(f"column {column!r} is not a number: {cell!r}", where=where) from None
