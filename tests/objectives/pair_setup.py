"""What tests of pair losses share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from charter.catalogue import preference, preference_anchored, preference_extended, preference_variants
from charter.objectives.base import NO_STATS, Scored, Stats

ENTRIES = {
    entry.name: entry
    for module in (preference, preference_variants, preference_extended, preference_anchored)
    for entry in module.ENTRIES
}

SMOOTHING: Mapping[str, float] = {
    "cdpo": 0.1,
    "robust": 0.1,
    "exo_pair": 1e-3,
    "aot": 0.2,
    "aot_unpaired": 0.2,
}
"""A label_smoothing for each loss that takes one."""


def prepared(objective: Any, scored: Scored) -> Stats:
    """Statistics of an optimizer step that holds ``scored`` alone."""
    if not hasattr(objective, "prepare"):
        return NO_STATS
    whole = objective.prepare(scored.detached())
    return Stats(whole, {name: slice(0, len(value)) for name, value in whole.items()})


def step_loss(objective: Any, scored: Scored) -> Tensor:
    """Loss of such a step: each term divided by its count."""
    terms = objective(scored, prepared(objective, scored)).values()
    return sum((term.total / term.count for term in terms), torch.zeros(()))
