"""Rewards as ratings: a head for each attribute, regressed to what people gave.

Shapes: B samples, Z dimensions.
"""

from __future__ import annotations

import torch
from torch import Tensor

from charter.objectives.base import Layout, Need, Scored, Stats, Term


def squared_errors(reward_BZ: Tensor, rating_BZ: Tensor) -> Tensor:
    """``(r - y)^2`` where there is a rating, 0 without gradient where there is none (NaN), ``(B, Z)``.

    The attribute regression of SteerLM (Dong et al. 2023, 2310.05344) and ArmoRM (2406.12845).
    """
    known_BZ = ~rating_BZ.isnan()
    # Chosen before the subtraction: a product of NaN and 0 would be NaN.
    target_BZ = torch.where(known_BZ, rating_BZ.to(reward_BZ.dtype), torch.zeros_like(reward_BZ))
    held_BZ = torch.where(known_BZ, reward_BZ, torch.zeros_like(reward_BZ))
    return (held_BZ - target_BZ).square()


class AttributeRegression:
    """Mean squared error (:func:`squared_errors`) over the ratings there are, dimensions together.

    A dimension rated twice as often counts twice as much; a missing rating counts nothing.
    """

    needs = frozenset({Need.REWARD, Need.DIMENSIONS})

    def counts(self, layout: Layout) -> dict[str, float]:
        """One unit for each rating, weighted as its sample."""
        return {"regression": float(_weight_BZ(layout).sum())}

    def __call__(self, scored: Scored, stats: Stats) -> dict[str, Term]:
        """Sum of squared errors; the mean of each dimension is a metric."""
        layout, reward_BZ = scored.layout, scored.need("reward_BZ")
        weight_BZ = _weight_BZ(layout)
        error_BZ = squared_errors(reward_BZ, layout.value_BZ) * weight_BZ
        with torch.no_grad():
            ratios = {
                f"mse/{name or 'reward'}": (error_BZ[:, z].sum(), weight_BZ[:, z].sum())
                for z, name in enumerate(layout.dimensions)
            }
        return {"regression": Term(error_BZ.sum(), float(weight_BZ.sum()), ratios=ratios)}


def _weight_BZ(layout: Layout) -> Tensor:
    known_BZ = ~layout.value_BZ.isnan()
    return known_BZ.to(layout.weight_B.dtype) * layout.weight_B[:, None]
