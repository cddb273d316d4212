"""Advantages of every token of a round: group-relative, leave-one-out, REINFORCE, with a critic.

Shapes: N scored tokens, B samples, K rewards.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from charter.objectives import advantages as maths
from charter.objectives import returns
from charter.objectives.baselines import ema_advantages, greedy_advantages
from charter.training.experience import Experience, credited
from charter.training.round import Credited, Memory


def group_relative(experience: Experience, options: Any, memory: Memory) -> Credited:
    """GRPO and its kin: reward less the group's mean, over its deviation where asked for."""
    if getattr(options, "multi_objective_aggregation", "sum_then_normalize") == "normalize_then_sum":
        return _whole(experience, options, decoupled(experience))
    advantage_B = maths.group_advantages(
        experience.reward_B, experience.group_B, scale_rewards=options.scale_rewards
    )
    return _whole(experience, options, advantage_B)


def decoupled(experience: Experience) -> Tensor:
    """Each reward normalised in its group by itself, then summed (NVIDIA's GDPO, 2601.05242), ``(B,)``."""
    # A sample that a reward failed is not trained on, and counts in no other reward's statistics.
    reward_BK = experience.reward_BK.masked_fill(~experience.rewarded()[:, None], torch.nan)
    weight_K = experience.weight_K
    if weight_K is None:
        weight_K = torch.ones(reward_BK.shape[1], dtype=reward_BK.dtype)
    return maths.decoupled(reward_BK, weight_K, experience.group_B)


def leave_one_out(experience: Experience, options: Any, memory: Memory) -> Credited:
    """RLOO: reward, less the KL to the reference, less the mean of the group's others."""
    reward_B = _with_kl(experience, options.beta)
    advantage_B = maths.leave_one_out(reward_B, experience.group_B)
    if options.normalize_advantages:
        advantage_B = maths.whiten(advantage_B, experience.rewarded())
    return _whole(experience, options, advantage_B)


def baseline(experience: Experience, options: Any, memory: Memory) -> Credited:
    """REINFORCE: reward, less the KL, less a baseline that does not know the sample."""
    reward_B = _with_kl(experience, options.beta)
    if options.baseline == "ema":
        before = memory.get("baseline")
        advantage_B, memory["baseline"] = ema_advantages(reward_B, before, options.baseline_decay)
        metrics = {} if before is None else {"baseline": float(before)}
        return _whole(experience, options, advantage_B, metrics=metrics)
    return _whole(experience, options, maths.leave_one_out(reward_B, experience.group_B))


def against_greedy(experience: Experience, options: Any, memory: Memory) -> Credited:
    """ReMax (2310.10505): reward less that of the greedy sample, the last of each group."""
    reward_B = _with_kl(experience, options.beta)
    greedy_B = returns.last_tokens(experience.group_B)
    advantage_B = greedy_advantages(reward_B, experience.group_B, greedy_B)
    return _whole(experience, options, advantage_B, ~greedy_B)


def to_go(experience: Experience, options: Any, memory: Memory) -> Credited:
    """REINFORCE++ (2501.03262): rewards to go with the KL in them, whitened over all tokens."""
    keep_B = _keep(experience, options)
    reward_N = _token_rewards(experience, options.beta)
    advantage_N = returns.rewards_to_go(reward_N, experience.sample_N)
    return _tokens(experience, keep_B, advantage_N)


def group_baseline(experience: Experience, options: Any, memory: Memory) -> Credited:
    """REINFORCE++-baseline: reward less the group's mean, whitened over all tokens; KL in the loss."""
    keep_B = _keep(experience, options)
    centred_B = maths.group_advantages(experience.reward_B, experience.group_B, scale_rewards="none")
    return _tokens(experience, keep_B, centred_B[experience.sample_N])


