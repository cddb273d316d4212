"""The rollouts of a batch that may also hold other data, such as the pretraining text of PPO-ptx.

Shapes: N scored tokens, B samples.
"""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import torch
from torch import Tensor

from charter.objectives.base import Layout, Scored


def layout_of(layout: Layout, part: str) -> Layout:
    """``layout`` with the scored tokens of ``part`` only; all samples keep their numbers."""
    if layout.parts == ("",) and part == "":
        return layout
    return replace(layout, sample_N=layout.sample_N[_inside_N(layout, part)])


def scored_of(scored: Scored, part: str) -> Scored:
    """``scored`` with the tokens of ``part`` only: what other data holds there is never computed with."""
    layout = scored.layout
    if layout.parts == ("",) and part == "":
        return scored
    inside_N = _inside_N(layout, part)
    held = {f.name: getattr(scored, f.name) for f in fields(scored) if f.name.endswith("_N")}
    kept: dict[str, Any] = {k: v[inside_N] for k, v in held.items() if isinstance(v, Tensor)}
    return replace(scored, layout=layout_of(layout, part), **kept)


def trained_samples(layout: Layout) -> float:
    """How many samples have a scored token."""
    return float(len(torch.unique(layout.sample_N)))


def _inside_N(layout: Layout, part: str) -> Tensor:
    return layout.in_part_B(part)[layout.sample_N]
