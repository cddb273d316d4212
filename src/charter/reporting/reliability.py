"""A reliability plot: what was stated against what came true."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from charter.stats import percent

SIDE = 320
"""Units of the drawing's view box, each way; it keeps its shape at any width."""

_ACROSS, _UP = 5, 4
"""Steps of the grid."""

_LARGEST, _SMALLEST = 9.0, 3.0


@dataclass(frozen=True, slots=True)
class Point:
    """Statements of about the same probability.

    Attributes:
        n: how many, at least one.
        stated: their mean probability.
        rate: share that came true.
        lo, hi: interval of that.
    """

    n: int
    stated: float
    rate: float
    lo: float
    hi: float


def reliability_chart(points: Sequence[Point], *, lowest: float = 0.0) -> Markup:
    """Draw ``points``: the diagonal is perfect calibration, below it is overconfidence.

    Args:
        points: in any order; the larger a mark, the more statements (its area goes with their number).
        lowest: lowest probability that can be stated; where the axis across begins.
    """
    most = max((point.n for point in points), default=1)
    parts = [_across(share / _ACROSS, lowest) for share in range(_ACROSS + 1)]
    parts += [_up(share / _UP) for share in range(_UP + 1)]
    parts.append(
        Markup('<line class="perfect" x1="0" y1="{}" x2="{}" y2="0"/>').format(_number(_y(lowest)), SIDE)
    )
    for point in sorted(points, key=lambda one: one.stated):
        x = _x(point.stated, lowest)
        radius = max(_SMALLEST, _LARGEST * math.sqrt(point.n / most))
        parts.append(
            Markup(
                '<g class="point"><line x1="{0}" x2="{0}" y1="{1}" y2="{2}"/>'
                '<circle cx="{0}" cy="{3}" r="{4}"/></g>'
            ).format(*map(_number, (x, _y(point.lo), _y(point.hi), _y(point.rate), radius)))
        )
    margin = 36
    frame = f"{-margin} -12 {SIDE + margin + 14} {SIDE + 46}"
    return Markup('<svg class="reliability" role="img" aria-label="{}" viewBox="{}">{}</svg>').format(
        _words(points), frame, Markup("").join(parts)
    )


def _across(share: float, lowest: float) -> Markup:
    """An upright line of the grid, with its label."""
    line = '<line class="grid" x1="{0}" x2="{0}" y1="0" y2="{1}"/>'
    line += '<text x="{0}" y="{2}" text-anchor="middle">{3}</text>'
    return Markup(line).format(_number(share * SIDE), SIDE, SIDE + 18, percent(lowest + share * (1 - lowest)))


def _up(share: float) -> Markup:
    """A level line of the grid, with its label."""
    line = '<line class="grid" x1="0" x2="{1}" y1="{0}" y2="{0}"/>'
    line += '<text x="-6" y="{2}" text-anchor="end">{3}</text>'
    y = SIDE * (1 - share)
    return Markup(line).format(_number(y), SIDE, _number(y + 4), percent(share))


def _words(points: Sequence[Point]) -> str:
    told = [
        f"stated {percent(point.stated)}, came true {percent(point.rate)} of {point.n}"
        for point in sorted(points, key=lambda one: one.stated)
    ]
    return f"Reliability: {'; '.join(told) or 'not measured'}"


def _x(stated: float, lowest: float) -> float:
    return SIDE * (stated - lowest) / (1 - lowest)


def _y(rate: float) -> float:
    return SIDE * (1 - rate)


def _number(value: float) -> str:
    return f"{value:.2f}"
