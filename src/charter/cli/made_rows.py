"""Rows that a model made, and beside them a folder with everything it said: the same command goes on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from charter.rundir import RunDir

SUMMARY = "summary.json"


@dataclass(frozen=True)
class MadeRows:
    """A file of rows and the folder ``FILE.journal`` beside it.

    Attributes:
        path: of the rows.
        run: the folder; locked while rows are made.
    """

    path: Path
    run: RunDir

    @property
    def journals(self) -> Path:
        """Every reply, as it came."""
        return self.run.path

    def calls(self, who: str) -> Path:
        """Replies of an endpoint, written down one by one; a batch that is stopped loses none."""
        return self.journals / f"calls-{who}.jsonl"

    def write(self, rows: Iterable[Mapping[str, Any]], summary: Mapping[str, Any]) -> None:
        """Write both; rows that would be none are not written, and an older file is left alone."""
        from charter.rundir import write_json, write_jsonl

        rows = list(rows)
        write_json(self.journals / SUMMARY, {"rows": len(rows), **summary})
        if rows:
            write_jsonl(self.path, rows)


def rows_at(out: Path, *read: Path) -> MadeRows:
    """Where rows go.

    Args:
        out: the file.
        read: files that are read, which are never written over.

    Raises:
        UserError: a folder, a file that is read, another kind of file, or a place that cannot be written.
    """
    from charter.errors import UserError
    from charter.rundir import RunDir

    if out.suffix != ".jsonl":
        raise UserError(
            "rows are written as JSON lines", where=f"--out {out}", fix="give it a name ending in .jsonl"
        )
    if out.is_dir():
        raise UserError("this is a folder, wanted a file", where=f"--out {out}")
    if any(out.resolve() == one.resolve() for one in read):
        raise UserError(
            "this file is read, and would be written over", where=f"--out {out}", fix="name another one"
        )
    return MadeRows(out, RunDir(out.with_name(f"{out.name}.journal")))
