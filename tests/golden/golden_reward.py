"""Runs our reward objectives, ensembles and best-of-n arithmetic on golden cases."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from golden_layout import layout, pairs
from torch import Tensor

from charter.models.ensemble import combined, lower_confidence_bound, uncertainty_weighted
from charter.models.reward_scale import RewardScale, weighted_sum
from charter.objectives.base import Objective, Scored, Stats
from charter.objectives.reference_free import ChosenNLL
from charter.objectives.regression import AttributeRegression
from charter.objectives.reward import BradleyTerry, PlackettLuce
from charter.stats.best_of_n import (
    best_of_n,
    best_of_n_weights,
    gold_after_best_of_n,
    gold_after_training,
    kl_bound,
)

Inputs = Mapping[str, Tensor]
Options = Mapping[str, Any]


def mean(objective: Objective, scored: Scored) -> Tensor:
    """The loss of one step that holds ``scored`` alone."""
    prepare = getattr(objective, "prepare", None)
    whole = prepare(scored.detached()) if prepare else {}
    stats = Stats(whole, {name: slice(0, len(value)) for name, value in whole.items()})
    return sum((t.total / t.count for t in objective(scored, stats).values()), torch.zeros(()))


def rewarded(
    better: Tensor, worse: Tensor, probability_P: Tensor | None = None, margin_P: Tensor | None = None
) -> Scored:
    """Pairs whose rewards are given."""
    none = torch.zeros_like(better)
    scored = pairs(none, none, probability_P=probability_P, margin_P=margin_P)
    return replace(scored, reward_BZ=torch.cat([better, worse])[:, None])


def ranked(rewards_NK: Tensor) -> Scored:
    """Prompts with K answers each, best first."""
    count, size = rewards_NK.shape
    order = [(i, j) for i in range(size) for j in range(i + 1, size)]
    pairs_P2 = torch.tensor([(n * size + i, n * size + j) for n in range(count) for i, j in order])
    group_B = torch.arange(count).repeat_interleave(size)
    empty = torch.empty(0, dtype=torch.long)
    made = layout(empty, count * size, pairs_P2, group_B=group_B)
    return Scored(made, torch.empty(0, dtype=torch.float64), reward_BZ=rewards_NK.reshape(-1, 1))


def run_bradley_terry(inputs: Inputs, options: Options) -> dict[str, Tensor]:
    scored = rewarded(inputs["chosen_rewards"], inputs["rejected_rewards"])
    return {"loss": mean(BradleyTerry(**options), scored)}


def run_margin(inputs: Inputs, options: Options) -> dict[str, Tensor]:
    scored = rewarded(inputs["chosen_rewards"], inputs["rejected_rewards"], margin_P=inputs["margin"])
    return {"loss": mean(BradleyTerry(use_margin=True, **options), scored)}


def run_soft(inputs: Inputs, options: Options) -> dict[str, Tensor]:
    scored = rewarded(inputs["chosen_rewards"], inputs["rejected_rewards"], inputs["preference_probs"])
    return {"loss": mean(BradleyTerry(**options), scored)}


def run_fact_rlhf(inputs: Inputs, options: Options) -> dict[str, Tensor]:
    """The label is the probability that the first answer is the better one."""
    scored = rewarded(inputs["rewards_1"], inputs["rewards_0"], inputs["labels"])
    return {"loss": mean(BradleyTerry(False, options["center_coef"], "absolute_mean"), scored)}


def run_kwise(inputs: Inputs, options: Options) -> dict[str, Tensor]:
    return {"loss": mean(BradleyTerry(per_prompt=True), ranked(inputs["rewards"]))}


def run_plackett_luce(inputs: Inputs, options: Options) -> dict[str, Tensor]:
    return {"loss": mean(PlackettLuce(), ranked(inputs["rewards"]))}


def run_attribute_reward(inputs: Inputs, options: Options) -> dict[str, Tensor]:
    names = [f"attribute {z}" for z in range(len(inputs["weights"]))]
    mean_Z, std_Z = inputs["attribute_mean"].tolist(), inputs["attribute_std"].tolist()
    scale = RewardScale(tuple(names), tuple(mean_Z), tuple(std_Z), 1, "golden")
    weights = dict(zip(names, inputs["weights"].tolist(), strict=True))
    return {
        "raw": weighted_sum(inputs["attribute_rewards"], inputs["weights"]),
        "standardised": scale.scalar(inputs["attribute_rewards"], weights),
    }


def run_attribute_mse(inputs: Inputs, options: Options) -> dict[str, Tensor]:
    count, dimensions = inputs["targets"].shape
    rating_BZ = inputs["targets"].masked_fill(inputs["mask"] == 0, torch.nan)
    made = layout(torch.empty(0, dtype=torch.long), count)
    names = tuple(f"attribute {z}" for z in range(dimensions))
    scored = Scored(
        replace(made, value_BZ=rating_BZ, dimensions=names),
        torch.empty(0, dtype=torch.float64),
        reward_BZ=inputs["predictions"],
    )
    return {"loss": mean(AttributeRegression(), scored)}


def run_pmp(inputs: Inputs, options: Options) -> dict[str, Tensor]:
    """One token a good answer: the mean over tokens is the mean over answers."""
    scored = rewarded(inputs["chosen_rewards"], inputs["rejected_rewards"])
    scored = replace(scored, logps_N=scored.logps_N - inputs["lm_nll"])
    return {"loss": mean(BradleyTerry(), scored) + options["lm_coef"] * mean(ChosenNLL(), scored)}


def run_ensemble(inputs: Inputs, options: Options) -> dict[str, Tensor]:
    rewards_MB, coef = inputs["rewards"], options["uwo_coef"]
    return {
        "mean": combined(rewards_MB, "mean"),
        "wco": combined(rewards_MB, "worst"),
        "uwo_population": combined(rewards_MB, "uncertainty", coef),
        "uwo_bessel": uncertainty_weighted(rewards_MB, coef, unbiased=True),
        "lcb": lower_confidence_bound(rewards_MB, options["lcb_coef"]),
    }


def numbers(values: list[float] | float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def run_kl_bound(inputs: Inputs, options: Options) -> dict[str, Tensor]:
    return {"bound": numbers([kl_bound(int(n)) for n in inputs["n"].tolist()])}


def run_best_of_n(inputs: Inputs, options: Options) -> dict[str, Tensor]:
    scores = inputs["rewards"].tolist()
    return {
        "coefficients": numbers(best_of_n_weights(len(scores), options["n"])),
        "estimate": numbers(best_of_n(scores, options["n"])),
    }


def run_gao(inputs: Inputs, options: Options) -> dict[str, Tensor]:
    d = inputs["sqrt_kl"].tolist()
    return {
        "bon": numbers([gold_after_best_of_n(x, options["alpha"], options["beta_bon"]) for x in d]),
        "rl": numbers([gold_after_training(x, options["alpha"], options["beta_rl"]) for x in d]),
    }


RUNNERS = {
    "bradley_terry": run_bradley_terry,
    "bradley_terry_margin": run_margin,
    "bradley_terry_soft": run_soft,
    "fact_rlhf_rm": run_fact_rlhf,
    "kwise_ranking": run_kwise,
    "plackett_luce": run_plackett_luce,
    "multi_attribute_reward": run_attribute_reward,
    "multi_attribute_mse": run_attribute_mse,
    "preference_model_pretraining": run_pmp,
    "reward_ensemble": run_ensemble,
    "best_of_n_kl_bound": run_kl_bound,
    "best_of_n_estimator": run_best_of_n,
    "gao_overoptimization": run_gao,
}
