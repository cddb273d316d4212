"""LD-DPO: the tokens by which one answer is longer than the other count less.

Shapes: P pairs, N scored tokens, M tokens of the answers of all pairs (a token once for each pair).
"""

from __future__ import annotations

import torch
from torch import Tensor

from charter.objectives.layout import Layout


def desensitised_sums(
    logps_N: Tensor, layout: Layout, samples_P: Tensor, shared_P: Tensor, ld_alpha: float
) -> Tensor:
    """Log-probs of one side of each pair, ``(P,)``: ``sum over t <= l + ld_alpha * sum over t > l``.

    ``l`` is the length of the pair's shorter answer, in scored tokens. Liu et al. 2024 (2409.06411);
    the reference is summed in the same way.

    Args:
        logps_N: of the policy, or of the reference.
        layout: whose tokens they are, ascending by sample.
        samples_P: the sample of each pair on this side.
        shared_P: ``l`` of each pair.
        ld_alpha: 1 = plain sums, 0 = the shared length alone.
    """
    count_B = torch.bincount(layout.sample_N, minlength=layout.num_samples)
    first_B = count_B.cumsum(0) - count_B
    count_P = count_B[samples_P]
    pair_M = torch.repeat_interleave(torch.arange(len(samples_P), device=samples_P.device), count_P)
    start_P = count_P.cumsum(0) - count_P
    position_M = torch.arange(len(pair_M), device=pair_M.device) - start_P[pair_M]
    weight_M = torch.where(position_M < shared_P[pair_M], 1.0, ld_alpha).to(logps_N.dtype)
    logps_M = logps_N[first_B[samples_P][pair_M] + position_M]
    zeros_P = torch.zeros(len(samples_P), dtype=logps_N.dtype, device=logps_N.device)
    return zeros_P.index_add(0, pair_M, weight_M * logps_M)
