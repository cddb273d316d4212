"""How accuracy grows with the number of labels, and what may be said beyond the last one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from charter.stats.intervals import Interval
from charter.stats.raters.measure import Measure, mean_of

LEAST_POINTS = 4
FARTHEST = 2.0
"""Not said beyond this many times the most labels seen."""


@dataclass(frozen=True, slots=True)
class Point:
    """Accuracy with so many labels."""

    labels: int
    accuracy: Measure

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return {"labels": self.labels, **self.accuracy.to_json()}


def majority_curve(
    items: Sequence[tuple[int, int]], *, most: int | None = None, level: float = 0.95
) -> list[Point]:
    """Accuracy of the majority of k labels of an item, for each k that every item used allows.

    No draws: of each item the exact share of its sets of k labels whose majority is right, an even split
    counting a half. All points are of the same items, those with ``most`` labels or more, so that the curve
    is not one of other items.

    Args:
        items: (right labels, labels) of each item whose truth is known.
        most: largest k; default: the most that half of the items have.
        level: of the intervals, over items.

    Raises:
        ValueError: not ``0 <= right <= labels``.
    """
    for right, total in items:
        if not 0 <= right <= total:
            raise ValueError(f"{right!r} right of {total!r} labels")
    counts = sorted(total for _, total in items)
    if not counts:
        return []
    top = counts[len(counts) // 2] if most is None else most
    used = [(right, total) for right, total in items if total >= top]
    return [
        Point(k, mean_of([_majority(right, total, k) for right, total in used], level=level))
        for k in range(1, top + 1)
    ]


def _majority(right: int, total: int, k: int) -> float:
    """Probability that most of ``k`` of the labels are right."""
    value = 0.0
    for hits in range(max(0, k - (total - right)), min(k, right) + 1):
        ways = math.comb(right, hits) * math.comb(total - right, k - hits)
        value += ways * (1.0 if 2 * hits > k else 0.5 if 2 * hits == k else 0.0)
    return min(1.0, value / math.comb(total, k))


@dataclass(frozen=True, slots=True)
class Extrapolation:
    """What a curve says beyond its end, or why it says nothing.

    Attributes:
        labels: asked for.
        value: None where nothing can be said.
        interval: where refits to redrawn points end; it does not hold the risk that the law is another.
        why: nothing can be said.
    """

    labels: int
    value: float | None = None
    interval: Interval | None = None
    why: str = ""

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        lo, hi = self.interval if self.interval is not None else (None, None)
        return {"labels": self.labels, "value": self.value, "lo": lo, "hi": hi, "why": self.why}


def extrapolate(
    points: Sequence[Point], labels: int, *, level: float = 0.95, draws: int = 200, seed: int = 0
) -> Extrapolation:
    """A power law ``a - b n^-c`` carried on, if it has earned it.

    It must have :data:`LEAST_POINTS` points, grow clearly, foretell its own last point from the others within
    that point's interval, and not be asked for more than :data:`FARTHEST` times the labels seen.
    """
    import numpy as np

    known = [p for p in points if p.accuracy.value is not None and p.accuracy.interval is not None]
    if len(known) < LEAST_POINTS:
        return Extrapolation(labels, why=f"{len(known)} points; {LEAST_POINTS} are needed")
    x = np.array([p.labels for p in known], dtype=np.float64)
    y = np.array([p.accuracy.value for p in known], dtype=np.float64)
    half = np.array([(p.accuracy.interval.hi - p.accuracy.interval.lo) / 2 for p in known])  # type: ignore[union-attr]
    if labels > FARTHEST * x[-1]:
        return Extrapolation(labels, why=f"more than {FARTHEST:g} times the {int(x[-1])} labels seen")
    if y[-1] - y[0] < half[0]:
        return Extrapolation(labels, why="accuracy does not clearly grow with labels")
    try:
        foretold = _fit(x[:-1], y[:-1])(x[-1])
        if abs(foretold - y[-1]) > half[-1]:
            what = f"the points before the last foretell {foretold:.3f} for it, and it is {y[-1]:.3f}"
            return Extrapolation(labels, why=what)
        value = _fit(x, y)(float(labels))
        rng = np.random.default_rng(seed)
        spread = half / 1.96
        drawn = [
            _fit(x, np.clip(y + spread * rng.standard_normal(len(y)), 0, 1))(float(labels))
            for _ in range(draws)
        ]
    except RuntimeError:
        return Extrapolation(labels, why="no power law fits the points")
    lo, hi = (float(q) for q in np.quantile(drawn, ((1 - level) / 2, (1 + level) / 2)))
    return Extrapolation(labels, float(value), Interval(min(lo, float(value)), max(hi, float(value))))


def _fit(x: Any, y: Any) -> Any:
    """Least squares of ``a - b x^-c`` within [0, 1].

    Raises:
        RuntimeError: no such law was found.
    """
    from scipy.optimize import least_squares

    def law(n: Any, at: Any) -> Any:
        a, b, c = at
        return a - b * n**-c

    start = (min(0.999, float(y[-1]) + 0.01), max(1e-3, float(y[-1] - y[0])), 0.5)
    found = least_squares(lambda at: law(x, at) - y, start, bounds=((0.0, 0.0, 0.05), (1.0, 1.0, 3.0)))
    if not found.success:
        raise RuntimeError(found.message)
    return lambda n: law(n, found.x)
