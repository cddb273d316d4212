"""What a reader hands on: plain dicts that know where they came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from charter.errors import DataError

OnBad = Literal["error", "skip"]
"""``error``: the first bad row stops; ``skip``: bad rows are left out and counted."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row as it was written.

    Attributes:
        values: column name to value.
        source: ``file:line`` (JSONL, JSON, CSV) or ``file:row`` counted from 1 (Parquet, datasets).
    """

    values: Mapping[str, Any]
    source: str


@dataclass(frozen=True, slots=True)
class Rows:
    """All rows of a source, and the ones that could not be read.

    Attributes:
        rows: the good rows, in order.
        bad: one error per row left out (``on_bad="skip"`` only).
        name: what the source is called in messages.
    """

    rows: tuple[Row, ...]
    bad: tuple[DataError, ...] = ()
    name: str = ""

    @property
    def counts(self) -> dict[str, int]:
        """How many rows were read and how many could not be."""
        return {"rows read": len(self.rows), "rows unreadable": len(self.bad)}


class Collector:
    """Gathers rows; a bad one raises or is kept as an error, as ``on_bad`` says."""

    def __init__(self, on_bad: OnBad) -> None:
        if on_bad not in ("error", "skip"):
            raise DataError(f"on_bad is 'error' or 'skip', not {on_bad!r}")
        self._on_bad = on_bad
        self._rows: list[Row] = []
        self._bad: list[DataError] = []

    def add(self, values: Any, source: str) -> None:
        """Take one parsed row after checking that it is an object of storable text."""
        error = _row_error(values, source)
        if error is None:
            self._rows.append(Row(values, source))
        else:
            self.fail(error)

    def fail(self, error: DataError) -> None:
        """Take one row that could not be parsed."""
        if self._on_bad == "error":
            raise error
        self._bad.append(error)

    def done(self, name: str) -> Rows:
        """Everything gathered.

        Raises:
            DataError: there was nothing in the source, or every row was bad.
        """
        if not self._rows and self._bad:
            raise DataError(f"all {len(self._bad)} rows are unreadable, first: {self._bad[0]}", where=name)
        if not self._rows:
            raise DataError("holds no rows", where=name, fix="give a file with at least one row")
        return Rows(tuple(self._rows), tuple(self._bad), name)


def _row_error(values: Any, source: str) -> DataError | None:
    if not isinstance(values, Mapping):
        kind = type(values).__name__
        return DataError(
            f"a row is an object of columns, found {kind}", where=source, fix='write {"prompt": ...}'
        )
    for column, value in values.items():
        reason = _text_fault(value)
        if reason is not None:
            return DataError(f"column {column!r} {reason}", where=source, fix="remove the character")
    return None


def _text_fault(value: Any) -> str | None:
    """Why a text inside ``value`` cannot be tokenised, or None."""
    if isinstance(value, str):
        if "\x00" in value:
            return f"holds a NUL character at offset {value.index(chr(0))}"
        try:
            value.encode("utf-8")
        except UnicodeEncodeError as error:
            return f"holds a lone surrogate at offset {error.start}"
        return None
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list | tuple):
        return next((fault for item in value if (fault := _text_fault(item))), None)
    return None
