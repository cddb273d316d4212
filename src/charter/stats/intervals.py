"""Confidence intervals for rates, and for the difference of two paired rates."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import NamedTuple


class Interval(NamedTuple):
    """A confidence interval, both ends included."""

    lo: float
    hi: float


def z_of(level: float) -> float:
    """Two-sided normal quantile of a confidence level: 1.96 for 0.95.

    Raises:
        ValueError: ``level`` is not strictly between 0 and 1.
    """
    if not 0.0 < level < 1.0:
        raise ValueError(f"a confidence level lies between 0 and 1, not {level!r}")
    return NormalDist().inv_cdf(0.5 + level / 2)


def wilson(k: float, n: float, level: float = 0.95) -> Interval:
    """Wilson score interval of the rate ``k / n``; effective counts may be fractions.

    Without trials nothing is known: the interval is all of [0, 1].
    Source: Wilson, JASA 22 (1927); recommended by Brown, Cai and DasGupta (2001).

    Raises:
        ValueError: not ``0 <= k <= n``.
    """
    if not 0 <= k <= n:
        raise ValueError(f"{k!r} successes of {n!r} trials")
    if n == 0:
        return Interval(0.0, 1.0)
    z = z_of(level)
    rate = k / n
    scale = 1 + z * z / n
    centre = (rate + z * z / (2 * n)) / scale
    half = z * math.sqrt(rate * (1 - rate) / n + z * z / (4 * n * n)) / scale
    # At the ends the formula is exact up to rounding; say 0 and 1, and never exclude the rate itself.
    lo = 0.0 if k == 0 else max(0.0, centre - half)
    hi = 1.0 if k == n else min(1.0, centre + half)
    return Interval(lo, hi)


def newcombe_paired(n11: float, n10: float, n01: float, n00: float, level: float = 0.95) -> Interval:
    """Interval of the change of a rate measured twice on the same items: second minus first.

    Newcombe's method 10: the two Wilson intervals, squared and added, with the
    correlation of the pairs (shrunk by a continuity correction). Effective counts may be fractions.
    Source: Newcombe, Statistics in Medicine 17 (1998) 2635-2650.

    Args:
        n11: passed both times.
        n10: passed the first time only.
        n01: passed the second time only.
        n00: passed neither time.
        level: confidence level.

    Raises:
        ValueError: a negative count.
    """
    if min(n11, n10, n01, n00) < 0:
        raise ValueError(f"negative count in {(n11, n10, n01, n00)!r}")
    n = n11 + n10 + n01 + n00
    if n == 0:
        return Interval(-1.0, 1.0)
    first, second = n11 + n10, n11 + n01
    return square_and_add(
        first / n,
        wilson(first, n, level),
        second / n,
        wilson(second, n, level),
        correlation=_phi(n11, n10, n01, n00),
    )


def square_and_add(
    first: float, first_ci: Interval, second: float, second_ci: Interval, *, correlation: float = 0.0
) -> Interval:
    """Interval of ``second - first`` from an interval of each (the MOVER construction).

    ``correlation`` 0 is the cautious choice for pairs that agree. Clipped to [-1, 1].
    """
    change = second - first
    down = _combine(second - second_ci.lo, first_ci.hi - first, correlation)
    up = _combine(second_ci.hi - second, first - first_ci.lo, correlation)
    return Interval(max(-1.0, change - down), min(1.0, change + up))


def _combine(a: float, b: float, correlation: float) -> float:
    return math.sqrt(max(0.0, a * a - 2 * correlation * a * b + b * b))


def _phi(n11: float, n10: float, n01: float, n00: float) -> float:
    n = n11 + n10 + n01 + n00
    margins = (n11 + n10) * (n01 + n00) * (n11 + n01) * (n10 + n00)
    if margins == 0:
        return 0.0
    excess = float(n11 * n00 - n10 * n01)
    if excess > 0:
        excess = max(excess - n / 2, 0.0)
    return excess / math.sqrt(margins)
