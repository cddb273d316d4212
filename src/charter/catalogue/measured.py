"""What was measured here with each algorithm: read from ``measured.json``, which a study writes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

FILE = "measured.json"


@dataclass(frozen=True, slots=True)
class Measured:
    """One algorithm in the offline study.

    Attributes:
        win_rate: against the untrained model: mean, and its 95% interval; None = not measured.
        kl: nats per sequence from the untrained model.
        length: mean words of its answers.
        seconds_per_step: of training, 8 pairs a step.
        where: the page with the whole table.
    """

    win_rate: tuple[float, float, float] | None = None
    kl: float | None = None
    length: float | None = None
    seconds_per_step: float | None = None
    where: str = ""

    def words(self) -> str:
        """For a table cell."""
        parts = []
        if self.win_rate is not None:
            mean, low, high = self.win_rate
            parts.append(f"wins {mean:.0%} (95% interval {low:.0%} to {high:.0%})")
        if self.kl is not None:
            parts.append(f"KL {self.kl:.1f} nats")
        if self.length is not None:
            parts.append(f"{self.length:.0f} words an answer")
        if self.seconds_per_step is not None:
            parts.append(f"{self.seconds_per_step:.1f} s a step")
        return ", ".join(parts) + (f"; {self.where}" if self.where else "")


def measured(name: str) -> Measured | None:
    """What was measured with the algorithm ``name``; None = nothing."""
    found = _table().get(name)
    if found is None:
        return None
    rate = found.get("win_rate")
    return Measured(
        None if rate is None else (float(rate[0]), float(rate[1]), float(rate[2])),
        found.get("kl"),
        found.get("length"),
        found.get("seconds_per_step"),
        found.get("where", ""),
    )


@cache
def _table() -> dict[str, dict[str, Any]]:
    file = resources.files("charter.catalogue") / FILE
    found: dict[str, dict[str, Any]] = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    return found
