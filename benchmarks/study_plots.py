"""The two plots of the offline study, as plain SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import Any

Row = dict[str, Any]
_W, _H, _LEFT, _BOTTOM, _TOP, _RIGHT = 900, 560, 60, 50, 20, 20
_COLOURS = ("#2457a6", "#b3541e", "#2e7d4f", "#7b3fa0", "#8a7a1d")
_STYLE = (
    "text{font:12px system-ui,sans-serif;fill:#333}.grid{stroke:#ddd}.axis{stroke:#333}"
    ".bar{stroke-width:1;opacity:.45}.base{stroke:#888;stroke-dasharray:4 3}.title{font-weight:600}"
)


def scatter(settings: Sequence[Row], base_reward: float) -> str:
    """Reward with its interval against KL, one mark a method."""
    kls = [max(s["kl"], 0.02) for s in settings]
    frame = _Frame(
        (math.log10(min(kls) / 1.3), math.log10(max(kls) * 1.6)),
        (min([base_reward, *(s["reward"][1] for s in settings)]), max(s["reward"][2] for s in settings)),
    )
    parts = [
        frame.grid(log_x=True, x_title="KL to the base model, nats per sequence (log)", y_title="reward")
    ]
    y = frame.y(base_reward)
    parts.append(f'<line class="base" x1="{_LEFT}" x2="{_W - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
    parts.append(f'<text x="{_LEFT + 6}" y="{y - 5:.1f}">base model</text>')
    places = [(frame.x(math.log10(kl)), frame.y(s["reward"][0])) for kl, s in zip(kls, settings, strict=True)]
    labels = _spread([(x + 7, y + 4) for x, y in places])
    for s, (x, y), (lx, ly) in zip(settings, places, labels, strict=True):
        colour = _COLOURS[_kind(s["algorithm"])]
        low, high = frame.y(s["reward"][1]), frame.y(s["reward"][2])
        parts.append(
            f'<line class="bar" stroke="{colour}" x1="{x:.1f}" x2="{x:.1f}" y1="{low:.1f}" y2="{high:.1f}"/>'
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}"/>'
            f'<text x="{lx:.1f}" y="{ly:.1f}" fill="{colour}">{escape(s["algorithm"])}</text>'
        )
    return _svg("".join(parts))


def sweep(settings: Sequence[Row], names: Sequence[str]) -> str:
    """Reward against KL along each method's betas, joined by a line."""
    chosen = {
        name: sorted((s for s in settings if s["algorithm"] == name), key=lambda s: s["beta"])
        for name in names
    }
    rows = [s for line in chosen.values() for s in line]
    if not rows:
        return _svg("")
    kls = [max(s["kl"], 0.02) for s in rows]
    frame = _Frame(
        (math.log10(min(kls) / 1.3), math.log10(max(kls) * 1.4)),
        (min(s["reward"][1] for s in rows), max(s["reward"][2] for s in rows)),
    )
    parts = [
        frame.grid(log_x=True, x_title="KL to the base model, nats per sequence (log)", y_title="reward")
    ]
    for index, (name, line) in enumerate(chosen.items()):
        colour = _COLOURS[index % len(_COLOURS)]
        places = [(frame.x(math.log10(max(s["kl"], 0.02))), frame.y(s["reward"][0])) for s in line]
        path = "M" + " L".join(f"{x:.1f} {y:.1f}" for x, y in places)
        parts.append(f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
        for s, (x, y) in zip(line, places, strict=True):
            parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}"/>')
            parts.append(f'<text x="{x + 6:.1f}" y="{y - 6:.1f}" fill="{colour}">{s["beta"]:g}</text>')
        parts.append(
            f'<text class="title" x="{_LEFT + 12}" y="{_TOP + 18 * (index + 1)}" fill="{colour}">'
            f"{name}: beta</text>"
        )
    return _svg("".join(parts))


class _Frame:
    """A plot's area, and where values are in it."""

    def __init__(self, xs: tuple[float, float], ys: tuple[float, float]) -> None:
        pad = 0.05 * (ys[1] - ys[0] or 1)
        self.xs, self.ys = xs, (ys[0] - pad, ys[1] + pad)

    def x(self, value: float) -> float:
        return _LEFT + (value - self.xs[0]) / (self.xs[1] - self.xs[0]) * (_W - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        return _H - _BOTTOM - (value - self.ys[0]) / (self.ys[1] - self.ys[0]) * (_H - _BOTTOM - _TOP)

    def grid(self, *, log_x: bool, x_title: str, y_title: str) -> str:
        parts = []
        for tick in _ticks(10 ** self.xs[0], 10 ** self.xs[1]) if log_x else ():
            x = self.x(math.log10(tick))
            parts.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{_H - _BOTTOM}"/>')
            parts.append(f'<text x="{x:.1f}" y="{_H - _BOTTOM + 16}" text-anchor="middle">{tick:g}</text>')
        step = 0.05 if self.ys[1] - self.ys[0] < 0.4 else 0.1
        for i in range(math.ceil(self.ys[0] / step), math.floor(self.ys[1] / step) + 1):
            y = self.y(i * step)
            parts.append(f'<line class="grid" x1="{_LEFT}" x2="{_W - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
            parts.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{i * step:.2f}</text>')
        parts.append(f'<text x="{_W / 2}" y="{_H - 12}" text-anchor="middle">{x_title}</text>')
        parts.append(
            f'<text x="14" y="{_H / 2}" transform="rotate(-90 14 {_H / 2})" text-anchor="middle">'
            f"{y_title}</text>"
        )
        return "".join(parts)


def _ticks(low: float, high: float) -> list[float]:
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    return [m * 10.0**p for p in powers for m in (1, 2, 5) if low <= m * 10.0**p <= high]


def _spread(places: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Move labels down until none lies on another."""
    placed: list[tuple[float, float]] = []
    moved = list(places)
    for index in sorted(range(len(places)), key=lambda i: places[i][1]):
        x, y = places[index]
        while any(abs(x - ox) < 80 and abs(y - oy) < 12 for ox, oy in placed):
            y += 3
        placed.append((x, y))
        moved[index] = (x, y)
    return moved


def _kind(name: str) -> int:
    from charter.catalogue import ENTRIES

    entry = ENTRIES[name]
    if entry.data == "sft":
        return 3
    if entry.data == "unpaired":
        return 2
    return 1 if entry.reference == "none" else 0


def _svg(inside: str) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_W} {_H}" role="img" aria-label="plot">'
        f"<style>{_STYLE}</style>"
        f'<rect width="{_W}" height="{_H}" fill="#fff"/>{inside}</svg>\n'
    )
