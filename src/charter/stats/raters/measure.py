"""A number about a rater, with its interval, and how many observations it needs before it says anything."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from charter.stats.intervals import Interval, wilson, z_of

LEAST = 10
"""Observations below which a number is shown, but nothing is concluded from it."""


@dataclass(frozen=True, slots=True)
class Measure:
    """A rate, a mean or a difference.

    Attributes:
        value: None where there is nothing to measure.
        interval: of ``value``; None with it.
        n: observations.
        least: observations needed before anything is concluded.
    """

    value: float | None
    interval: Interval | None
    n: int
    least: int = LEAST

    @property
    def enough(self) -> bool:
        """Are there as many observations as needed?"""
        return self.value is not None and self.n >= self.least

    def above(self, bound: float) -> bool:
        """Clearly above ``bound``: enough observations, and the whole interval."""
        return self.enough and self.interval is not None and self.interval.lo > bound

    def below(self, bound: float) -> bool:
        """Clearly below ``bound``."""
        return self.enough and self.interval is not None and self.interval.hi < bound

    def to_json(self) -> dict[str, Any]:
        """As plain values; a missing number is null."""
        lo, hi = self.interval if self.interval is not None else (None, None)
        return {"value": self.value, "lo": lo, "hi": hi, "n": self.n, "enough": self.enough}


def effective_wilson(mean: float, variance: float, n: float, level: float = 0.95) -> Interval:
    """Wilson's interval of a mean in [0, 1] whose variance is known from elsewhere.

    The mean counts as that of as many coin tosses as have its variance, and never more than ``n``: so the
    interval is not a point where all observations happen to be equal.

    Args:
        mean: estimate.
        variance: of the estimate, not of one observation.
        n: observations behind it.
        level: confidence level.
    """
    trials = n if variance <= 0.0 else min(n, mean * (1.0 - mean) / variance)
    return wilson(min(mean * trials, trials), trials, level)


def rate_of(flags: Sequence[bool], *, least: int = LEAST, level: float = 0.95) -> Measure:
    """Share of true ``flags``, with Wilson's interval."""
    z_of(level)
    if not flags:
        return Measure(None, None, 0, least)
    k = sum(map(bool, flags))
    return Measure(k / len(flags), wilson(k, len(flags), level), len(flags), least)


def mean_of(values: Sequence[float], *, least: int = LEAST, level: float = 0.95) -> Measure:
    """Mean of values in [0, 1], one for each item: an item rated by many counts once.

    Raises:
        ValueError: a value outside [0, 1].
    """
    z_of(level)
    if not all(-1e-12 <= value <= 1.0 + 1e-12 for value in values):
        raise ValueError("values must be in [0, 1]")
    n = len(values)
    if not n:
        return Measure(None, None, 0, least)
    mean = min(1.0, max(0.0, math.fsum(values) / n))
    variance = math.fsum((value - mean) ** 2 for value in values) / max(1, n - 1) / n
    # Values between 0 and 1 spread less than coin tosses: their mean may be worth more tosses than items.
    trials = mean * (1.0 - mean) / variance if variance > 1e-12 else float(n)
    return Measure(mean, effective_wilson(mean, variance, trials, level), n, least)


def difference_of(differences: Sequence[float], *, least: int = LEAST, level: float = 0.95) -> Measure:
    """Mean of paired differences in [-1, 1], one for each item: Student's interval.

    Where all are equal there is no spread to go by: the interval is as wide as that of a share of items
    none of which was seen to differ.
    """
    from scipy.stats import t

    z = z_of(level)
    n = len(differences)
    if not n:
        return Measure(None, None, 0, least)
    mean = math.fsum(differences) / n
    variance = math.fsum((one - mean) ** 2 for one in differences) / max(1, n - 1)
    half = z * z / (n + z * z)
    if variance > 1e-12:
        half = float(t.ppf(0.5 + level / 2, n - 1)) * math.sqrt(variance / n)
    return Measure(mean, Interval(max(-1.0, mean - half), min(1.0, mean + half)), n, least)


@dataclass(frozen=True, slots=True)
class Quantiles:
    """How long labels took.

    Attributes:
        low, median, high: the 10th, 50th and 90th percentile, seconds; None without times.
        interval: of the median, from order statistics; no shape of the distribution is assumed.
        n: labels whose time was recorded.
    """

    low: float | None
    median: float | None
    high: float | None
    interval: Interval | None
    n: int

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        lo, hi = self.interval if self.interval is not None else (None, None)
        named = {"p10": self.low, "p50": self.median, "p90": self.high}
        return {**named, "lo": lo, "hi": hi, "n": self.n}


def quantiles_of(seconds: Sequence[float], level: float = 0.95) -> Quantiles:
    """Percentiles of times, and an interval of the median.

    Where there are too few times for the level, the interval is the whole range.
    """
    import numpy as np
    from scipy.stats import binom

    if not seconds:
        return Quantiles(None, None, None, None, 0)
    ordered = np.sort(np.asarray(seconds, dtype=np.float64))
    n = int(ordered.size)
    low, median, high = (float(q) for q in np.quantile(ordered, (0.1, 0.5, 0.9)))
    skip = int(binom.ppf((1 - level) / 2, n, 0.5)) - 1
    ends = (ordered[max(0, skip)], ordered[n - 1 - max(0, skip)])
    return Quantiles(low, median, high, Interval(float(ends[0]), float(ends[1])), n)
