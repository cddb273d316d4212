"""A batch for an objective, from a golden case's tensors."""

from __future__ import annotations

import torch
from torch import Tensor

from charter.objectives.base import Layout, Scored


def layout(
    sample_N: Tensor,
    samples: int,
    pairs_P2: Tensor | None = None,
    probability_P: Tensor | None = None,
    *,
    value_B: Tensor | None = None,
    group_B: Tensor | None = None,
    margin_P: Tensor | None = None,
    weight_P: Tensor | None = None,
) -> Layout:
    """A layout in float64; what is not given is neutral."""
    pairs_P2 = torch.empty(0, 2, dtype=torch.long) if pairs_P2 is None else pairs_P2
    ones_P = torch.ones(len(pairs_P2), dtype=torch.float64)
    missing_B = torch.full((samples,), torch.nan, dtype=torch.float64)
    return Layout(
        sample_N=sample_N,
        num_samples=samples,
        group_B=torch.arange(samples) if group_B is None else group_B,
        part_B=torch.zeros(samples, dtype=torch.long),
        value_BZ=(missing_B if value_B is None else value_B)[:, None],
        weight_B=torch.ones(samples, dtype=torch.float64),
        pairs_P2=pairs_P2,
        probability_P=ones_P if probability_P is None else probability_P,
        margin_P=torch.zeros_like(ones_P) if margin_P is None else margin_P,
        weight_P=ones_P if weight_P is None else weight_P,
        dimension_P=torch.zeros(len(pairs_P2), dtype=torch.long),
    )


def pairs(
    better: Tensor,
    worse: Tensor,
    ref_better: Tensor | None = None,
    ref_worse: Tensor | None = None,
    *,
    better_lengths: Tensor | None = None,
    worse_lengths: Tensor | None = None,
    probability_P: Tensor | None = None,
    margin_P: Tensor | None = None,
) -> Scored:
    """Pairs of summed log-probs ``(P,)``: samples 0..P-1 are the better ones, P..2P-1 the worse.

    Where lengths are given, each sum is spread evenly over so many tokens.
    """
    count = len(better)
    lengths = torch.ones(2 * count, dtype=torch.long)
    if better_lengths is not None and worse_lengths is not None:
        lengths = torch.cat([better_lengths, worse_lengths]).long()
    sample_N = torch.repeat_interleave(torch.arange(2 * count), lengths)

    def spread(first: Tensor, second: Tensor) -> Tensor:
        return (torch.cat([first, second]) / lengths)[sample_N]

    index = torch.arange(count)
    pairs_P2 = torch.stack([index, index + count], dim=1)
    group_B = torch.cat([index, index])
    made = layout(sample_N, 2 * count, pairs_P2, probability_P, group_B=group_B, margin_P=margin_P)
    ref = None if ref_better is None or ref_worse is None else spread(ref_better, ref_worse)
    return Scored(made, spread(better, worse), ref)
