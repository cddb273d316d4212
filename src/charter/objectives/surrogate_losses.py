"""Policy-gradient losses of tokens and of whole answers: pure functions, one idea each.

Shapes: N scored tokens, B samples, U units of any kind (tokens, samples, pairs). ``sample_N`` says
whose token it is. Losses are minimised. Old log-probs, reference log-probs and advantages carry no
gradient.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

RatioLevel = Literal["token", "sequence", "sequence_token"]

LOG_RATIO_MAX = 20.0
"""Log-ratios are held within plus and minus this before they are exponentiated, as in verl and OpenRLHF:
beyond it float32 overflows soon, and an infinite ratio turns a clipped gradient of 0 into NaN."""


def bounded_exp(log_ratio_U: Tensor) -> Tensor:
    """``exp``, with the exponent held within :data:`LOG_RATIO_MAX`."""
    return log_ratio_U.clamp(-LOG_RATIO_MAX, LOG_RATIO_MAX).exp()


def sums_of(x_N: Tensor, sample_N: Tensor, num_samples: int) -> Tensor:
    """Sum over each sample's tokens, ``(B,)``."""
    return torch.zeros(num_samples, dtype=x_N.dtype, device=x_N.device).index_add(0, sample_N, x_N)


def mean_of_own_sample(x_N: Tensor, sample_N: Tensor, num_samples: int) -> Tensor:
    """For each token the mean over its sample's tokens, ``(N,)``."""
    lengths_B = torch.bincount(sample_N, minlength=num_samples).clamp_min(1)
    return (sums_of(x_N, sample_N, num_samples) / lengths_B)[sample_N]


def importance_ratio(
    logps_N: Tensor, old_logps_N: Tensor, sample_N: Tensor, num_samples: int, level: RatioLevel = "token"
) -> Tensor:
    """How much likelier the policy finds each token than the policy the rollouts were scored under, ``(N,)``.

    - ``token``: ``exp(new - old)`` (PPO, Schulman et al. 2017, 1707.06347).
    - ``sequence``: ``s = exp(mean over the answer's tokens of new - old)``, the same for all its tokens
      (GSPO, Zheng et al. 2025, 2507.18071, equation 7).
    - ``sequence_token``: the value of ``s`` with the gradient of the token's own ratio (GSPO-token, ibid.,
      equation 14): for advantages that are constant over an answer the same as ``sequence``.
    """
    log_ratio_N = logps_N - old_logps_N
    if level == "token":
        return bounded_exp(log_ratio_N)
    sequence_N = bounded_exp(mean_of_own_sample(log_ratio_N, sample_N, num_samples))
    if level == "sequence":
        return sequence_N
    return sequence_N.detach() * (logps_N - logps_N.detach()).exp()


def clipped_surrogate(
    ratio_U: Tensor,
    advantage_U: Tensor,
    epsilon: float,
    epsilon_high: float,
    delta: float | None = None,
    dual_clip: float | None = None,
) -> Tensor:
    """``-min(ratio A, clip(ratio, 1 - epsilon, 1 + epsilon_high) A)``, ``(U,)``.

    Schulman et al. 2017 (1707.06347), equation 7; ``epsilon_high`` apart is DAPO's clip-higher
    (2503.14476, equation 10).

    Args:
        ratio_U: carries gradient.
        advantage_U: without gradient.
        epsilon, epsilon_high: how far below and above 1 the ratio still earns something.
        delta: the ratio that is not clipped is at most this, so that a negative advantage cannot ask for
            an unbounded step (two-sided clipping, INTELLECT-2, 2505.07291); meant to be above
            1 + epsilon_high.
        dual_clip: for a negative advantage the loss is at most ``-dual_clip * A`` (Ye et al. 2019,
            1912.09729, equation 5); above 1.
    """
    free_U = ratio_U if delta is None else ratio_U.clamp(max=delta)
    kept_U = ratio_U.clamp(1 - epsilon, 1 + epsilon_high)
    loss_U = -torch.minimum(free_U * advantage_U, kept_U * advantage_U)
    if dual_clip is None:
        return loss_U
    return torch.where(advantage_U < 0, torch.minimum(loss_U, -dual_clip * advantage_U), loss_U)


def clipped_low(ratio_U: Tensor, advantage_U: Tensor, epsilon: float) -> Tensor:
    """Where the clip at the lower bound took the gradient away, bool."""
    return (ratio_U < 1 - epsilon) & (advantage_U < 0)


def clipped_high(ratio_U: Tensor, advantage_U: Tensor, epsilon_high: float) -> Tensor:
    """Where the clip at the upper bound took the gradient away, bool."""
    return (ratio_U > 1 + epsilon_high) & (advantage_U > 0)


def cispo(logps_N: Tensor, ratio_N: Tensor, advantage_N: Tensor, epsilon_high: float) -> Tensor:
    """``-sg(min(ratio, epsilon_high)) A log pi``, ``(N,)``: the weight is clipped, the gradient always flows.

    MiniMax-M1 (2506.13585), equation 4. ``epsilon_high`` is the largest weight itself, as in TRL, not
    a distance from 1. The value is not comparable between steps: it holds the log-probs.
    """
    return -ratio_N.detach().clamp(max=epsilon_high) * advantage_N * logps_N


def old_new_kl(log_ratio_N: Tensor) -> Tensor:
    """``ratio - 1 - log ratio``, ``(N,)``: unbiased for ``KL(old || new)`` on old tokens; at least 0."""
    return bounded_exp(log_ratio_N) - 1 - log_ratio_N


def reinforce(logps_U: Tensor, advantage_U: Tensor) -> Tensor:
    """``-A log pi`` (Williams 1992), of tokens or of whole answers."""
    return -advantage_U * logps_U