def with_critic(experience: Experience, options: Any, memory: Memory) -> Credited:
    """PPO: KL in the rewards of the tokens, generalised advantage estimation, whitening.

    With ``whiten_scores`` the rewards come first to mean 0 and deviation 1 (Llama 2, 2307.09288, 3.2.4).
    """
    if options.whiten_scores:
        white_B = maths.whiten(experience.reward_B.nan_to_num(), experience.rewarded())
        white_B = white_B.masked_fill(~experience.rewarded(), torch.nan)
        experience = replace(experience, reward_B=white_B)
    beta = _controlled(experience, options, memory)
    keep_B = _keep(experience, options)
    reward_N = _token_rewards(experience, beta)
    values_N = experience.need("values").double()
    advantage_N, return_N = returns.gae(
        reward_N, values_N, experience.sample_N, gamma=options.gamma, lam=options.lam
    )
    if options.value_target == "terminal":
        return_N = returns.terminal_targets(_with_kl(experience, beta), experience.sample_N)
    if options.whiten_advantages:
        used = keep_B[experience.sample_N]
        advantage_N = maths.whiten(advantage_N, used)
    return Credited(credited(experience, keep_B, advantage_N, return_N), {"kl_coef": float(beta)})


def _controlled(experience: Experience, options: Any, memory: Memory) -> float:
    """The KL coefficient of this round; the adaptive one is moved for the next (Ziegler, 1909.08593)."""
    from charter.objectives.kl import AdaptiveKL

    if options.target is None or experience.ref_logps_N is None:
        return float(options.kl_coef)
    controller = AdaptiveKL(options.kl_coef, options.target, options.horizon)
    if "kl" in memory:
        controller.load_state(memory["kl"])
    beta = controller.coef
    gap_N = (experience.need("old_logps") - experience.need("ref_logps")).double()
    controller.update(float(gap_N.sum()) / len(experience.samples), len(experience.samples))
    memory["kl"] = controller.state()
    return float(beta)


def rewarded(experience: Experience, options: Any, memory: Memory) -> Credited:
    """The rewards as they are: the objective compares samples itself (P3O)."""
    return Credited(credited(experience, _keep(experience, options)))


# -- shared ---------------------------------------------------------------------------


def _keep(experience: Experience, options: Any) -> Tensor:
    """Samples to train on: with a reward, and not cut off where those are masked."""
    return experience.rewarded() & ~(experience.truncated_B & bool(options.mask_truncated_completions))


def _whole(
    experience: Experience,
    options: Any,
    advantage_B: Tensor,
    trained_B: Tensor | None = None,
    metrics: dict[str, float] | None = None,
) -> Credited:
    """One advantage for all tokens of a sample."""
    keep_B = _keep(experience, options) & ~advantage_B.isnan()
    if trained_B is not None:
        keep_B &= trained_B
    groups = credited(experience, keep_B, advantage_B.nan_to_num()[experience.sample_N])
    return Credited(groups, metrics or {})


def _tokens(experience: Experience, keep_B: Tensor, advantage_N: Tensor) -> Credited:
    """Advantages whitened over the tokens that are trained on."""
    used_N = keep_B[experience.sample_N]
    return Credited(credited(experience, keep_B, maths.whiten(advantage_N.nan_to_num(), used_N)))


def _token_rewards(experience: Experience, beta: float) -> Tensor:
    """KL to the reference at every token, the sample's reward at its last, ``(N,)`` float64."""
    reward_B = experience.reward_B.nan_to_num()
    if not beta:
        zero_N = torch.zeros(len(experience.sample_N), dtype=torch.float64)
        return returns.token_rewards(zero_N, reward_B, experience.sample_N, beta=0.0)
    gap_N = (experience.need("old_logps") - experience.need("ref_logps")).double()
    return returns.token_rewards(gap_N, reward_B, experience.sample_N, beta=beta)


def _with_kl(experience: Experience, beta: float) -> Tensor:
    """The reward of each sample less ``beta`` times its summed log-ratio to the reference."""
    if not beta:
        return experience.reward_B
    gap_N = (experience.need("old_logps") - experience.need("ref_logps")).double()
    sums_B = torch.zeros(len(experience.samples), dtype=torch.float64)
    return experience.reward_B - beta * sums_B.index_add(0, experience.sample_N, gap_N)
