"""Rules about one metric: against a fixed limit, against its beginning, against its last readings."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median

from charter.evaluation.watchdog.memory import Memory, jitter

WINDOW, LAG = 20, 5
"""Readings of the trailing window, and of the gap between it and now, so that a fault is not compared
with itself."""


@dataclass(frozen=True)
class Above:
    """Too high, whatever it was before; with ``margin`` also so much above its beginning.

    A metric that began beyond the limit (prompts that are all too hard) is worth a warning, not the end of
    the run: rules that pause have a margin. So has the warning where a high beginning says nothing of the
    run, as the share of completions that a limit cuts.
    """

    metric: str
    limit: float
    margin: float | None = None

    def excess(self, memory: Memory) -> float | None:
        """See :class:`charter.evaluation.watchdog.signal.Rule`."""
        series = memory.get(self.metric)
        if series is None:
            return None
        if self.margin is None:
            return series.now / self.limit
        if (start := series.start) is None:
            return None
        return _way(series.now, start, max(self.limit, start + self.margin))

    def words(self, memory: Memory) -> str:
        """See :class:`charter.evaluation.watchdog.signal.Rule`."""
        series = memory.series[self.metric]
        began = "" if self.margin is None else f", and began at {series.start:.3g}"
        return f"{self.metric} is {series.now:.3g}, over {self.limit:g}{began}"


@dataclass(frozen=True)
class Below:
    """Too low, whatever it was before."""

    metric: str
    limit: float

    def excess(self, memory: Memory) -> float | None:
        """See :class:`charter.evaluation.watchdog.signal.Rule`."""
        series = memory.get(self.metric)
        if series is None:
            return None
        return float(series.now < self.limit)  # what is above the limit may be as low as it likes

    def words(self, memory: Memory) -> str:
        """See :class:`charter.evaluation.watchdog.signal.Rule`."""
        return f"{self.metric} is {memory.series[self.metric].now:.3g}, under {self.limit:g}"


@dataclass(frozen=True)
class Shrunk:
    """Fallen to a share of its beginning; not looked at where that was below ``least``."""

    metric: str
    share: float
    least: float

    def excess(self, memory: Memory) -> float | None:
        """See :class:`charter.evaluation.watchdog.signal.Rule`."""
        series = memory.get(self.metric)
        if series is None or (start := series.start) is None or start < self.least:
            return None
        return _way(series.now, start, self.share * start)

    def words(self, memory: Memory) -> str:
        """See :class:`charter.evaluation.watchdog.signal.Rule`."""
        series = memory.series[self.metric]
        return (
            f"{self.metric} fell from {series.start:.3g} to {series.now:.3g}, under {self.share:.0%} of that"
        )


@dataclass(frozen=True)
class Grown:
    """Grown to ``times`` its beginning, and by at least ``by``."""

    metric: str
    times: float
    by: float

    def excess(self, memory: Memory) -> float | None:
        """See :class:`charter.evaluation.watchdog.signal.Rule`."""
        series = memory.get(self.metric)
        if series is None or (start := series.start) is None:
            return None
        return _way(series.now, start, max(self.times * start, start + self.by))

    def words(self, memory: Memory) -> str:
        """See :class:`charter.evaluation.watchdog.signal.Rule`."""
        series = memory.series[self.metric]
        return (
            f"{self.metric} grew from {series.start:.3g} to {series.now:.3g}, over {self.times:g} times that"
        )


@dataclass(frozen=True)
class Surged:
    """Far above its last readings: ``times`` their median, ``z`` robust deviations and ``by`` above it.

    A deviation is that of neighbouring readings, so that a trend hides nothing.

    The window is :data:`WINDOW` readings that ended :data:`LAG` readings ago.
    """

    metric: str
    times: float
    z: float
    by: float

    def excess(self, memory: Memory) -> float | None:
        """See :class:`charter.evaluation.watchdog.signal.Rule`."""
        series = memory.get(self.metric)
        window = series.before(WINDOW, LAG) if series else None
        if series is None or window is None:
            return None
        normal = median(window)
        limit = max(self.times * normal, normal + self.z * jitter(window), normal + self.by)
        return _way(series.now, normal, limit)

    def words(self, memory: Memory) -> str:
        """See :class:`charter.evaluation.watchdog.signal.Rule`."""
        series = memory.series[self.metric]
        window = series.before(WINDOW, LAG) or [series.now]
        return f"{self.metric} rose to {series.now:.3g} from {median(window):.3g} within about {WINDOW} steps"


def _way(now: float, normal: float, limit: float) -> float:
    """How far along the way from ``normal`` to ``limit`` a value is."""
    return (now - normal) / (limit - normal)
