"""What an adapter of a public set is, and what it makes of one row."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from charter.data.rows import Row
from charter.errors import DataError
from charter.label import Label

MALFORMED = (KeyError, TypeError, ValueError, AttributeError, IndexError)
"""What reading a row of another form than expected runs into, deep inside."""

Reads = Callable[[Row], "PublicRow"]


@dataclass(frozen=True, slots=True)
class PublicRow:
    """One row of a public set, read.

    Attributes:
        labels: what its raters said.
        rows: rows to train on, by their format (see :data:`charter.data.formats.Kind`); the first
            format is the one that says most.
        left_out: what of the row could not be kept, in words.
    """

    labels: tuple[Label, ...] = ()
    rows: Mapping[str, tuple[dict[str, Any], ...]] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PublicSet:
    """The schema of a public set.

    Attributes:
        name: as in ``--format``.
        title: what it is, with its source.
        fits: whether a row has this schema.
        read: the row, read; raises ``DataError`` where it cannot be.
    """

    name: str
    title: str
    fits: Callable[[Mapping[str, Any]], bool]
    read: Reads

    def read_row(self, row: Row) -> PublicRow:
        """The row, read.

        Raises:
            DataError: it cannot be, whatever is wrong with it.
        """
        try:
            return self.read(row)
        except MALFORMED as error:
            what = f"not a row of {self.name} ({type(error).__name__}: {error})"
            raise DataError(what, where=row.source) from None


def has(values: Mapping[str, Any], *names: str) -> bool:
    """Whether every one of the columns is there."""
    return all(name in values for name in names)
