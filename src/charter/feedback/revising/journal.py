"""What models said, a line each as it comes, found again by what they were asked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from charter.errors import UserError
from charter.rundir import append_jsonl, read_jsonl

KEY = "key"


class Journal:
    """Answers by the content of the question; survives an interruption at any moment.

    Args:
        path: a JSON-lines file, made when something is added; None = kept in memory alone.

    Raises:
        UserError: the file holds something else.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        self._rows: dict[str, Mapping[str, Any]] = {}
        for number, row in enumerate(read_jsonl(path) if path is not None else (), start=1):
            if not isinstance(row, dict) or not isinstance(row.get(KEY), str):
                raise UserError("not a line of a journal", where=f"{path}:{number}", fix="remove the file")
            self._rows[row[KEY]] = row

    def __len__(self) -> int:
        return len(self._rows)

    def get(self, key: str) -> Mapping[str, Any] | None:
        """What was answered before, or None."""
        return self._rows.get(key)

    def add(self, key: str, row: Mapping[str, Any]) -> None:
        """Keep an answer."""
        whole = {KEY: key, **row}
        if self.path is not None:
            append_jsonl(self.path, whole)
        self._rows[key] = whole


def journal_in(folder: Path | None, stage: str) -> Journal:
    """The journal of one stage in a folder, ``<stage>.journal.jsonl``."""
    if folder is None:
        return Journal()
    folder.mkdir(parents=True, exist_ok=True)
    return Journal(folder / f"{stage}.journal.jsonl")
