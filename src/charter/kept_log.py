"""Logs of what people said, one JSON line each, only ever added.

A line that cannot be read is named and stops whatever needs the log; nothing is dropped, and nothing
is written behind it. (Journals of a run are read more leniently: :func:`charter.rundir.read_jsonl`.)
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from charter.errors import EnvironmentFault, UserError

MEND = "mend that line, or delete it; nothing else was touched"
"""What to do about a damaged line."""


def read_log_lines(path: Path) -> Iterator[tuple[str, Any]]:
    """``FILE:LINE`` and value of every line that is not blank; none where there is no file.

    Raises:
        UserError: a line is no JSON.
        EnvironmentFault: the file cannot be read.
    """
    try:
        content = path.read_bytes() if path.exists() else b""
    except OSError as error:
        raise EnvironmentFault(f"cannot read: {error.strerror or error}", where=str(path)) from None
    for number, line in enumerate(content.split(b"\n"), start=1):
        if not line.strip():
            continue
        where = f"{path}:{number}"
        try:
            yield where, json.loads(line.decode())
        except ValueError:
            raise UserError("damaged line", where=where, fix=MEND) from None


def append_log_lines(path: Path, values: Iterable[Any]) -> None:
    """Add values in one write. Hold the log's lock, and read the log before: it must be sound.

    Raises:
        EnvironmentFault: the disk refuses.
    """
    text = "".join(json.dumps(value, ensure_ascii=False, allow_nan=False) + "\n" for value in values)
    try:
        with open(path, "ab") as file:
            if file.tell() and not path.read_bytes().endswith(b"\n"):  # edited by hand
                text = "\n" + text
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise EnvironmentFault(f"cannot write: {error.strerror or error}", where=str(path)) from None
