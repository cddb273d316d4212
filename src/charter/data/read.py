"""Read rows from JSONL, JSON, CSV, Parquet, a saved ``datasets`` folder, a hub id, or memory."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from charter.data.read_csv import read_csv
from charter.data.read_json import read_json
from charter.data.read_table import read_hub, read_memory, read_parquet, read_saved
from charter.data.rows import Collector, OnBad, Rows
from charter.errors import DataError

Source = str | Path | Iterable[Any]
"""A path, a hub id, a ``datasets.Dataset``, or a list of dicts."""

_READERS: dict[str, Callable[[Path, Collector], None]] = {
    ".jsonl": read_json,
    ".ndjson": read_json,
    ".json": read_json,
    ".csv": read_csv,
    ".tsv": read_csv,
    ".parquet": read_parquet,
}
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")


def read_rows(source: Source, *, split: str = "train", on_bad: OnBad = "error") -> Rows:
    """Read every row of ``source``.

    Args:
        source: a file, a folder written by ``Dataset.save_to_disk``, a hub id
            ``owner/name`` that is no path, or rows in memory.
        split: which split of a dataset with several.
        on_bad: see :data:`charter.data.rows.OnBad`.

    Raises:
        DataError: missing or empty source, or a bad row, with ``file:line``.
    """
    collector = Collector(on_bad)
    if not isinstance(source, str | Path):
        read_memory(source, split, collector)
        return collector.done("rows in memory")
    path, name = Path(source), str(source)
    try:
        if path.is_dir():
            read_saved(path, split, collector)
        elif path.exists():
            _reader_of(path)(path, collector)
        elif isinstance(source, str) and is_hub_id(source):
            read_hub(source, split, collector)
        else:
            raise _missing(path)
    except OSError as error:
        raise DataError(f"cannot read: {error.strerror or error}", where=name) from None
    return collector.done(name)


def _reader_of(path: Path) -> Callable[[Path, Collector], None]:
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        known = ", ".join(_READERS)
        raise DataError(
            f"unknown kind of file {path.suffix or 'without suffix'}",
            where=str(path),
            fix=f"use one of {known}",
        )
    return reader


def is_hub_id(source: str) -> bool:
    """Whether a name that is no existing path may be asked for on the hub."""
    looks_like_path = Path(source).suffix.lower() in _READERS or Path(source).parent.is_dir()
    return _HUB_ID.fullmatch(source) is not None and not looks_like_path


def _missing(path: Path) -> DataError:
    parent = path.parent
    if not parent.is_dir():
        return DataError("no such file", where=str(path), fix=f"the folder {parent} does not exist")
    names = sorted(entry.name for entry in parent.iterdir())
    close = difflib.get_close_matches(path.name, names, n=1, cutoff=0.6)
    if close:
        return DataError("no such file", where=str(path), fix=f"did you mean {str(parent / close[0])!r}?")
    return DataError("no such file", where=str(path), fix="check the path; a hub dataset is named owner/name")
