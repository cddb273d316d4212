"""Typed access to the columns of one row; every fault names the row and the nearest column."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Sequence
from typing import Any

from charter.data.rows import Row
from charter.data.turns import is_turns, parse_turns
from charter.errors import DataError
from charter.types import Content


def missing_column(wanted: Iterable[str], existing: Iterable[str], where: str) -> DataError:
    """The error for a row without one of the columns ``wanted``."""
    names, have = list(wanted), sorted(existing)
    close = [match for name in names for match in difflib.get_close_matches(name, have, n=1, cutoff=0.6)]
    text = " or ".join(repr(name) for name in names)
    listed = ", ".join(have) or "none"
    fix = f"did you mean {close[0]!r}? rename the column" if close else "rename or add the column"
    return DataError(f"no column {text}; columns: {listed}", where=where, fix=fix)


def require(row: Row, *names: str) -> tuple[str, Any]:
    """The first of ``names`` the row has, and its value, which is not null."""
    for name in names:
        if name in row.values:
            value = row.values[name]
            if value is None:
                raise DataError(f"column {name!r} is null", where=row.source, fix="fill it or remove the row")
            return name, value
    raise missing_column(names, row.values, row.source)


def content(row: Row, name: str) -> Content:
    """A required column of plain text or turns."""
    return as_content(require(row, name)[1], where=row.source, column=name)


def as_content(value: Any, *, where: str, column: str) -> Content:
    """Plain text as it is, a list of turns as messages."""
    if isinstance(value, str):
        return value
    if is_turns(value):
        return parse_turns(value, where=where, column=column)
    raise DataError(
        f"{column!r} is {type(value).__name__}, wanted text or a list of turns",
        where=where,
        fix='write "text" or [{"role": "user", "content": "text"}]',
    )


def text(row: Row, name: str) -> str:
    """A required column of plain text."""
    value = require(row, name)[1]
    if not isinstance(value, str):
        found = type(value).__name__
        raise DataError(f"{name!r} is {found}, wanted text", where=row.source)
    return value


def items(row: Row, *names: str) -> tuple[str, Sequence[Any]]:
    """A required, non-empty list column."""
    name, value = require(row, *names)
    if not isinstance(value, list | tuple):
        raise DataError(f"{name!r} is {type(value).__name__}, wanted a list", where=row.source)
    if not value:
        raise DataError(f"{name!r} is an empty list", where=row.source)
    return name, value


def numbers(row: Row, name: str, count: int) -> tuple[float, ...]:
    """A required list of ``count`` finite numbers."""
    _, values = items(row, name)
    if len(values) != count:
        found = f"{name!r} has {len(values)} entries for {count} responses"
        raise DataError(found, where=row.source, fix="one entry for each response")
    return tuple(_number(value, f"{name!r} entry {i}", row.source) for i, value in enumerate(values, start=1))


def optional_number(row: Row, name: str, *, low: float = -math.inf, high: float = math.inf) -> float | None:
    """An optional finite number in ``[low, high]``; null and absent are None."""
    value = row.values.get(name)
    if value is None:
        return None
    number = _number(value, repr(name), row.source)
    if not low <= number <= high:
        raise DataError(f"{name!r} is {number:g}, wanted {low:g} to {high:g}", where=row.source)
    return number


def label(row: Row) -> bool:
    """The required boolean ``label``; 0 and 1 are taken as booleans."""
    value = require(row, "label")[1]
    if isinstance(value, bool) or value in (0, 1):
        return bool(value)
    raise DataError(f"'label' is {value!r}, wanted true or false", where=row.source)


def optional_text(row: Row, name: str) -> str:
    """An optional text (a number is written out); null and absent are empty."""
    value = row.values.get(name)
    if value is None:
        return ""
    if isinstance(value, str | int):
        return str(value)
    raise DataError(f"{name!r} is {type(value).__name__}, wanted text", where=row.source)


def _number(value: Any, name: str, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise DataError(f"{name} is {type(value).__name__}, wanted a number", where=where)
    if not math.isfinite(value):
        raise DataError(f"{name} is {value}, wanted a finite number", where=where)
    return float(value)
