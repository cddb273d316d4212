"""How much a row for trainers counts, and of which group its rater is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from charter.feedback.people.consensus import quick_reliabilities
from charter.feedback.people.heard import hear
from charter.feedback.people.row_parts import LEAST_WEIGHT, large_groups
from charter.label import Label, is_decision


@dataclass(frozen=True, slots=True)
class Whose:
    """What rows say of their raters.

    Attributes:
        reliability: of each rater of whom it is known.
        typical: mean of the known, which the others count as.
        groups: large enough to be named beside a pseudonym.
        least: raters that takes.
    """

    reliability: Mapping[str, float]
    typical: float
    groups: frozenset[str]
    least: int

    @classmethod
    def of(cls, labels: Sequence[Label], least: int) -> Whose:
        """From a campaign's labels."""
        known = quick_reliabilities(hear(labels).labels)
        return cls(known, fmean(known.values()) if known else 1.0, large_groups(labels, least), least)

    def columns(self, label: Label) -> dict[str, Any]:
        """``weight``, ``reliability`` where it is known, and ``group`` where the group is large enough."""
        if is_decision(label):
            return {"weight": 1.0}
        known = self.reliability.get(label.rater)
        found: dict[str, Any] = {"weight": max(LEAST_WEIGHT, self.typical if known is None else known)}
        if known is not None:
            found["reliability"] = known
        if label.group in self.groups:
            found["group"] = label.group
        return found

    def scale(self, rows: Sequence[dict[str, Any]], counts: Counter[str]) -> None:
        """Make the rows' weights 1 on average, and count what they rest on."""
        if not rows:
            return
        mean = fmean(row["weight"] for row in rows)
        for row in rows:
            row["weight"] = row["weight"] / mean
        unknown = sum("reliability" not in row and not row.get("adjudicated") for row in rows)
        counts["rows of raters whose reliability is not known: they weigh as the mean of the others"] = (
            unknown
        )
        counts[f"rows with a group, of at least {self.least} raters"] = sum("group" in row for row in rows)
