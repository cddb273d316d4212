"""What models said, a line each as it comes, found again by what they were asked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from charter.feedback.journal import KEY, JournalFile


class Journal(JournalFile[Mapping[str, Any]]):
    """Answers as plain rows, by the content of the question."""

    line = "line of a journal"

    def add(self, key: str, row: Mapping[str, Any]) -> None:
        """Keep an answer and write it down at once."""
        whole = {KEY: key, **row}
        self._write(whole)
        self._take(whole)

    def _take(self, row: Mapping[str, Any]) -> None:
        key = row[KEY]
        if not isinstance(key, str):
            raise TypeError(key)
        self._answers[key] = row


def journal_in(folder: Path | None, stage: str) -> Journal:
    """The journal of one stage in a folder, ``<stage>.journal.jsonl``."""
    return Journal(None if folder is None else folder / f"{stage}.journal.jsonl")
