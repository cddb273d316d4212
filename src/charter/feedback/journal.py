"""What was answered, a JSON line each as it comes, found again by what was asked.

A run that is started again reads the file and asks only what is missing; a cache shared by many runs is
the same file.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

from charter.errors import EnvironmentFault, UserError
from charter.rundir import append_jsonl, read_jsonl

KEY = "key"
AnswerT = TypeVar("AnswerT")


class JournalFile(Generic[AnswerT]):
    """Answers by key; survives an interruption at any moment.

    Args:
        path: the file, made when something is added, with its folder; None = kept in memory alone.

    Raises:
        UserError: the file holds something else, or is damaged before its last line.
        EnvironmentFault: it cannot be read, or its folder not made.
    """

    line: ClassVar[str]
    """What a line is called in errors."""

    def __init__(self, path: str | os.PathLike[str] | None = None) -> None:
        self.path = None if path is None else Path(path)
        self._answers: dict[str, AnswerT] = {}
        if self.path is not None:
            self._read(self.path)

    def __len__(self) -> int:
        return len(self._answers)

    def get(self, key: str) -> AnswerT | None:
        """What was answered before; None = nothing."""
        return self._answers.get(key)

    def _take(self, row: Mapping[str, Any]) -> None:
        """Find what a row says from now on. Raises KeyError or TypeError when it says nothing."""
        raise NotImplementedError

    def _write(self, row: Mapping[str, Any]) -> None:
        if self.path is None:
            return
        from filelock import FileLock

        with FileLock(self.path.with_name(f".{self.path.name}.lock")):  # runs may share a cache
            append_jsonl(self.path, row)

    def _read(self, path: Path) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            rows = read_jsonl(path)
        except OSError as error:
            raise EnvironmentFault(f"cannot read: {error.strerror or error}", where=str(path)) from None
        except UserError as error:
            raise UserError(error.what, where=error.where, fix="delete that line; the rest is kept") from None
        for number, row in enumerate(rows, start=1):
            try:
                self._take(row)
            except (KeyError, TypeError):
                raise UserError(
                    f"not a {self.line}",
                    where=f"{path}:{number}",
                    fix="name a new file, or one that a journal was written to",
                ) from None
