"""Runs our process and generative reward models on golden cases."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from golden_layout import layout, pairs
from torch import Tensor

from charter.objectives.base import NO_STATS, Scored
from charter.objectives.generative import (
    both_orders,
    verdict_probability,
    vote,
)
from charter.objectives.process import ProcessReward, math_shepherd_labels, solution_scores
from charter.objectives.reward import BradleyTerry
from charter.objectives.supervised import NLL

IGNORED = -100


def run_genrm_score(inputs: Mapping[str, Tensor], options: Mapping[str, Any]) -> dict[str, Tensor]:
    logps = inputs["logits"].log_softmax(-1)
    made = verdict_probability(logps[:, options["yes_id"]], logps[:, options["no_id"]])
    return {
        "p_yes_full": made.full_Q,
        "p_yes_renorm": made.among_Q,
        "vote_mean": vote(inputs["critique_scores"][None])[0],
    }


def run_genrm_loss(inputs: Mapping[str, Tensor], options: Mapping[str, Any]) -> dict[str, Tensor]:
    logps = [
        inputs[f"{part}_logits"].log_softmax(-1).gather(1, inputs[f"{part}_labels"].long()[:, None])[:, 0]
        for part in ("gen", "verify")
    ]
    part_B = torch.tensor([part for part, of in enumerate(logps) for _ in of])
    count = len(part_B)
    made = replace(layout(torch.arange(count), count), part_B=part_B, parts=("generate", "verify"))
    scored = Scored(made, torch.cat(logps))
    loss = torch.zeros((), dtype=torch.float64)
    for part, weight in (("verify", 1.0), ("generate", options["lambda_sft"])):
        (term,) = NLL(part=part, weighted=True)(scored, NO_STATS).values()
        loss = loss + weight * term.total / term.count
    return {"loss": loss}


def run_genrm_pairwise(inputs: Mapping[str, Tensor], options: Mapping[str, Any]) -> dict[str, Tensor]:
    first, second = (inputs[f"logits_order{n}"].log_softmax(-1) for n in (1, 2))
    first_is_a = verdict_probability(first[:, 0], first[:, 1]).among_Q
    first_is_b = verdict_probability(second[:, 1], second[:, 0]).among_Q
    return {
        "p_order1": first_is_a,
        "p_order2_swapped": first_is_b,
        "average": both_orders(first_is_a, first_is_b),
    }


def run_cloud(inputs: Mapping[str, Tensor], options: Mapping[str, Any]) -> dict[str, Tensor]:
    chosen, rejected = inputs["chosen_rewards"], inputs["rejected_rewards"]
    # One critique token a pair: the mean over tokens is the mean over critiques.
    made = pairs(torch.zeros_like(chosen), torch.zeros_like(chosen)).layout
    made = replace(made, sample_N=torch.arange(len(chosen)))
    scored = Scored(made, -inputs["critique_nll"], reward_BZ=torch.cat([chosen, rejected])[:, None])
    (reward,) = BradleyTerry()(scored, NO_STATS).values()
    (critique,) = NLL(weighted=True)(scored, NO_STATS).values()
    return {"loss": reward.total / reward.count + options["lambda_lm"] * critique.total / critique.count}


def run_process_reward(inputs: Mapping[str, Tensor], options: Mapping[str, Any]) -> dict[str, Tensor]:
    labels = inputs["labels"]
    kept = labels != IGNORED
    sample_S = kept.nonzero()[:, 0]
    made = replace(
        layout(torch.empty(0, dtype=torch.long), len(labels)),
        step_sample_S=sample_S,
        step_value_S=labels[kept],
        step_weight_S=torch.ones(int(kept.sum()), dtype=torch.float64),
    )
    logit_S = inputs["logits"][kept]
    scored = Scored(made, torch.empty(0, dtype=torch.float64), step_reward_SZ=logit_S[:, None])
    (term,) = ProcessReward()(scored, NO_STATS).values()
    scores = {
        f"score_{how}": solution_scores(logit_S, sample_S, len(labels), how)
        for how in ("product", "min", "last")
    }
    return {"loss": term.total / term.count, **scores}


def run_math_shepherd(inputs: Mapping[str, Tensor], options: Mapping[str, Any]) -> dict[str, Tensor]:
    soft_S, hard_S = math_shepherd_labels(inputs["rollouts"])
    return {"soft": soft_S, "hard": hard_S}


RUNNERS = {
    "genrm_score": run_genrm_score,
    "genrm_loss": run_genrm_loss,
    "genrm_pairwise": run_genrm_pairwise,
    "cloud": run_cloud,
    "process_reward_model": run_process_reward,
    "math_shepherd_labels": run_math_shepherd,
}
