"""The drawing of over-optimisation: the reward trained on above, the held-out reward below, over sqrt(KL)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from charter.reporting.charts import nice_ticks, number

WIDTH, PANEL, GAP = 600, 190, 46
"""Units of the drawing's view box: its plots, and what is between them."""

_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 20, 34, 48

NAMESPACE = Markup(' xmlns="http://www.w3.org/2000/svg"')
"""What a drawing says of itself where it stands alone."""

_STYLE = """
.overopt text { font: 12px system-ui, sans-serif; fill: var(--quiet, #5b626b); }
.overopt .title { font-weight: 600; fill: var(--ink, #1c2127); }
.overopt .grid { stroke: var(--faint, #ebe8e0); }
.overopt .proxy { stroke: var(--before, #7a6a4f); fill: none; stroke-width: 1.8; stroke-linejoin: round; }
.overopt .proxy-dot { fill: var(--before, #7a6a4f); }
.overopt .gold { stroke: var(--after, #0b5d73); fill: none; stroke-width: 2; stroke-linejoin: round; }
.overopt .gold-dot { fill: var(--after, #0b5d73); fill-opacity: .75; }
.overopt .band { fill: var(--after, #0b5d73); opacity: .15; }
.overopt .peak { stroke: var(--fell, #9c2a1c); stroke-width: 1.4; stroke-dasharray: 5 4; }
.overopt .peak-range { fill: var(--fell, #9c2a1c); opacity: .1; }
.overopt .peak-label { fill: var(--fell, #9c2a1c); }
"""


@dataclass(frozen=True, slots=True)
class Measured:
    """One measurement: ``d`` is the square root of the KL, in nats per sequence."""

    d: float
    proxy: float
    gold: float


@dataclass(frozen=True, slots=True)
class Peak:
    """Where the held-out reward is highest, and the interval of that."""

    d: float
    lo: float
    hi: float


def overoptimisation_chart(
    points: Sequence[Measured],
    curve: Sequence[tuple[float, float, float, float]],
    peak: Peak | None,
    words: str,
) -> Markup:
    """Draw a run: the two rewards have an axis each, as they may be of different units.

    Colours are those of the page it stands in, or of its own where it stands alone.

    Args:
        points: at least one, in order of ``d``.
        curve: the fitted law: place, lower end of its band, value, upper end.
        peak: None = none within what was measured.
        words: what it shows; the text alternative.
    """
    across = _Scale(nice_ticks(0.0, max(point.d for point in points)), 0.0, WIDTH)
    proxies = [point.proxy for point in points]
    golds = [point.gold for point in points] + [value for _, *values in curve for value in values]
    upper = _Scale(nice_ticks(min(proxies), max(proxies)), PANEL, 0.0)
    lower = _Scale(nice_ticks(min(golds), max(golds)), 2 * PANEL + GAP, PANEL + GAP)
    parts = [*_grid(across, upper, "Reward trained on"), *_grid(across, lower, "Held-out reward")]
    parts += [_across_label(across, tick, lower.low_end) for tick in across.ticks]
    axis = "√KL from the start (KL in nats per sequence)"
    parts.append(_text(WIDTH / 2, lower.low_end + 40, axis, anchor="middle"))
    if peak is not None:
        parts += _peak(peak, across, lower.low_end)
    parts.append(_path("proxy", [(across(p.d), upper(p.proxy)) for p in points]))
    parts += [_dot("proxy-dot", across(p.d), upper(p.proxy)) for p in points]
    if curve:
        band = [(across(x), lower(lo)) for x, lo, _, _ in curve]
        band += [(across(x), lower(hi)) for x, _, _, hi in reversed(curve)]
        parts.append(_path("band", band, closed=True))
        parts.append(_path("gold", [(across(x), lower(middle)) for x, _, middle, _ in curve]))
    parts += [_dot("gold-dot", across(p.d), lower(p.gold)) for p in points]
    frame = f"{-_LEFT} {-_TOP} {WIDTH + _LEFT + _RIGHT} {2 * PANEL + GAP + _TOP + _BOTTOM}"
    return Markup(
        '<svg xmlns="http://www.w3.org/2000/svg" class="overopt" role="img" aria-label="{}" viewBox="{}">'
        "<style>{}</style>{}</svg>"
    ).format(words, frame, Markup(_STYLE), Markup("").join(parts))


