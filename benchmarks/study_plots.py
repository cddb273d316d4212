"""The two plots of the offline study, as plain SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import Any

from study_frame import COLOURS, LEFT, RIGHT, TOP, Frame, W, spread, svg

Row = dict[str, Any]


def scatter(settings: Sequence[Row], base_reward: float) -> str:
    """Reward with its interval against KL, one mark a method."""
    kls = [max(s["kl"], 0.02) for s in settings]
    frame = Frame(
        (math.log10(min(kls) / 1.3), math.log10(max(kls) * 1.6)),
        (min([base_reward, *(s["reward"][1] for s in settings)]), max(s["reward"][2] for s in settings)),
    )
    parts = [
        frame.grid(log_x=True, x_title="KL to the base model, nats per sequence (log)", y_title="reward")
    ]
    y = frame.y(base_reward)
    parts.append(f'<line class="base" x1="{LEFT}" x2="{W - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
    parts.append(f'<text x="{LEFT + 6}" y="{y - 5:.1f}">base model</text>')
    places = [(frame.x(math.log10(kl)), frame.y(s["reward"][0])) for kl, s in zip(kls, settings, strict=True)]
    labels = spread([(x + 7, y + 4) for x, y in places])
    for s, (x, y), (lx, ly) in zip(settings, places, labels, strict=True):
        colour = COLOURS[_kind(s["algorithm"])]
        low, high = frame.y(s["reward"][1]), frame.y(s["reward"][2])
        parts.append(
            f'<line class="bar" stroke="{colour}" x1="{x:.1f}" x2="{x:.1f}" y1="{low:.1f}" y2="{high:.1f}"/>'
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}"/>'
            f"{_leader(x, y, lx, ly, colour)}"
            f'<text x="{lx:.1f}" y="{ly:.1f}" style="fill:{colour}">{escape(s["algorithm"])}</text>'
        )
    return svg("".join(parts))


def _leader(x: float, y: float, lx: float, ly: float, colour: str) -> str:
    """A thin line from a mark to its name, where the name had to move away."""
    if math.hypot(lx - x - 7, ly - y - 4) < 10:
        return ""
    line = f"M{x:.1f} {y:.1f}L{lx - 2:.1f} {ly - 4:.1f}"
    return f'<path d="{line}" stroke="{colour}" stroke-width=".6" opacity=".6"/>'


def sweep(settings: Sequence[Row], names: Sequence[str]) -> str:
    """Reward against KL along each method's betas, joined by a line."""
    chosen = {
        name: sorted((s for s in settings if s["algorithm"] == name), key=lambda s: s["beta"])
        for name in names
    }
    rows = [s for line in chosen.values() for s in line]
    if not rows:
        return svg("")
    kls = [max(s["kl"], 0.02) for s in rows]
    frame = Frame(
        (math.log10(min(kls) / 1.3), math.log10(max(kls) * 1.4)),
        (min(s["reward"][1] for s in rows), max(s["reward"][2] for s in rows)),
    )
    parts = [
        frame.grid(log_x=True, x_title="KL to the base model, nats per sequence (log)", y_title="reward")
    ]
    for index, (name, line) in enumerate(chosen.items()):
        colour = COLOURS[index % len(COLOURS)]
        places = [(frame.x(math.log10(max(s["kl"], 0.02))), frame.y(s["reward"][0])) for s in line]
        path = "M" + " L".join(f"{x:.1f} {y:.1f}" for x, y in places)
        parts.append(f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
        for s, (x, y) in zip(line, places, strict=True):
            parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}"/>')
            parts.append(f'<text x="{x + 6:.1f}" y="{y - 6:.1f}" style="fill:{colour}">{s["beta"]:g}</text>')
        parts.append(
            f'<text class="title" x="{LEFT + 12}" y="{TOP + 18 * (index + 1)}" style="fill:{colour}">'
            f"{name}: beta</text>"
        )
    return svg("".join(parts))


def _kind(name: str) -> int:
    from charter.catalogue import ENTRIES

    entry = ENTRIES[name]
    if entry.data == "sft":
        return 3
    if entry.data == "unpaired":
        return 2
    return 1 if entry.reference == "none" else 0
