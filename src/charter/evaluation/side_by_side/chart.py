"""The helpful-harmless plot as SVG: intervals as crosses, the front joined, what is dominated grey."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from charter.evaluation.side_by_side.measures import Measure
from charter.evaluation.side_by_side.pareto import Pareto, Place
from charter.reporting.charts import nice_ticks, number
from charter.stats import percent

WIDTH, HEIGHT = 560, 400
_LEFT, _RIGHT, _TOP, _BOTTOM = 66, 24, 30, 54
_CHAR, _LINE = 6.7, 15.0
"""About the width of a character and the height of a line, in units of the view box."""

_STYLE = """
.pareto text { font: 12px system-ui, sans-serif; fill: var(--quiet, #5b626b); }
.pareto .grid { stroke: var(--faint, #ebe8e0); }
.pareto .title { fill: var(--ink, #1c2127); font-weight: 600; }
.pareto .front { stroke: var(--after, #0b5d73); fill: none; stroke-width: 1.6; stroke-dasharray: 5 4; }
.pareto .best line { stroke: var(--after, #0b5d73); stroke-width: 1.6; opacity: .55; }
.pareto .best circle { fill: var(--after, #0b5d73); }
.pareto g text { paint-order: stroke; stroke: var(--paper, #fcfbf8); stroke-width: 3px; }
.pareto .best text { fill: var(--ink, #1c2127); font-weight: 600; }
.pareto .beaten line { stroke: var(--quiet, #5b626b); opacity: .35; }
.pareto .beaten circle { fill: var(--paper, #fcfbf8); stroke: var(--quiet, #5b626b); stroke-width: 1.6; }
.pareto .lead { stroke: var(--quiet, #5b626b); stroke-width: .8; opacity: .6; }
"""


@dataclass(frozen=True, slots=True)
class _Scale:
    ticks: Sequence[float]
    low_end: float
    high_end: float

    def __call__(self, value: float) -> float:
        share = (value - self.ticks[0]) / (self.ticks[-1] - self.ticks[0])
        return self.low_end + share * (self.high_end - self.low_end)


def pareto_chart(found: Pareto) -> Markup:
    """Draw the plane; better is right and up, also for measures of which less is better.

    Colours are those of the page it stands in, or of its own where it stands alone.

    Raises:
        ValueError: no place to draw.
    """
    if not found.places:
        raise ValueError("a plot needs at least one checkpoint")
    across = _scale(found.x, [(p.x, p.x_interval) for p in found.places], 0.0, WIDTH)
    up = _scale(found.y, [(p.y, p.y_interval) for p in found.places], HEIGHT, 0.0)
    parts = [*_grid(found, across, up)]
    front = sorted((p for p in found.places if not p.dominated_by), key=lambda p: across(p.x))
    if len(front) > 1:
        path = "M" + " L".join(f"{across(p.x):.1f} {up(p.y):.1f}" for p in front)
        parts.append(Markup('<path class="front" d="{}"/>').format(path))
    taken = [(across(p.x) - 6, up(p.y) - 6, across(p.x) + 6, up(p.y) + 6) for p in found.places]
    # The front is drawn last, so that it lies on top, and labelled first, so that it has the best places.
    labels: list[Markup] = []
    for place in sorted(found.places, key=lambda p: bool(p.dominated_by)):
        labels += _label(place, across(place.x), up(place.y), taken)
    parts += [_mark(p, across, up) for p in sorted(found.places, key=lambda p: not p.dominated_by)]
    frame = f"{-_LEFT} {-_TOP} {WIDTH + _LEFT + _RIGHT} {HEIGHT + _TOP + _BOTTOM}"
    return Markup(
        '<svg xmlns="http://www.w3.org/2000/svg" class="pareto" role="img" aria-label="{}" viewBox="{}">'
        "<style>{}</style>{}{}</svg>"
    ).format(plot_words(found), frame, Markup(_STYLE), Markup("").join(parts), Markup("").join(labels))


def plot_words(found: Pareto) -> str:
    """The plot in words."""
    told = [
        f"{p.name}: {_value(found.x, p.x)} and {_value(found.y, p.y)}"
        + (f", beaten by {p.dominated_by}" if p.dominated_by else ", not beaten on both")
        for p in found.places
    ]
    return f"{found.y.label} over {found.x.label}. {'; '.join(told)}"


def _scale(
    measure: Measure, values: Sequence[tuple[float, object]], low_end: float, high_end: float
) -> _Scale:
    reach = [value for value, _ in values]
    reach += [end for _, interval in values if isinstance(interval, tuple) for end in interval]
    ticks = nice_ticks(min(reach), max(reach))
    if measure.principles:
        ticks = [tick for tick in ticks if -1e-9 <= tick <= 1 + 1e-9] or [0.0, 1.0]
        if len(ticks) < 2:
            ticks = [0.0, 0.5, 1.0]
    return _Scale(ticks[::-1] if measure.lower_is_better else ticks, low_end, high_end)


def _grid(found: Pareto, across: _Scale, up: _Scale) -> list[Markup]:
    line = '<line class="grid" x1="{}" x2="{}" y1="{}" y2="{}"/>'
    text = '<text class="{}" x="{:.1f}" y="{:.1f}" text-anchor="{}">{}</text>'
    parts = []
    for tick in across.ticks:
        x = f"{across(tick):.1f}"
        parts.append(Markup(line).format(x, x, 0, HEIGHT))
        parts.append(Markup(text).format("tick", across(tick), HEIGHT + 19, "middle", _value(found.x, tick)))
    for tick in up.ticks:
        y = f"{up(tick):.1f}"
        parts.append(Markup(line).format(0, WIDTH, y, y))
        parts.append(Markup(text).format("tick", -9, up(tick) + 4, "end", _value(found.y, tick)))
    parts.append(
        Markup(text).format("title", WIDTH, HEIGHT + 42, "end", f"{_axis(found.x)} \N{RIGHTWARDS ARROW}")
    )
    parts.append(
        Markup(text).format("title", -_LEFT + 6, -13, "start", f"\N{UPWARDS ARROW} {_axis(found.y)}")
    )
    return parts


def _axis(measure: Measure) -> str:
    return f"{measure.label} (less is better)" if measure.lower_is_better else measure.label


def _mark(place: Place, across: _Scale, up: _Scale) -> Markup:
    x, y = across(place.x), up(place.y)
    lines = []
    bar = '<line x1="{:.1f}" x2="{:.1f}" y1="{:.1f}" y2="{:.1f}"/>'
    if place.x_interval is not None:
        lines.append(Markup(bar).format(across(place.x_interval.lo), across(place.x_interval.hi), y, y))
    if place.y_interval is not None:
        lines.append(Markup(bar).format(x, x, up(place.y_interval.lo), up(place.y_interval.hi)))
    return Markup('<g class="{}">{}<circle cx="{:.1f}" cy="{:.1f}" r="5"/></g>').format(
        "beaten" if place.dominated_by else "best", Markup("").join(lines), x, y
    )


Box = tuple[float, float, float, float]


def _label(place: Place, x: float, y: float, taken: list[Box]) -> list[Markup]:
    """The name, where it hides no mark and no other name; further off with a line to its mark if need be."""
    name = place.name if len(place.name) <= 32 else place.name[:31] + "\N{HORIZONTAL ELLIPSIS}"
    wide = _CHAR * len(name) + 4
    for far in (9.0, 24.0, 40.0, 60.0, 84.0):
        for dx, dy in ((1, -1), (-1, -1), (1, 1), (-1, 1)):
            left = x + far * 0.8 if dx > 0 else x - far * 0.8 - wide
            middle = y + dy * far
            box = (left, middle - _LINE / 2, left + wide, middle + _LINE / 2)
            inside = box[0] >= -4 and box[2] <= WIDTH + _RIGHT and box[1] >= -8 and box[3] <= HEIGHT + 4
            if inside and not any(_meet(box, other) for other in taken):
                break
        else:
            continue
        break
    taken.append(box)
    start = left if dx > 0 else left + wide
    parts = []
    if far > 10:
        line = '<line class="lead" x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}"/>'
        parts.append(Markup(line).format(x, y, start, middle))
    parts.append(
        Markup('<g class="{}"><text x="{:.1f}" y="{:.1f}" text-anchor="{}">{}</text></g>').format(
            "beaten" if place.dominated_by else "best",
            start,
            middle + 4,
            "start" if dx > 0 else "end",
            name,
        )
    )
    return parts


def _meet(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _value(measure: Measure, value: float) -> str:
    return number(value) if measure.health else percent(value)