def curve_chart(found: Mapping[str, Any]) -> Markup:
    """The drawing of one curve of a run, as :mod:`charter.evaluation.overoptimisation.run` writes it.

    Args:
        found: ``points`` (``d``, ``proxy``, ``gold``; at least one), ``curve``, ``peak``, ``words``.
    """
    peak = found["peak"]
    return overoptimisation_chart(
        [Measured(one["d"], one["proxy"], one["gold"]) for one in found["points"]],
        [(place[0], place[1], place[2], place[3]) for place in found["curve"]],
        None if peak is None else Peak(peak["d"], peak["lo"], peak["hi"]),
        f"{found['name']} against {found['proxy']}: {found['words']}",
    )


@dataclass(frozen=True, slots=True)
class _Scale:
    """From values to places: the first tick at ``low_end``, the last at ``high_end``."""

    ticks: Sequence[float]
    low_end: float
    high_end: float

    def __call__(self, value: float) -> float:
        share = (value - self.ticks[0]) / (self.ticks[-1] - self.ticks[0])
        return self.low_end + share * (self.high_end - self.low_end)


def _grid(across: _Scale, up: _Scale, title: str) -> list[Markup]:
    """A panel's lines, the labels of its upright axis, and its title."""
    upright = '<line class="grid" x1="{0}" x2="{0}" y1="{1}" y2="{2}"/>'
    level = '<line class="grid" x1="0" x2="{}" y1="{}" y2="{}"/>'
    parts = [Markup(upright).format(*map(_place, (across(t), up.high_end, up.low_end))) for t in across.ticks]
    for tick in up.ticks:
        parts.append(Markup(level).format(WIDTH, _place(up(tick)), _place(up(tick))))
        parts.append(_text(-8, up(tick) + 4, number(tick), anchor="end"))
    parts.append(_text(0, up.high_end - 12, title, name="title"))
    return parts


def _across_label(across: _Scale, tick: float, bottom: float) -> Markup:
    return _text(across(tick), bottom + 18, number(tick), anchor="middle")


def _peak(peak: Peak, across: _Scale, bottom: float) -> list[Markup]:
    """An upright line through both panels, on its interval."""
    right = across.ticks[-1]
    lo, hi = across(max(peak.lo, 0.0)), across(min(peak.hi, right))
    shade = '<rect class="peak-range" x="{}" y="0" width="{}" height="{}"/>'
    line = '<line class="peak" x1="{0}" x2="{0}" y1="0" y2="{1}"/>'
    at = across(peak.d)
    anchor, beside = ("start", hi + 6) if at < 0.7 * WIDTH else ("end", lo - 6)
    label = f"held-out peak, √KL {number(peak.d)}"
    return [
        Markup(shade).format(_place(lo), _place(hi - lo), _place(bottom)),
        Markup(line).format(_place(at), _place(bottom)),
        _text(beside, PANEL + 16, label, anchor=anchor, name="peak-label"),
    ]


def _text(x: float, y: float, text: str, *, anchor: str = "start", name: str = "label") -> Markup:
    return Markup('<text class="{}" x="{}" y="{}" text-anchor="{}">{}</text>').format(
        name, _place(x), _place(y), anchor, text
    )


def _path(name: str, places: Sequence[tuple[float, float]], *, closed: bool = False) -> Markup:
    path = "M" + " L".join(f"{_place(x)} {_place(y)}" for x, y in places) + (" Z" if closed else "")
    return Markup('<path class="{}" d="{}"/>').format(name, path)


def _dot(name: str, x: float, y: float) -> Markup:
    return Markup('<circle class="{}" cx="{}" cy="{}" r="3.2"/>').format(name, _place(x), _place(y))


def _place(value: float) -> str:
    return f"{value:.2f}"
