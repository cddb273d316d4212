"""The critic's loss: values of states against what the returns turned out to be.

Shapes: N scored tokens.
"""

from __future__ import annotations

import torch
from torch import Tensor

from charter.objectives.base import Layout, Need, Scored, Stats, Term
from charter.objectives.policy_metrics import PolicyMetrics
from charter.objectives.rollout_part import layout_of, scored_of


def squared_error(values_N: Tensor, returns_N: Tensor) -> Tensor:
    """``(v - R)^2 / 2``, ``(N,)``."""
    return (values_N - returns_N) ** 2 / 2


def clipped_values(values_N: Tensor, old_values_N: Tensor, cliprange_value: float) -> Tensor:
    """Values that have moved at most ``cliprange_value`` from the old ones, ``(N,)``."""
    return old_values_N + (values_N - old_values_N).clamp(-cliprange_value, cliprange_value)


class ValueLoss:
    """``max((v - R)^2, (v_clipped - R)^2) / 2``, mean over tokens.

    PPO's value clipping (from the code of Schulman et al. 2017, 1707.06347; Ziegler et al. 2019,
    1909.08593): the larger of the two errors, so that a value gains nothing from moving further than
    ``cliprange_value`` in one round, but may always come back.

    Args:
        cliprange_value: see above; None = no clip.
        part: part of the data that holds the rollouts.
    """

    name = "value"
    needs = frozenset({Need.VALUES})

    def __init__(self, cliprange_value: float | None = 0.2, part: str = "") -> None:
        self.cliprange_value, self.part = cliprange_value, part

    def counts(self, layout: Layout) -> dict[str, float]:
        """One unit per token."""
        return {self.name: float(len(layout_of(layout, self.part).sample_N))}

    def __call__(self, scored: Scored, stats: Stats) -> dict[str, Term]:
        """Sum over tokens, with values, returns and errors.

        One minus the square of ``value/error/std`` over ``returns/std`` is the explained variance.
        """
        scored = scored_of(scored, self.part)
        values_N, returns_N = scored.need("values_N"), scored.need("returns_N")
        loss_N = free_N = squared_error(values_N, returns_N)
        metrics = PolicyMetrics()
        if self.cliprange_value is not None:
            kept_N = clipped_values(values_N, scored.need("old_values_N"), self.cliprange_value)
            loss_N = torch.maximum(free_N, squared_error(kept_N, returns_N))
            metrics.mean("value/clip_ratio", loss_N.detach() > free_N.detach())
        metrics.mean("value/loss_unclipped", free_N)
        metrics.moment("value", values_N)
        metrics.moment("value/error", values_N - returns_N)
        metrics.moment("returns", returns_N)
        return {self.name: metrics.term(loss_N, float(len(loss_N)))}
