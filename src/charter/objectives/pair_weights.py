"""WPO: pairs count as much as the policy would have written them.

Shapes: P pairs, B samples, N scored tokens.
"""

from __future__ import annotations

import torch
from torch import Tensor

from charter.objectives.base import Scored


def sequence_weights(scored: Scored) -> Tensor:
    """How on-policy each answer is, ``(B,)``, without gradient.

    ``exp(mean over tokens of (log p(token) - log sum over the vocabulary of p ** 2))``: 1 on average
    for what the policy samples, whatever its entropy. Zhou et al. 2024 (2406.11827), equation 2,
    with the paper's "sampled alignment", as in TRL.
    """
    with torch.no_grad():
        aligned_N = scored.logps_N - scored.need("squared_probs_N").log()
        return torch.exp(scored.sum_B(aligned_N) / scored.lengths_B)


def on_policy_weights(scored: Scored) -> Tensor:
    """The product of both answers' weights, ``(P,)``; see :func:`sequence_weights`."""
    weight_B = sequence_weights(scored)
    return scored.better(weight_B) * scored.worse(weight_B)
