"""The plots of the online study: lines of measured points with their intervals, as plain SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from study_frame import COLOURS, LEFT, RIGHT, TOP, Frame, W, spread, svg
from study_parts import Row

LETTER = 7
"""Width of a letter, in pixels."""

PALETTE = (*COLOURS, "#c2185b", "#00838f", "#5d4037", "#546e7a", "#9e9d24", "#111111")


@dataclass(frozen=True)
class Line:
    """Measured points: ``(x, y, low, high)``."""

    name: str
    points: tuple[tuple[float, float, float, float], ...]
    dashed: bool = False


def against_kl(settings: Sequence[Row], best: Sequence[Row], name: str) -> list[Line]:
    """A score over sqrt(KL): each setting from the base model on, and best of n."""
    lines = [
        Line(
            s["setting"],
            tuple(
                (math.sqrt(max(point["kl"], 0.0)), *point[name])
                for point in s["points"]
                if point["kl"] is not None
            ),
        )
        for s in settings
    ]
    if best:
        points = tuple((math.sqrt(max(point["kl"], 0.0)), *point[name]) for point in best)
        lines.append(Line("best-of-n", points, dashed=True))
    return lines


def over_steps(settings: Sequence[Row], name: str = "reward") -> list[Line]:
    """A score over optimizer steps."""
    return [Line(s["setting"], tuple((p["step"], *p[name]) for p in s["points"])) for s in settings]


def draw(lines: Sequence[Line], x_title: str, y_title: str) -> str:
    """The lines with an interval at their last point and their name beside it."""
    drawn = [line for line in lines if line.points]
    if not drawn:
        return svg("")
    places = [point for line in drawn for point in line.points]
    ends = [line.points[-1] for line in drawn]
    left, right = min(x for x, *_ in places), max(x for x, *_ in places) or 1.0
    frame = Frame(
        (left, max([right * 1.05] + [_room(line, left) for line in drawn])),
        (
            min([y for _, y, *_ in places] + [low for _, _, low, _ in ends]),
            max([y for _, y, *_ in places] + [high for *_, high in ends]),
        ),
    )
    parts = [frame.grid(log_x=False, x_title=x_title, y_title=y_title)]
    labels = spread([(frame.x(x) + 7, frame.y(y) + 4) for x, y, *_ in ends])
    for index, (line, (lx, ly)) in enumerate(zip(drawn, labels, strict=True)):
        colour = PALETTE[index % len(PALETTE)]
        parts.append(_line(frame, line, colour))
        inside = min(lx, W - RIGHT - 4)
        anchor = "start" if inside == lx else "end"
        parts.append(
            f'<text x="{max(inside, LEFT):.1f}" y="{max(ly, TOP + 8):.1f}" style="fill:{colour}" '
            f'text-anchor="{anchor}">{escape(line.name)}</text>'
        )
    return svg("".join(parts))


def _room(line: Line, left: float) -> float:
    """The end of the axis from ``left`` on that leaves room for the line's name behind its last point."""
    name = 7 + LETTER * len(line.name)
    return left + (line.points[-1][0] - left) * (W - LEFT - RIGHT) / (W - LEFT - 4 - name)


def _line(frame: Frame, line: Line, colour: str) -> str:
    at = [(frame.x(x), frame.y(y)) for x, y, *_ in line.points]
    path = "M" + " L".join(f"{x:.1f} {y:.1f}" for x, y in at)
    dash = ' stroke-dasharray="5 4"' if line.dashed else ""
    x, _, low, high = line.points[-1]
    return (
        f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="1.5"{dash}/>'
        + "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in at)
        + f'<line class="bar" stroke="{colour}" x1="{frame.x(x):.1f}" x2="{frame.x(x):.1f}" '
        f'y1="{frame.y(low):.1f}" y2="{frame.y(high):.1f}"/>'
    )
