"""Advantages of whole samples: against their group, against the others of it, whitened.

A missing reward is NaN: it counts in no statistic, and its sample has no advantage (0).

Shapes: B samples, K rewards, G groups, U units of any kind.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

Scale = Literal["group", "batch", "none"]

WHITEN_EPS = 1e-8


def group_advantages(
    rewards_B: Tensor,
    group_B: Tensor,
    *,
    scale_rewards: Scale = "group",
    eps: float = 1e-4,
    unbiased: bool = True,
) -> Tensor:
    """``(r - mean of the group) / (std + eps)``, ``(B,)`` (GRPO, 2402.03300, section 4.1.2).

    Exactly 0 in groups whose rewards are all equal or of which there is one: rounding of the mean must
    not be divided by ``eps``.

    Args:
        rewards_B: NaN = missing.
        group_B: which group each sample belongs to, in any order.
        scale_rewards: divide by the deviation of the group, of all rewards, or not at all (Dr. GRPO).
        eps: added to the deviation.
        unbiased: Bessel's correction.
    """
    known_B = ~rewards_B.isnan()
    mean_B, count_B = _group_mean(rewards_B, group_B, known_B)
    centred_B = torch.where(known_B, rewards_B - mean_B, 0.0)
    varied_B = _varied(rewards_B, group_B, known_B)
    centred_B = torch.where(varied_B, centred_B, 0.0)
    if scale_rewards == "none":
        return centred_B
    if scale_rewards == "batch":
        known = rewards_B[known_B]
        return centred_B / (known.std(correction=int(unbiased)) + eps) if len(known) > 1 else centred_B
    squares_B = _sum_by_group(centred_B.square(), group_B)[group_B]
    std_B = (squares_B / (count_B - int(unbiased)).clamp_min(1)).sqrt()
    return torch.where(varied_B, centred_B / (std_B + eps), 0.0)


def leave_one_out(rewards_B: Tensor, group_B: Tensor) -> Tensor:
    """``r_i - mean of the others' r`` in each group, ``(B,)``; 0 alone (RLOO, 2402.14740, equation 8)."""
    known_B = ~rewards_B.isnan()
    mean_B, count_B = _group_mean(rewards_B, group_B, known_B)
    factor_B = count_B / (count_B - 1).clamp_min(1)
    usable_B = _varied(rewards_B, group_B, known_B)
    return torch.where(usable_B, (rewards_B - mean_B) * factor_B, 0.0)


def decoupled(rewards_BK: Tensor, weights_K: Tensor, group_B: Tensor, eps: float = 1e-4) -> Tensor:
    """Each reward normalised within the group, weighted, summed, whitened over the batch, ``(B,)``.

    NVIDIA's GDPO (2601.05242): rewards of different spread keep their say. A reward that is missing adds
    nothing to its sample; samples with none at all do not count in the whitening and get 0.
    """
    parts = [
        weight * group_advantages(rewards_BK[:, k], group_B, eps=eps) for k, weight in enumerate(weights_K)
    ]
    known_B = ~rewards_BK.isnan().all(-1)
    total_B = torch.stack(parts).sum(0)
    return whiten(total_B, known_B)


def whiten(
    x_U: Tensor, used_U: Tensor | None = None, *, shift_mean: bool = True, unbiased: bool = True
) -> Tensor:
    """``(x - mean) / sqrt(var + 1e-8)`` with the statistics of the used entries; 0 at the others.

    With ``shift_mean`` off the mean is put back (reward whitening). Fewer than two entries stay as they are.

    Args:
        x_U: numbers of units of any kind, in a tensor of any shape.
        used_U: bool, of the same shape; None = all.
        shift_mean, unbiased: see above; Bessel's correction.
    """
    used_U = torch.ones_like(x_U, dtype=torch.bool) if used_U is None else used_U
    chosen = x_U[used_U]
    if len(chosen) < 2:
        return torch.where(used_U, x_U, 0.0)
    mean, var = chosen.mean(), chosen.var(correction=int(unbiased))
    white_U = (x_U - mean) * torch.rsqrt(var + WHITEN_EPS)
    return torch.where(used_U, white_U if shift_mean else white_U + mean, 0.0)


def _group_mean(rewards_B: Tensor, group_B: Tensor, known_B: Tensor) -> tuple[Tensor, Tensor]:
    """Mean of the known rewards of each sample's group, and how many there are."""
    sums_G = _sum_by_group(torch.where(known_B, rewards_B, 0.0), group_B)
    count_G = _sum_by_group(known_B.to(rewards_B.dtype), group_B)
    return (sums_G / count_G.clamp_min(1))[group_B], count_G[group_B]


def _varied(rewards_B: Tensor, group_B: Tensor, known_B: Tensor) -> Tensor:
    """Samples with a reward in a group in which not all rewards are equal."""
    groups = _groups(group_B)
    low_G = rewards_B.new_full((groups,), torch.inf).scatter_reduce(
        0, group_B[known_B], rewards_B[known_B], "amin"
    )
    high_G = rewards_B.new_full((groups,), -torch.inf).scatter_reduce(
        0, group_B[known_B], rewards_B[known_B], "amax"
    )
    return known_B & (low_G < high_G)[group_B]


def _sum_by_group(x_B: Tensor, group_B: Tensor) -> Tensor:
    return x_B.new_zeros(_groups(group_B)).index_add(0, group_B, x_B)


def _groups(group_B: Tensor) -> int:
    return int(group_B.max()) + 1 if len(group_B) else 0
