"""What comparisons say about rewards: Bradley-Terry for pairs, Plackett-Luce for rankings.

Shapes: P pairs, K samples of one ranking, U subsets of tied samples.
"""

from __future__ import annotations

from itertools import combinations

import torch
import torch.nn.functional as F
from torch import Tensor

MOST_TIED = 10
"""Samples that may share a rank: the loss sums over every subset of them."""


def bradley_terry(
    better_P: Tensor, worse_P: Tensor, probability_P: Tensor, margin_P: Tensor | None = None
) -> Tensor:
    """``-p log sigmoid(r_w - r_l - m) - (1 - p) log sigmoid(r_l - r_w - m)``, ``(P,)``.

    Without margin and with ``p = 1`` it is the reward loss of Ouyang et al. 2022 (2203.02155,
    equation 1); a margin is that of Llama 2 (Touvron et al. 2023, 2307.09288, equation 2), inside
    the sigmoid. It is by how much the better answer should win whichever that is, so a pair
    swapped together with its probability is the same pair. ``p = 0.5`` is a tie.

    Args:
        better_P, worse_P: rewards.
        probability_P: that the better one is better.
        margin_P: None = 0.
    """
    gap_P = better_P - worse_P
    margin_P = torch.zeros_like(gap_P) if margin_P is None else margin_P
    loss_P = -F.logsigmoid(gap_P - margin_P)
    flipped_P = -F.logsigmoid(-gap_P - margin_P)
    return probability_P * loss_P + (1 - probability_P) * flipped_P


def plackett_luce(reward_K: Tensor, rank_K: Tensor) -> Tensor:
    """Negative log-likelihood of one ranking, a scalar: a sum over positions, not a mean.

    ``-sum_k [r_k - logsumexp(r_k, ..., r_K)]`` over rewards sorted from best to worst (Luce 1959,
    Plackett 1975). The last position says nothing and adds 0; two samples give Bradley-Terry.
    Samples with the same rank: the exact mean over every order they could have, of which each set
    ``A`` of ``t`` tied samples is what is left with probability ``1 / C(t, |A|)``.

    Args:
        reward_K: rewards.
        rank_K: lower is better.
    """
    left_UK, chance_U = _remaining(rank_K)
    lowest_UK = torch.where(left_UK, reward_K, torch.full_like(reward_K, -torch.inf))
    return (chance_U.to(reward_K.dtype) * lowest_UK.logsumexp(-1)).sum() - reward_K.sum()


def _remaining(rank_K: Tensor) -> tuple[Tensor, Tensor]:
    """Sets that can be left to choose from, ``(U, K)`` bool, and how probable each is, ``(U,)``."""
    sets, chances = [], []
    for rank in sorted(set(rank_K.tolist())):
        tied = (rank_K == rank).nonzero()[:, 0].tolist()
        if len(tied) > MOST_TIED:
            raise ValueError(f"{len(tied)} samples share a rank, at most {MOST_TIED} may")
        for size in range(1, len(tied) + 1):
            subsets = list(combinations(tied, size))
            for subset in subsets:
                left_K = rank_K > rank
                left_K[list(subset)] = True
                sets.append(left_K)
                chances.append(1 / len(subsets))
    return torch.stack(sets), torch.tensor(chances, dtype=torch.float64, device=rank_K.device)
