"""How much likelier the trainer finds sampled tokens than the sampler did: truncated importance weights.

Sampler and trainer compute the same weights with other kernels, other types, or a step apart. Rollouts are
then slightly off-policy, and the gradient is biased unless tokens are weighted (Yao et al. 2025; IcePop).

Shapes: N scored tokens, B samples.
"""

from __future__ import annotations

import math
from typing import Literal, get_args

import torch
from torch import Tensor

Mode = Literal["token_truncate", "token_mask", "sequence_truncate", "sequence_mask"]

_LOG_BOUND = 20.0
"""Log-ratios are bounded before the exponential; every clip is far below."""


@torch.no_grad()
def importance_weights(
    old_logps_N: Tensor,
    sampler_logps_N: Tensor,
    sample_N: Tensor,
    mode: Mode = "token_truncate",
    clip_max: float | None = 2.0,
    clip_min: float | None = None,
) -> Tensor:
    """Weight of each token's loss, ``(N,)``, without gradient.

    The ratio is ``exp(old - sampler)`` of the token, or of the whole sample: of the sum over its tokens.
    ``truncate`` bounds it by the clips; ``mask`` makes it 0 outside them, and leaves it as it is inside.

    Args:
        old_logps_N: the trainer's, when the rollouts were scored.
        sampler_logps_N: recorded by the sampler; NaN (unknown) counts as equal.
        sample_N: which sample each token belongs to.
        mode: see above; TRL's ``vllm_importance_sampling_mode``.
        clip_max, clip_min: None = no bound.

    Raises:
        ValueError: an unknown mode.
    """
    if mode not in get_args(Mode):
        raise ValueError(f"unknown importance_sampling_mode {mode!r}")
    gap_N = torch.where(sampler_logps_N.isnan(), 0.0, old_logps_N - sampler_logps_N)
    if mode.startswith("sequence"):
        samples = int(sample_N.max()) + 1 if len(sample_N) else 0
        gap_N = gap_N.new_zeros(samples).index_add(0, sample_N, gap_N)[sample_N]
    ratio_N = gap_N.clamp(-_LOG_BOUND, _LOG_BOUND).exp()
    low = 0.0 if clip_min is None else clip_min
    high = math.inf if clip_max is None else clip_max
    if mode.endswith("truncate"):
        return ratio_N.clamp(low, high)
    return torch.where((ratio_N >= low) & (ratio_N <= high), ratio_N, torch.zeros_like(ratio_N))
