"""Runs our policy-gradient objectives and the critic's loss on golden cases."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from golden_layout import layout
from golden_pairs import mean
from torch import Tensor

from charter.models import head
from charter.objectives.base import NO_STATS, Objective, Scored
from charter.objectives.entropy_bonus import EntropyBonus
from charter.objectives.nash import NashMD
from charter.objectives.p3o import P3O, pairwise
from charter.objectives.policy_gradient import RLOO, ClippedSurrogate, Reinforce
from charter.objectives.ppo_penalty import PPOPenalty, adapted
from charter.objectives.supervised import NLL
from charter.objectives.surrogate_losses import importance_ratio
from charter.objectives.value import ValueLoss
from charter.training.tally import Tally

Inputs = Mapping[str, Tensor]
Options = Mapping[str, Any]
Outputs = dict[str, Tensor]

PER_TOKEN = {
    "old_logps_N": "old_logps",
    "ref_logps_N": "ref_logps",
    "sampler_logps_N": "sampler_logps",
    "values_N": "values",
    "old_values_N": "old_values",
    "returns_N": "returns",
}


def rollouts(inputs: Inputs, advantages: Tensor | None = None, value_B: Tensor | None = None) -> Scored:
    """The unmasked tokens of the case."""
    mask = inputs["mask"].bool()
    count = len(mask)
    sample_N = torch.repeat_interleave(torch.arange(count), mask.sum(1))
    found = {ours: inputs[theirs][mask] for ours, theirs in PER_TOKEN.items() if theirs in inputs}
    advantages = inputs.get("advantages") if advantages is None else advantages
    if advantages is not None:
        wide = advantages[:, None].expand_as(mask) if advantages.dim() == 1 else advantages
        found["advantage_N"] = wide[mask]
    logps_N = inputs["logps"][mask] if "logps" in inputs else torch.zeros(len(sample_N)).double()
    made = replace(layout(sample_N, count, value_B=value_B), version_B=torch.zeros(count).long())
    return Scored(made, logps_N, **found)


def reported(objective: Objective, scored: Scored) -> dict[str, Tensor]:
    """What a step of ``scored`` alone reports."""
    tally = Tally()
    for term in objective(scored, NO_STATS).values():
        tally.add(term)
    return {name: torch.tensor(value).double() for name, value in tally.metrics().items()}


def clipped(inputs: Inputs, options: Options) -> Outputs:
    """GRPO and its kin, by the names of our constructor."""
    known = {
        "vllm_importance_sampling_mode": "importance_sampling_mode",
        "vllm_importance_sampling_clip_min": "importance_sampling_clip_min",
        "vllm_importance_sampling_clip_max": "importance_sampling_clip_max",
    }
    named = {known.get(name, name): value for name, value in options.items()}
    if "importance_sampling_mode" in named:
        named["importance_sampling_correction"] = True
    return {"loss": mean(ClippedSurrogate(**named), rollouts(inputs))}


def ppo(inputs: Inputs, options: Options) -> Outputs:
    scored = rollouts(inputs)
    objective = ClippedSurrogate("dapo", options["cliprange"], dual_clip=options.get("dual_clip"))
    mask = inputs["mask"].bool()
    ratio = torch.zeros_like(inputs["logps"])
    old_N = scored.need("old_logps_N")
    ratio[mask] = importance_ratio(scored.logps_N, old_N, scored.layout.sample_N, len(mask))
    gap_N = (scored.logps_N - old_N).detach()
    said = reported(objective, scored)
    return {
        "loss": mean(objective, scored),
        "ratio": ratio,
        "clip_fraction": said["clip_ratio/region_mean"],
        "approx_kl_k1": -gap_N.mean(),
        "approx_kl_k3": said["approx_kl"],
        "approx_kl_half_sq": (gap_N**2).mean() / 2,
    }


def entropy(inputs: Inputs, options: Options) -> Outputs:
    return {"loss": -mean(EntropyBonus(), entropies(inputs["logits"], inputs["mask"]))}


def entropies(logits: Tensor, mask: Tensor) -> Scored:
    """Entropies as the models give them, whose head is held against float64."""
    logits_NV = logits[mask.bool()]
    logps_NV = logits_NV.log_softmax(-1)
    entropy_N = -(logps_NV.exp() * logps_NV).sum(-1)
    found_N = head.entropy_with_gradient(logits_NV.detach().float(), torch.eye(logits_NV.shape[-1]))
    torch.testing.assert_close(found_N, entropy_N.detach().float(), rtol=1e-5, atol=1e-6)
    sample_N = torch.repeat_interleave(torch.arange(len(mask)), mask.bool().sum(1))
    return Scored(layout(sample_N, len(mask)), torch.zeros_like(entropy_N), entropy_N=entropy_N)


def value_clip(inputs: Inputs, options: Options) -> Outputs:
    objective, scored = ValueLoss(**options), rollouts(inputs)
    said = reported(objective, scored)
    unclipped = mean(ValueLoss(cliprange_value=None), scored)
    torch.testing.assert_close(said["value/loss_unclipped"], unclipped.detach())
    return {"loss": mean(objective, scored), "loss_unclipped": unclipped}


def ppo_total(inputs: Inputs, options: Options) -> Outputs:
    bonus = mean(EntropyBonus(), entropies(inputs["logits"], inputs["entropy_mask"]))
    value = mean(ValueLoss(options["cliprange_value"]), rollouts(inputs))
    loss = ppo(inputs, options)["loss"] + options["vf_coef"] * value + options["entropy_coef"] * bonus
    return {"loss": loss}


def ppo_ptx(inputs: Inputs, options: Options) -> Outputs:
    """The pretraining text is one token."""
    text = Scored(layout(torch.zeros(1).long(), 1), -inputs["pretrain_nll"][None])
    return {"loss": ppo(inputs, options)["loss"] + options["ptx_coef"] * mean(NLL(), text)}


def ppo_penalty(inputs: Inputs, options: Options) -> Outputs:
    return {"loss": mean(PPOPenalty(options["beta"], kl_target=None), rollouts(inputs))}


def run_reinforce(inputs: Inputs, options: Options) -> Outputs:
    scored = rollouts(inputs, inputs["rewards"] - options["baseline"])
    return {"loss": mean(Reinforce(options["aggregation"]), scored)}


def rloo(inputs: Inputs, options: Options) -> Outputs:
    scored = rollouts(inputs)
    if "old_logps" not in inputs:
        return {"loss": mean(Reinforce("sequence_sum"), scored)}
    return {"loss": mean(RLOO(**options), scored), "sequence_ratio": RLOO.ratio_B(scored)}


def gspo_ratio(inputs: Inputs, options: Options) -> Outputs:
    scored = rollouts(inputs)
    own = scored.logps_N, scored.need("old_logps_N"), scored.layout.sample_N
    ratio_N = importance_ratio(*own, scored.layout.num_samples, "sequence")
    return {"sequence_ratio": torch.stack([ratio_N[own[2] == b][0] for b in range(len(inputs["mask"]))])}


def p3o(clip: str) -> Any:
    """Pairs of one-token answers, each pair a group of its own."""

    def runner(inputs: Inputs, options: Options) -> Outputs:
        def both(name: str) -> Tensor:
            return torch.stack([inputs[f"{name}_1"], inputs[f"{name}_2"]], 1).flatten()

        logps_N = both("logps")
        index = torch.arange(len(logps_N))
        made = layout(index, len(index), value_B=both("rewards"), group_B=index // 2)
        old_N = both("old_logps") if "old_logps_1" in inputs else logps_N.detach()
        return {"loss": mean(P3O(clip, **options), Scored(made, logps_N, old_logps_N=old_N))}

    return runner


def p3o_expected_gradient(inputs: Inputs, options: Options) -> Outputs:
    """Exact expectations over all pairs and all answers, as directions of ascent."""
    logits, reward = inputs["logits"].requires_grad_(), inputs["advantages"]
    logps = logits.log_softmax(0)
    first, second = torch.cartesian_prod(torch.arange(len(reward)), torch.arange(len(reward))).unbind(1)
    likely = (logps[first] + logps[second]).exp().detach()
    loss = (likely * pairwise(logps[first], logps[second], reward[first] - reward[second])).sum()
    true = (logps.exp() * reward).sum()
    return {
        "pairwise_gradient": -torch.autograd.grad(loss, logits, retain_graph=True)[0],
        "policy_gradient": torch.autograd.grad(true, logits)[0],
    }


def nash_md(inputs: Inputs, options: Options) -> Outputs:
    return {"loss": mean(NashMD(**options), rollouts(inputs, value_B=inputs["preference_probs"]))}


def ppo_penalty_controller(inputs: Inputs, options: Options) -> Outputs:
    found = [adapted(options["beta"], kl, options["target"]) for kl in inputs["kl"].tolist()]
    return {"beta": torch.tensor(found, dtype=torch.float64)}


RUNNERS = {
    "kl_controller_ppo_penalty": ppo_penalty_controller,
    "ppo_clip": ppo,
    "ppo_dual_clip": ppo,
    "entropy": entropy,
    "value_clip": value_clip,
    "ppo_total": ppo_total,
    "ppo_ptx": ppo_ptx,
    "ppo_penalty": ppo_penalty,
    "reinforce": run_reinforce,
    "rloo": rloo,
    "grpo": clipped,
    "grpo_two_sided": clipped,
    "dapo": clipped,
    "bnpo": clipped,
    "dr_grpo": clipped,
    "gspo": clipped,
    "gspo_token": clipped,
    "gspo_ratio": gspo_ratio,
    "cispo": clipped,
    "dapo_tis": clipped,
    "p3o_pg": p3o("none"),
    "p3o_separate_clip": p3o("separate"),
    "p3o_joint_clip": p3o("joint"),
    "p3o_expected_gradient": p3o_expected_gradient,
    "nash_md": nash_md,
}
