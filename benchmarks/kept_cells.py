"""Finished cells of a simulation, one a line of a file, so that an interrupted run goes on where it was."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from charter.rundir import sha256_json

Row = dict[str, Any]


class Kept:
    """Finished cells in a file, one a line; those of other code or settings are not found again.

    Args:
        path: of the file.
        code: sha of what computes them.
    """

    def __init__(self, path: Path, code: str) -> None:
        self.path, self._code = path, code
        self.known: dict[str, tuple[Row, float]] = {}
        for line in path.read_text("utf-8").splitlines() if path.is_file() else ():
            try:
                one = json.loads(line)
            except ValueError:
                continue  # the end of a run that was cut off
            self.known[one["key"]] = one["row"], one["seconds"]

    def row(self, what: Any, compute: Callable[[], Row]) -> tuple[Row, float]:
        """The cell and the seconds of one core it took, computed unless it is known."""
        key = sha256_json([self._code, what])
        if key not in self.known:
            start = time.process_time()
            found = compute()
            self.known[key] = found, time.process_time() - start
            line = {"key": key, "row": found, "seconds": self.known[key][1]}
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
        return self.known[key]
