"""Rewards and returns of tokens: KL along the way, the score at the end, what a critic should say.

Samples stand one after the other in flat tensors, tokens that are not trained are not there: returns
and advantages pass over them without discount. What is missing (NaN) in one sample reaches no other.

Shapes: N scored tokens, B samples.
"""

from __future__ import annotations

import torch
from torch import Tensor


def token_rewards(gap_N: Tensor, reward_B: Tensor, sample_N: Tensor, *, beta: float) -> Tensor:
    """``-beta * gap`` at every token, and the sample's reward at its last, ``(N,)``.

    ``gap`` is ``log pi - log ref`` (k1), without gradient (Ziegler et al. 2019, 1909.08593).
    """
    rewards_N = -beta * gap_N
    last_N = last_tokens(sample_N)
    return rewards_N + torch.where(last_N, reward_B[sample_N], 0.0)


def last_tokens(sample_N: Tensor) -> Tensor:
    """Which tokens are the last of their sample, ``(N,)`` bool; ``sample_N`` ascending."""
    last_N = torch.ones(len(sample_N), dtype=torch.bool, device=sample_N.device)
    last_N[:-1] = sample_N[1:] != sample_N[:-1]
    return last_N


def discounted(x_N: Tensor, sample_N: Tensor, decay: float) -> Tensor:
    """``y_t = x_t + decay * y_(t + 1)`` within each sample, ``(N,)``.

    One vectorised pass for each position from the end, whatever the number of samples.
    """
    out_N = x_N.clone()
    if not len(x_N):
        return out_N
    count_B = torch.bincount(sample_N)
    start_B = count_B.cumsum(0) - count_B
    longest = int(count_B.max())
    for back in range(2, longest + 1):
        at = (start_B + count_B - back)[count_B >= back]
        out_N[at] += decay * out_N[at + 1]
    return out_N


def rewards_to_go(rewards_N: Tensor, sample_N: Tensor, gamma: float = 1.0) -> Tensor:
    """The sum of each token's own and all later rewards of its sample, ``(N,)`` (REINFORCE++, 2501.03262)."""
    return discounted(rewards_N, sample_N, gamma)


def gae(
    rewards_N: Tensor, values_N: Tensor, sample_N: Tensor, *, gamma: float = 1.0, lam: float = 0.95
) -> tuple[Tensor, Tensor]:
    """Generalised advantage estimation: advantages and returns, ``(N,)`` each (1506.02438, equation 16).

    ``delta_t = r_t + gamma V_(t + 1) - V_t``, ``A_t = delta_t + gamma lam A_(t + 1)``, ``R = A + V``. The
    value after the last token is 0: the episode has ended. Returns are taken before any whitening.
    """
    next_N = torch.zeros_like(values_N)
    next_N[:-1] = values_N[1:]
    next_N = torch.where(last_tokens(sample_N), 0.0, next_N)
    delta_N = rewards_N + gamma * next_N - values_N
    advantages_N = discounted(delta_N, sample_N, gamma * lam)
    return advantages_N, advantages_N + values_N


def terminal_targets(reward_B: Tensor, sample_N: Tensor) -> Tensor:
    """The reward of the whole sample at each of its tokens: what a critic regresses on without GAE."""
    return reward_B[sample_N]
