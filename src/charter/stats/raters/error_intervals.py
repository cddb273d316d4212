"""Intervals of each rater's errors: Dawid-Skene on redrawn items."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

from charter.stats.intervals import Interval, z_of
from charter.stats.raters.dawid_skene import DawidSkene, accuracy, bootstrap_errors
from charter.stats.raters.measure import LEAST, Measure, effective_wilson

DRAWS = 200


@dataclass(frozen=True, slots=True)
class Errors:
    """How one rater errs.

    Attributes:
        rater: who.
        classes: true classes, and answers.
        accuracy: probability of being right.
        confusion: true class by answer.
        intervals: of each cell; all of [0, 1] for a true class the rater met no item of.
        items: of each true class, by posterior.
    """

    rater: Hashable
    classes: tuple[float, ...]
    accuracy: Measure
    confusion: tuple[tuple[float, ...], ...]
    intervals: tuple[tuple[Interval, ...], ...]
    items: tuple[float, ...]

    @property
    def reliability(self) -> float:
        """0 = no better than guessing, 1 = always right; below 0 is 0: a rater is never turned round."""
        return reliability(self.accuracy.value or 0.0, len(self.classes))

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "classes": list(self.classes),
            "accuracy": self.accuracy.to_json(),
            "reliability": self.reliability,
            "confusion": [list(row) for row in self.confusion],
            "intervals": [[list(cell) for cell in row] for row in self.intervals],
            "items": list(self.items),
        }


def reliability(right: float, classes: int) -> float:
    """Accuracy beyond guessing among ``classes``, in [0, 1]."""
    return min(1.0, max(0.0, (classes * right - 1.0) / (classes - 1.0)))


def rater_errors(
    found: DawidSkene, *, level: float = 0.95, draws: int = DRAWS, least: int = LEAST, seed: int = 0
) -> dict[Hashable, Errors]:
    """Errors of each rater, with intervals by redrawing items.

    The spread of the draws says how many tosses of a coin each number is worth, and Wilson's interval of
    that many is given: quantiles of the draws are too narrow near 0 and 1.

    Raises:
        ValueError: ``level`` outside (0, 1), or fewer than two draws.
    """
    z_of(level)
    if draws < 2:
        raise ValueError("a spread needs at least two draws")
    priors_BK, drawn_BRKV = bootstrap_errors(found, draws=draws, seed=seed)
    spread_RKV = drawn_BRKV.var(axis=0, ddof=1)
    spread_R = accuracy(priors_BK, drawn_BRKV).var(axis=0, ddof=1)
    right_R = found.accuracy_R
    made = {}
    for r, rater in enumerate(found.raters):
        n, right = float(found.rated_R[r]), float(right_R[r])
        interval = effective_wilson(right, float(spread_R[r]), n, level)
        cells = []
        for k, row in enumerate(found.confusion_RKV[r]):
            mass = float(found.mass_RK[r, k])
            cells.append(
                tuple(
                    effective_wilson(float(p), float(v), mass, level)
                    for p, v in zip(row, spread_RKV[r, k], strict=True)
                )
            )
        made[rater] = Errors(
            rater=rater,
            classes=found.classes,
            accuracy=Measure(right, interval, round(n), least),
            confusion=tuple(tuple(float(p) for p in row) for row in found.confusion_RKV[r]),
            intervals=tuple(cells),
            items=tuple(float(m) for m in found.mass_RK[r]),
        )
    return made
