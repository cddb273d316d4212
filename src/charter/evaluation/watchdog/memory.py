"""What the watchdog remembers of each metric: how it began, and its last readings."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from statistics import fmean, median
from typing import Any

START = 10
"""Readings whose median is what a metric began at."""

KEPT = 200
"""Most of the last readings that are kept."""

SMOOTH = 3
"""Readings whose median is what a metric is now: one strange batch is no news."""

_MAD_TO_SIGMA = 1.4826


class Series:
    """Readings of one metric; not-a-number is never among them.

    Attributes:
        first: the first :data:`START` readings.
        recent: the last :data:`KEPT`.
        count: all that there were.
    """

    def __init__(self) -> None:
        self.first: list[float] = []
        self.recent: list[float] = []
        self.count = 0

    def add(self, value: float) -> None:
        """One more reading."""
        if len(self.first) < START:
            self.first.append(value)
        self.recent = [*self.recent[-(KEPT - 1) :], value]
        self.count += 1

    @property
    def now(self) -> float:
        """Median of the last :data:`SMOOTH` readings."""
        return median(self.recent[-SMOOTH:])

    @property
    def start(self) -> float | None:
        """Median of the first :data:`START` readings, once they are in."""
        return median(self.first) if len(self.first) == START else None

    def before(self, window: int, lag: int) -> list[float] | None:
        """The ``window`` readings that ended ``lag`` readings ago, once all of them are in.

        With fewer of them, a metric that grows steadily from nothing looks as if it had leapt.
        """
        found = self.recent[-(window + lag) : -lag]
        return found if len(found) == window else None


class Memory:
    """The series of a run, and which of them got a reading this step."""

    def __init__(self) -> None:
        self.series: dict[str, Series] = {}
        self.fresh: set[str] = set()

    def add(self, name: str, value: float) -> None:
        """One more reading of a metric; not-a-number is left out."""
        if not math.isnan(value):
            self.series.setdefault(name, Series()).add(value)
            self.fresh.add(name)

    def get(self, name: str) -> Series | None:
        """The series of a metric that has been read."""
        return self.series.get(name)

    def state(self) -> dict[str, Any]:
        """Plain data."""
        return {
            name: {"first": s.first, "recent": s.recent, "count": s.count} for name, s in self.series.items()
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take back what :meth:`state` gave."""
        self.series = {}
        for name, saved in state.items():
            series = self.series[name] = Series()
            series.first, series.recent = [*map(float, saved["first"])], [*map(float, saved["recent"])]
            series.count = int(saved["count"])


def smoothed(values: Sequence[float], place: int) -> float:
    """Median of the :data:`SMOOTH` values that end at ``place``."""
    return median(values[place - SMOOTH + 1 : place + 1])


def jitter(values: Sequence[float]) -> float:
    """Robust deviation of one reading from its neighbours, which a trend does not enlarge."""
    return spread(b - a for a, b in pairwise(values)) / math.sqrt(2) if len(values) > 1 else math.inf


def neighbour_sigma(values: Sequence[float]) -> float:
    """Deviation of one reading from the mean distance of neighbours, ``2 sigma / sqrt(pi)`` for normal noise.

    For few readings, where the median of :func:`jitter` is too often too small. A trend hardly enlarges it.
    """
    if len(values) < 2:
        return math.inf
    return fmean(abs(b - a) for a, b in pairwise(values)) * math.sqrt(math.pi) / 2


def spread(values: Iterable[float]) -> float:
    """Robust standard deviation: 1.4826 times the median distance from the median."""
    known = list(values)
    middle = median(known)
    return _MAD_TO_SIGMA * median(abs(value - middle) for value in known)
