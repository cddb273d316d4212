"""Plots of the pluralism study, as plain SVG."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from pluralism_budget import Budget
from pluralism_data import HELD_OUT
from pluralism_many import HELD
from pluralism_summary import (
    Found,
    few_units,
    groups_of,
    mean_of_runs,
    mean_of_units,
    only_groups,
    robust_units,
    skews,
)
from pluralism_tables import FAIR
from study_frame import COLOURS, RIGHT, Frame, W, even_ticks, spread, svg

from charter.evaluation.pluralism.measure import Measured
from charter.testing.survey import PEOPLE

_ROW, _HEAD, _FOOT, _NAMES = 24, 16, 46, 250

Mark = tuple[str, Measured, str]
"""Name, mean with interval, colour."""


def drawings(found: Found, budget: Budget) -> dict[str, str]:
    """Every plot for which something was measured, by name."""
    made = {
        "few": few_plot(found, budget),
        "skew": whiskers(_skew_marks(found, budget), "distance from people's shares, held-out questions"),
        "groups": whiskers(_group_marks(found, budget), "distance from the group's shares, its name given"),
    }
    return {name: drawing for name, drawing in made.items() if drawing}


def few_plot(found: Found, budget: Budget) -> str:
    """Distance by number of known answers, a line a predictor; targets that no training group was asked."""
    units = few_units(found)
    lines: dict[str, list[tuple[int, Measured]]] = {}
    for title, name, variant in FAIR:
        of = {size: units.get((name, variant, size), {}) for size in budget.sizes}
        lines[title] = [
            (size, mean_of_units(one)) for size, one in of.items() if groups_of(one) == len(HELD_OUT)
        ]
    points = [(size, one) for line in lines.values() for size, one in line if one.value is not None]
    if not points:
        return ""
    lows = [one.value if one.interval is None else one.interval.lo for _, one in points]
    highs = [one.value if one.interval is None else one.interval.hi for _, one in points]
    values = [value for value in (*lows, *highs) if value is not None]
    most = max(budget.sizes)
    frame = Frame((-0.03 * most, 1.25 * most), (min(values), max(values)))
    parts = [frame.grid(log_x=False, x_title="known answers of the group", y_title="Jensen-Shannon distance")]
    ends: list[tuple[float, float, str, str]] = []
    for index, (title, line) in enumerate(lines.items()):
        places = [(frame.x(size + 0.06 * (index - 2)), one) for size, one in line if one.value is not None]
        if not places:
            continue
        colour = _COLOURS[index]
        path = "M" + " L".join(f"{x:.1f} {frame.y(one.value or 0.0):.1f}" for x, one in places)
        parts.append(f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
        for x, one in places:
            parts.append(_upright(frame, x, one, colour))
        ends.append((places[-1][0] + 8, frame.y(places[-1][1].value or 0.0) + 4, title, colour))
    labels = spread([(x, y) for x, y, _, _ in ends])
    for (x, y), (_, _, title, colour) in zip(labels, ends, strict=True):
        parts.append(f'<text x="{x:.1f}" y="{y:.1f}" style="fill:{colour}">{escape(title)}</text>')
    return svg("".join(parts))


_COLOURS = (*COLOURS, "#666666")


def _upright(frame: Frame, x: float, one: Measured, colour: str) -> str:
    bar = ""
    if one.interval is not None:
        low, high = frame.y(one.interval.lo), frame.y(one.interval.hi)
        bar = (
            f'<line class="bar" stroke="{colour}" x1="{x:.1f}" x2="{x:.1f}" y1="{low:.1f}" y2="{high:.1f}"/>'
        )
    return f'{bar}<circle cx="{x:.1f}" cy="{frame.y(one.value or 0.0):.1f}" r="3.5" fill="{colour}"/>'


def whiskers(marks: Sequence[Mark], title: str) -> str:
    """A line for each mark: its name, its mean and its interval, on an axis from 0."""
    drawn = [one for one in marks if one[1].value is not None]
    if not drawn:
        return ""
    most = max(one.value if one.interval is None else one.interval.hi for _, one, _ in drawn) or 1.0
    height = _HEAD + _ROW * len(drawn) + _FOOT

    def at(value: float) -> float:
        return _NAMES + max(0.0, value) / (1.05 * most) * (W - RIGHT - _NAMES)

    parts = [_axis(at, most, height, title)]
    for index, (name, one, colour) in enumerate(drawn):
        y = _HEAD + _ROW * (index + 0.5)
        parts.append(
            f'<text x="{_NAMES - 8}" y="{y + 4:.1f}" text-anchor="end" style="fill:{colour}">'
            f"{escape(name)}</text>"
        )
        if one.interval is not None:
            left, right = at(one.interval.lo), at(one.interval.hi)
            parts.append(
                f'<line class="bar" style="stroke-width:2" stroke="{colour}" '
                f'x1="{left:.1f}" x2="{right:.1f}" y1="{y:.1f}" y2="{y:.1f}"/>'
            )
        parts.append(f'<circle cx="{at(one.value or 0.0):.1f}" cy="{y:.1f}" r="4" fill="{colour}"/>')
    return svg("".join(parts), height)


def _axis(at: Any, most: float, height: int, title: str) -> str:
    bottom = height - _FOOT
    parts = []
    for tick in even_ticks(0.0, 1.05 * most):
        x = at(tick)
        parts.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{_HEAD}" y2="{bottom}"/>')
        parts.append(f'<text x="{x:.1f}" y="{bottom + 16}" text-anchor="middle">{tick:.2f}</text>')
    middle = (_NAMES + W - RIGHT) / 2
    parts.append(f'<text x="{middle}" y="{height - 8}" text-anchor="middle">{escape(title)}</text>')
    return "".join(parts)


def _skew_marks(found: Found, budget: Budget) -> list[Mark]:
    methods = skews(found, budget)
    names = ("untrained", "dpo", "gdpo", "sft", "uniform", "mean of groups")
    colours = dict(
        zip(names, (COLOURS[3], COLOURS[1], COLOURS[0], COLOURS[2], "#666666", "#666666"), strict=True)
    )
    return [
        (name, mean_of_runs(methods.get(name, {}).get(HELD, {}).get("js", ())), colours[name])
        for name in names
    ]


def _group_marks(found: Found, budget: Budget) -> list[Mark]:
    """DPO and group-robust DPO of each group, the worst under DPO first."""
    units = robust_units(found, budget)
    if "dpo" not in units:
        return []
    of = {
        one.name: {
            name: mean_of_units(only_groups(units.get(name, {}), [one.name])) for name in ("dpo", "gr-dpo")
        }
        for one in PEOPLE
    }
    order = sorted(of, key=lambda name: -(of[name]["dpo"].value or 0.0))
    return [
        (f"{group}: {name}", of[group][name], colour)
        for group in order
        for name, colour in (("dpo", COLOURS[1]), ("gr-dpo", COLOURS[0]))
    ]
