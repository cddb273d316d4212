"""Generative reward models: the judgement is the probability of a word.

They are trained by the likelihood of parts of the data, :class:`charter.objectives.supervised.NLL`.

Shapes: Q questions, K critiques of a question.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class VerdictProbability:
    """How probable a verdict is.

    Attributes:
        full_Q: ``p(positive)``, as published (2408.15240, equation 4).
        among_Q: ``p(positive) / (p(positive) + p(negative))``: what is used, because the rest says nothing.
        leaked_Q: ``1 - p(positive) - p(negative)``: probability of saying neither.
    """

    full_Q: Tensor
    among_Q: Tensor
    leaked_Q: Tensor


def verdict_probability(positive_Q: Tensor, negative_Q: Tensor) -> VerdictProbability:
    """From the log-probs of both verdicts, ``(Q,)`` each, to probabilities."""
    full_Q, other_Q = positive_Q.exp(), negative_Q.exp()
    leaked_Q = (1 - full_Q - other_Q).clamp_min(0)
    return VerdictProbability(full_Q, torch.sigmoid(positive_Q - negative_Q), leaked_Q)


def vote(probability_QK: Tensor, *, majority: bool = False) -> Tensor:
    """One score from the verdicts after K sampled critiques, ``(Q,)``.

    The mean probability (2408.15240), or with ``majority`` the share of critiques
    that end with the positive verdict; one that is undecided counts half.
    """
    if not majority:
        return probability_QK.mean(-1)
    for_it_QK = (probability_QK > 0.5).to(probability_QK.dtype)
    return torch.where(probability_QK == 0.5, torch.full_like(for_it_QK, 0.5), for_it_QK).mean(-1)


def both_orders(first_is_a_Q: Tensor, first_is_b_Q: Tensor) -> Tensor:
    """Probability that the first answer is better, averaged over both orders, ``(Q,)`` (2410.12832).

    Args:
        first_is_a_Q: ``p(A)`` where the first answer was shown as A.
        first_is_b_Q: ``p(B)`` where it was shown as B.
    """
    return (first_is_a_Q + first_is_b_Q) / 2
