"""How long a piece of work took over all attempts at it, those that were interrupted included."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from charter.rundir import read_json, write_json

FILE = "attempts.json"


@dataclass(frozen=True, slots=True)
class Spent:
    """What attempts came to.

    Attributes:
        seconds: of all attempts that said how long they took.
        attempts: how many there were.
        untimed: of these, how many ended without saying it: killed, or the machine went down.
    """

    seconds: float
    attempts: int = 1
    untimed: int = 0

    def to_json(self) -> dict[str, Any]:
        """``seconds``, and what is out of the ordinary."""
        found: dict[str, Any] = {"seconds": round(self.seconds, 1)}
        if self.attempts > 1:
            found["attempts"] = self.attempts
        if self.untimed:
            found["untimed_attempts"] = self.untimed
        return found


class Attempts:
    """The attempts at one piece of work, written down beside it.

    Args:
        folder: of the work; earlier attempts are read from it.
    """

    def __init__(self, folder: Path) -> None:
        self._file = folder / FILE
        kept = read_json(self._file) or {}
        self._seconds = float(kept.get("seconds", 0.0))
        self._begun = int(kept.get("begun", 0))
        self._ended = int(kept.get("ended", 0))
        self._since = time.monotonic()

    def begin(self) -> None:
        """An attempt begins; it is written down at once, so that one that is killed is known of."""
        self._begun += 1
        self._since = time.monotonic()
        self._write()

    def stop(self) -> None:
        """The attempt ended, and the work is not done."""
        self._seconds += time.monotonic() - self._since
        self._ended += 1
        self._write()

    def spent(self) -> Spent:
        """All attempts up to now, with the one that is under way."""
        now = time.monotonic() - self._since
        return Spent(self._seconds + now, self._begun, self._begun - 1 - self._ended)

    def forget(self) -> None:
        """The work is done: what comes after it is work of its own."""
        self._file.unlink(missing_ok=True)
        self._seconds, self._begun, self._ended = 0.0, 0, 0

    def _write(self) -> None:
        write_json(self._file, {"seconds": self._seconds, "begun": self._begun, "ended": self._ended})


def told(found: Any) -> str:
    """What a reader of ``seconds`` should know of them; "" = nothing.

    Args:
        found: values of :meth:`Spent.to_json`.
    """
    attempts, untimed = found.get("attempts", 1), found.get("untimed_attempts", 0)
    if attempts == 1:
        return ""
    unknown = f", {untimed} of them killed and not timed" if untimed else ""
    return f"in {attempts} attempts{unknown}"
