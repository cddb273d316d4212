"""Small SVG charts without scripts: sharp at any width, each with a text alternative.

Positions along x are percentages, so a chart fills its place without stretching
its marks. Where a line needs a stretched view box, strokes keep their width.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from charter.reporting.content import Rate
from charter.stats import percent

_BEFORE_Y, _AFTER_Y, _ROW_HEIGHT = 11, 25, 36
GRID = (0, 25, 50, 75, 100)

Points = Sequence[tuple[float, float]]


def forest_row(
    before: Rate | None,
    after: Rate | None,
    *,
    label: str,
    status: str,
    counted: tuple[float | None, float | None] = (None, None),
    bound: float | None = None,
    names: tuple[str, str] = ("before", "after"),
    bound_name: str = "gate",
    alone: bool = False,
) -> Markup:
    """Before (open mark) above after (filled), each on its interval, joined by a line.

    Args:
        before: None = not measured.
        after: likewise.
        label: what is drawn, for the text alternative.
        status: class of the drawing.
        counted: what a judge counted where the rates are corrected for its errors: a bar beside a diamond,
            where other rates are circles.
        bound: of a gate, drawn as a dashed line.
        names: of the two marks, in words.
        bound_name: what the bound is.
        alone: no row stands above or below, so that the grid keeps to this one.
    """
    ends = (0, _ROW_HEIGHT) if alone else (-60, 120)
    parts = [
        Markup('<line class="grid" x1="{0}%" x2="{0}%" y1="{1}" y2="{2}"/>').format(x, *ends) for x in GRID
    ]
    if bound is not None:
        parts.append(
            Markup('<line class="bound" x1="{0}" x2="{0}" y1="0" y2="{1}"/>').format(_x(bound), _ROW_HEIGHT)
        )
    if before and after:
        joint = '<line class="joint" x1="{}" y1="{}" x2="{}" y2="{}"/>'
        parts.append(Markup(joint).format(_x(before.rate), _BEFORE_Y, _x(after.rate), _AFTER_Y))
    lower = _AFTER_Y if before else _ROW_HEIGHT // 2
    for rate, side, raw, y in (
        (before, "before", counted[0], _BEFORE_Y),
        (after, "after", counted[1], lower),
    ):
        if rate:
            parts.append(_mark(rate, side, raw, y))
    if not (before or after):
        text = '<text class="none" x="50%" y="{}" text-anchor="middle">not measured</text>'
        parts.append(Markup(text).format(_ROW_HEIGHT / 2 + 4))
    told = _forest_words(before, after, counted, names)
    if bound is not None:
        told += f"; {bound_name} at {percent(bound)}"
    return drawing(f"forest {status}", label, told, Markup("").join(parts), height=_ROW_HEIGHT)


def drawing(kind: str, label: str, told: str, marks: Markup, *, height: int) -> Markup:
    """An SVG whose marks lie by percentages, with a name, a description, and both for those who hear it."""
    return Markup(
        '<svg class="{}" role="img" aria-label="{}: {}" height="{}"><title>{}</title><desc>{}</desc>{}</svg>'
    ).format(kind, label, told, height, label, told, marks)


def _mark(rate: Rate, side: str, counted: float | None, y: int) -> Markup:
    reach = Markup('<line x1="{0}" x2="{1}" y1="{2}" y2="{2}"/>').format(_x(rate.lo), _x(rate.hi), y)
    if counted is None:
        mark = Markup('<circle cx="{}" cy="{}" r="4.5"/>').format(_x(rate.rate), y)
    else:
        raw = '<line class="raw" x1="{0}" x2="{0}" y1="{1}" y2="{2}"/>'
        mark = Markup(raw).format(_x(counted), y - 6, y + 6)
        mark += Markup('<rect class="diamond" x="{}" y="{}" width="8.5" height="8.5"/>').format(
            _x(rate.rate), y
        )
    return Markup('<g class="{}">{}{}</g>').format(side, reach, mark)


def _forest_words(
    before: Rate | None,
    after: Rate | None,
    counted: tuple[float | None, float | None],
    names: tuple[str, str],
) -> str:
    told = []
    for rate, name, raw in ((before, names[0], counted[0]), (after, names[1], counted[1])):
        if rate:
            said = f"{name} {percent(rate.rate)}, interval {percent(rate.lo)} to {percent(rate.hi)}"
            told.append(said if raw is None else f"{said}, corrected from the judge's {percent(raw)}")
    return "; ".join(told) or "not measured"


def difference_row(
    value: float,
    lo: float | None,
    hi: float | None,
    *,
    reach: float,
    low: float | None = None,
    label: str,
    told: str,
    status: str = "",
) -> Markup:
    """A number on its interval, with a line at 0.

    Args:
        value: what is drawn.
        lo: lower end of its interval; None = none.
        hi: upper end.
        reach: right end of the axis.
        low: left end; None = as far left of 0 as ``reach`` is right.
        label: what is drawn, for the text alternative.
        told: the number in words.
        status: class of the drawing.
    """
    left = -reach if low is None else low

    def at(place: float) -> str:
        return f"{100 * max(0.0, min(1.0, (place - left) / (reach - left))):.2f}%"

    parts = [Markup('<line class="zero" x1="{0}" x2="{0}" y1="0" y2="24"/>').format(at(0.0))]
    if lo is not None and hi is not None:
        parts.append(Markup('<line class="reach" x1="{}" x2="{}" y1="12" y2="12"/>').format(at(lo), at(hi)))
    parts.append(Markup('<circle cx="{}" cy="12" r="4.5"/>').format(at(value)))
    return drawing(f"difference {status}", label, told, Markup("").join(parts), height=24)


def reach_of(values: Iterable[float | None]) -> float:
    """The smallest of some round numbers that all ``values`` lie within, either way."""
    most = max((abs(value) for value in values if value is not None), default=0.0)
    return next(
        (one for one in (0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0) if one >= most), nice_ticks(0.0, most)[-1]
    )


def _x(rate: float) -> str:
    return f"{100 * rate:.2f}%"


@dataclass(frozen=True, slots=True)
class LineChart:
    """A line over training steps, ready to place: marks in percent of the plot.

    Attributes:
        title: heading.
        svg: the drawing.
        y_ticks: (percent from the bottom, label).
        x_ticks: first and last step.
        limit: (percent from the bottom, label) of the stop line, or None.
        first: first value, in words.
        last: last value, in words.
    """

    title: str
    svg: Markup
    y_ticks: tuple[tuple[float, str], ...]
    x_ticks: tuple[str, str]
    limit: tuple[float, str] | None
    first: str
    last: str


def line_chart(
    points: Points, title: str, *, floor: float | None = None, limit: float | None = None
) -> LineChart:
    """Draw ``points`` (at least one).

    Args:
        points: (step, value), in order of steps.
        title: heading.
        floor: lowest value the axis must show.
        limit: a value to mark by a dashed line.
    """
    xs, ys = [x for x, _ in points], [y for _, y in points]
    headroom = [] if limit is None else [limit, 1.08 * limit]  # keeps the stop line off the top edge
    ticks = nice_ticks(min(ys + headroom + ([] if floor is None else [floor])), max(ys + headroom))
    low, high = ticks[0], ticks[-1]

    def up(value: float) -> float:
        return 100 * (value - low) / (high - low)

    def across(x: float) -> float:
        return 100 * (x - xs[0]) / (xs[-1] - xs[0]) if xs[-1] > xs[0] else 50.0

    first, last = number(ys[0]), number(ys[-1])
    words = f"{title}: {first} at step {number(xs[0])}, {last} at step {number(xs[-1])}"
    words += f"; lowest {number(min(ys))}, highest {number(max(ys))}"
    words += f"; limit {number(limit)}" if limit is not None else ""
    parts = [_line("grid", [(0, 100 - up(tick)), (100, 100 - up(tick))]) for tick in ticks]
    if limit is not None:
        parts.append(_line("limit", [(0, 100 - up(limit)), (100, 100 - up(limit))]))
    placed = [(across(x), 100 - up(y)) for x, y in points]
    parts.append(_line("curve", placed))
    if len(points) <= 24:  # single measurements stay visible as such
        parts += [_line("dot", [place, place]) for place in placed]
    svg = Markup(
        '<svg class="line" role="img" aria-label="{}" viewBox="0 0 100 100" '
        'preserveAspectRatio="none"><title>{}</title>{}</svg>'
    ).format(words, title, Markup("").join(parts))
    return LineChart(
        title=title,
        svg=svg,
        y_ticks=tuple((up(tick), number(tick)) for tick in ticks),
        x_ticks=(number(xs[0]), number(xs[-1])),
        limit=None if limit is None else (up(limit), f"stop at {number(limit)}"),
        first=first,
        last=last,
    )


def _line(name: str, places: Points) -> Markup:
    path = "M" + " L".join(f"{x:.2f} {y:.2f}" for x, y in places)
    return Markup('<path class="{}" d="{}" vector-effect="non-scaling-stroke"/>').format(name, path)


def nice_ticks(low: float, high: float) -> list[float]:
    """Three to six round values that reach from at most ``low`` to at least ``high``."""
    if high - low <= 1e-9 * max(abs(low), abs(high), 1.0):
        margin = abs(low) / 2 if abs(low) > 1e-6 else 1.0
        low, high = low - margin, high + margin
    rough = (high - low) / 3
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(i * step, 12) for i in range(first, last + 1)]


def number(value: float, *, like: float | None = None) -> str:
    """A number for people: at most three digits after the point, without trailing zeros.

    With ``like`` it gets the digits that number would have, zeros and all.
    """
    if value != 0 and abs(value) < 0.001:
        return f"{value:.1e}"
    size = abs(value if like is None else like)
    if size >= 1000:
        return f"{value:,.0f}"
    digits = 3 if size < 1 else 2 if size < 10 else 1
    text = f"{value:.{digits}f}"
    return text.rstrip("0").rstrip(".") if like is None else text
