"""Runs our KL estimates, advantages and importance weights on golden cases."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from charter.feedback.rewards.builtin import overlong
from charter.objectives.advantages import group_advantages, leave_one_out, whiten
from charter.objectives.importance import importance_weights
from charter.objectives.kl import AdaptiveKL, kl_estimate
from charter.objectives.returns import gae, last_tokens, rewards_to_go, token_rewards

Inputs = Mapping[str, Tensor]
Options = Mapping[str, Any]
Outputs = dict[str, Tensor]


# -- flat and back -------------------------------------------------------------


def owners(mask: Tensor) -> Tensor:
    return torch.repeat_interleave(torch.arange(len(mask)), mask.bool().sum(1))


def padded(x_N: Tensor, mask: Tensor) -> Tensor:
    out = torch.zeros(mask.shape, dtype=torch.float64)
    out[mask.bool()] = x_N
    return out


def by_sample(x_N: Tensor, mask: Tensor) -> Tensor:
    return torch.zeros(len(mask), dtype=torch.float64).index_add(0, owners(mask), x_N)


def gap(inputs: Inputs) -> Tensor:
    """k1 when the rollouts were scored, of the unmasked tokens."""
    mask = inputs["mask"].bool()
    return kl_estimate(inputs["old_logps"][mask], inputs["ref_logps"][mask], "k1")


def rewards_of_tokens(inputs: Inputs, options: Options) -> Tensor:
    sample_N = owners(inputs["mask"])
    return token_rewards(gap(inputs), inputs["scores"], sample_N, beta=options["kl_coef"])


# -- KL --------------------------------------------------------------------------


def kl_estimators(inputs: Inputs, options: Options) -> Outputs:
    mask = inputs["mask"]
    used = mask.bool()
    found = {k: kl_estimate(inputs["logps"][used], inputs["ref_logps"][used], k) for k in ("k1", "k2", "k3")}
    return {
        **{k: padded(x_N, mask) for k, x_N in found.items()},
        "k1_sequence_sum": by_sample(found["k1"], mask),
        "k3_sequence_sum": by_sample(found["k3"], mask),
        "k3_token_mean": found["k3"].mean(),
    }


def kl_loss(inputs: Inputs, options: Options) -> Outputs:
    used = inputs["mask"].bool()
    return {
        "loss": kl_estimate(inputs["logps"][used], inputs["ref_logps"][used], options["kl_estimator"]).mean()
    }


def kl_expected_gradient(inputs: Inputs, options: Options) -> Outputs:
    """Exact: every answer with its probability."""
    logits, ref_logps = inputs["logits"].requires_grad_(), inputs["ref_probs"].log()
    logps = logits.log_softmax(0)

    def gradient(loss: Tensor) -> Tensor:
        return torch.autograd.grad(loss, logits, retain_graph=True)[0]

    likely = logps.exp().detach()
    found = {k: gradient((likely * kl_estimate(logps, ref_logps, k)).sum()) for k in ("k1", "k2", "k3")}
    return {"reverse_kl": gradient((logps.exp() * (logps - ref_logps)).sum()), **found}


def kl_controller_adaptive(inputs: Inputs, options: Options) -> Outputs:
    found = []
    for kl in inputs["kl"].tolist():
        controller = AdaptiveKL(options["init_kl_coef"], options["target"], options["horizon"])
        controller.update(kl, options["n_steps"])
        found.append(controller.coef)
    return {"kl_coef": torch.tensor(found, dtype=torch.float64)}


# -- advantages --------------------------------------------------------------------


def ppo_rewards_gae(inputs: Inputs, options: Options) -> Outputs:
    mask = inputs["mask"]
    rewards_N = rewards_of_tokens(inputs, options)
    advantage_N, return_N = gae(
        rewards_N, inputs["values"][mask.bool()], owners(mask), gamma=options["gamma"], lam=options["lam"]
    )
    found = {
        "rewards": rewards_N,
        "advantages": advantage_N,
        "returns": return_N,
        "whitened_bessel": whiten(advantage_N),
        "whitened_population": whiten(advantage_N, unbiased=False),
    }
    return {name: padded(x_N, mask) for name, x_N in found.items()}


def run_whiten(inputs: Inputs, options: Options) -> Outputs:
    """Flat, and on the padded tensor with its mask."""
    mask = inputs["mask"]
    whole = whiten(inputs["rewards"], mask.bool(), **options)
    flat = padded(whiten(inputs["rewards"][mask.bool()], **options), mask)
    torch.testing.assert_close(whole, flat)
    return {"whitened": flat}


def rloo_advantage(inputs: Inputs, options: Options) -> Outputs:
    return {"advantages": leave_one_out(inputs["rewards"], inputs["group_ids"].long())}


def grpo_advantage(inputs: Inputs, options: Options) -> Outputs:
    return {"advantages": group_advantages(inputs["rewards"], inputs["group_ids"].long(), **options)}


def rloo_kl_advantage(inputs: Inputs, options: Options) -> Outputs:
    shaped_B = inputs["scores"] - options["beta"] * by_sample(gap(inputs), inputs["mask"])
    return {
        "shaped_rewards": shaped_B,
        "advantages": leave_one_out(shaped_B, inputs["group_ids"].long()),
    }


def reinforce_plus_plus(inputs: Inputs, options: Options) -> Outputs:
    mask = inputs["mask"]
    return_N = rewards_to_go(rewards_of_tokens(inputs, options), owners(mask), options["gamma"])
    assert last_tokens(owners(mask)).sum() == len(mask)
    found = {
        "returns": return_N,
        "advantages_bessel": whiten(return_N),
        "advantages_population": whiten(return_N, unbiased=False),
    }
    return {name: padded(x_N, mask) for name, x_N in found.items()}


def reinforce_plus_plus_baseline(inputs: Inputs, options: Options) -> Outputs:
    mask = inputs["mask"]
    centred_B = group_advantages(inputs["rewards"], inputs["group_ids"].long(), scale_rewards="none")
    return {"advantages": padded(whiten(centred_B[owners(mask)]), mask)}


def importance_sampling_weights(inputs: Inputs, options: Options) -> Outputs:
    """Weights of a sample are the same at all its tokens."""
    mask = inputs["mask"]
    used, mode = mask.bool(), options["vllm_importance_sampling_mode"]
    weight_N = importance_weights(
        inputs["old_logps"][used],
        inputs["sampler_logps"][used],
        owners(mask),
        mode,
        options["vllm_importance_sampling_clip_max"],
        options["vllm_importance_sampling_clip_min"],
    )
    if mode.startswith("token"):
        return {"weights": padded(weight_N, mask)}
    weight_B = weight_N[last_tokens(owners(mask))]
    torch.testing.assert_close(weight_N, weight_B[owners(mask)])
    return {"weights": weight_B}


def soft_overlong_punishment(inputs: Inputs, options: Options) -> Outputs:
    most, buffer = options["max_completion_length"], options["overlong_buffer"]
    found = [overlong(length, most, buffer) for length in inputs["lengths"].tolist()]
    return {"rewards": torch.tensor(found, dtype=torch.float64)}


RUNNERS = {
    "kl_estimators": kl_estimators,
    "kl_loss": kl_loss,
    "kl_expected_gradient": kl_expected_gradient,
    "kl_controller_adaptive": kl_controller_adaptive,
    "ppo_rewards_gae": ppo_rewards_gae,
    "whiten": run_whiten,
    "rloo_advantage": rloo_advantage,
    "grpo_advantage": grpo_advantage,
    "rloo_kl_advantage": rloo_kl_advantage,
    "reinforce_plus_plus_advantage": reinforce_plus_plus,
    "reinforce_plus_plus_baseline_advantage": reinforce_plus_plus_baseline,
    "importance_sampling_weights": importance_sampling_weights,
    "soft_overlong_punishment": soft_overlong_punishment,
}
