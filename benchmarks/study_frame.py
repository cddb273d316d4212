"""A plot's frame as plain SVG: area, grid, labels that do not lie on one another."""

from __future__ import annotations

import math
from collections.abc import Sequence

W, H, LEFT, BOTTOM, TOP, RIGHT = 900, 560, 60, 50, 20, 20
COLOURS = ("#2457a6", "#b3541e", "#2e7d4f", "#7b3fa0", "#8a7a1d")
_STYLE = (
    "text{font:12px system-ui,sans-serif;fill:#333;paint-order:stroke;stroke:#fff;stroke-width:3px}"
    ".grid{stroke:#ddd}.axis{stroke:#333}"
    ".bar{stroke-width:1;opacity:.45}.base{stroke:#888;stroke-dasharray:4 3}.title{font-weight:600}"
)


class Frame:
    """A plot's area, and where values are in it."""

    def __init__(self, xs: tuple[float, float], ys: tuple[float, float]) -> None:
        pad = 0.05 * (ys[1] - ys[0] or 1)
        self.xs, self.ys = xs, (ys[0] - pad, ys[1] + pad)

    def x(self, value: float) -> float:
        return LEFT + (value - self.xs[0]) / (self.xs[1] - self.xs[0]) * (W - LEFT - RIGHT)

    def y(self, value: float) -> float:
        return H - BOTTOM - (value - self.ys[0]) / (self.ys[1] - self.ys[0]) * (H - BOTTOM - TOP)

    def grid(self, *, log_x: bool, x_title: str, y_title: str) -> str:
        parts = []
        places = ticks(10 ** self.xs[0], 10 ** self.xs[1]) if log_x else even_ticks(*self.xs)
        for tick in places:
            x = self.x(math.log10(tick) if log_x else tick)
            parts.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{H - BOTTOM}"/>')
            parts.append(f'<text x="{x:.1f}" y="{H - BOTTOM + 16}" text-anchor="middle">{tick:g}</text>')
        for tick in even_ticks(*self.ys):
            y = self.y(tick)
            parts.append(f'<line class="grid" x1="{LEFT}" x2="{W - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
            parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{tick:.2f}</text>')
        parts.append(f'<text x="{W / 2}" y="{H - 12}" text-anchor="middle">{x_title}</text>')
        parts.append(
            f'<text x="14" y="{H / 2}" transform="rotate(-90 14 {H / 2})" text-anchor="middle">'
            f"{y_title}</text>"
        )
        return "".join(parts)


def ticks(low: float, high: float) -> list[float]:
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    return [m * 10.0**p for p in powers for m in (1, 2, 5) if low <= m * 10.0**p <= high]


def even_ticks(low: float, high: float) -> list[float]:
    """Round places from ``low`` to ``high``, about ten of them."""
    wide = high - low or 1.0
    unit = 10.0 ** math.floor(math.log10(wide / 10))
    step = next(m * unit for m in (1, 2, 5, 10) if wide / (m * unit) <= 12)
    return [i * step for i in range(math.ceil(low / step), math.floor(high / step) + 1)]


def spread(places: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
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


def svg(inside: str, height: int = H) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {W} {height}" role="img" aria-label="plot">'
        f"<style>{_STYLE}</style>"
        f'<rect width="{W}" height="{height}" fill="#fff"/>{inside}</svg>\n'
    )
