"""Did a calibration exercise help: agreement before and after, and whether the change is more than chance."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from charter.stats.agreement import Agreement, Metric, Rating, krippendorff_alpha
from charter.stats.intervals import Interval

RESAMPLES = 1_000


@dataclass(frozen=True, slots=True)
class Exercise:
    """Agreement before and after.

    Attributes:
        before, after: Krippendorff's alpha.
        change: after less before; None where one of them is unknown.
        interval: of the change, from both intervals (MOVER), as if the items were others; wider than needed
            where the same items were rated twice.
    """

    before: Agreement
    after: Agreement
    change: float | None
    interval: Interval | None

    @property
    def helped(self) -> bool | None:
        """True or false where the interval says so; None where it does not."""
        if self.interval is None or self.interval.lo <= 0.0 <= self.interval.hi:
            return None
        return self.interval.lo > 0.0

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        lo, hi = self.interval if self.interval is not None else (None, None)
        return {
            "before": {"alpha": self.before.value, "items": self.before.items, **_ends(self.before)},
            "after": {"alpha": self.after.value, "items": self.after.items, **_ends(self.after)},
            "change": self.change,
            "lo": lo,
            "hi": hi,
            "helped": self.helped,
        }


def exercise(
    before: Iterable[Rating],
    after: Iterable[Rating],
    metric: Metric = "nominal",
    *,
    level: float = 0.95,
    seed: int = 0,
) -> Exercise:
    """Compare the agreement of two rounds of labels."""
    first = krippendorff_alpha(before, metric, level=level, resamples=RESAMPLES, seed=seed)
    second = krippendorff_alpha(after, metric, level=level, resamples=RESAMPLES, seed=seed + 1)
    if first.value is None or second.value is None:
        return Exercise(first, second, None, None)
    change = second.value - first.value
    down = ((second.value - second.interval.lo) ** 2 + (first.interval.hi - first.value) ** 2) ** 0.5
    up = ((second.interval.hi - second.value) ** 2 + (first.value - first.interval.lo) ** 2) ** 0.5
    return Exercise(first, second, change, Interval(change - down, change + up))


def _ends(found: Agreement) -> dict[str, float]:
    return {"lo": found.interval.lo, "hi": found.interval.hi}
