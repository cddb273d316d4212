"""Runs choices among samples, mixtures of policies and moving copies on golden cases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from charter.data.selection.best import best_of_n
from charter.data.selection.in_context import icdpo_scores
from charter.data.selection.missing_eos import with_missing_eos_penalty
from charter.data.selection.pairs import best_worst, rs_dpo_pairs
from charter.data.selection.rest import rest_keep
from charter.data.selection.revision import compare_revision
from charter.data.selection.rso import rso_acceptance
from charter.engines.mixture import geometric
from charter.training.references import Moving

Inputs = Mapping[str, Any]
Options = Mapping[str, Any]
Outputs = dict[str, Any]


def numbers(values: Sequence[float]) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def run_rso(inputs: Inputs, options: Options) -> Outputs:
    return {"acceptance": numbers(rso_acceptance(inputs["rewards"].tolist(), options["beta"]))}


def run_rs_dpo(inputs: Inputs, options: Options) -> Outputs:
    found = rs_dpo_pairs(inputs["rewards"].tolist(), tau=options["tau"], eta=options["threshold"])
    return {"pairs": [list(pair) for pair in found.pairs]}


def run_rest(inputs: Inputs, options: Options) -> Outputs:
    return {"keep": rest_keep(inputs["rewards"].tolist(), options["thresholds"])}


def run_best_of_n(inputs: Inputs, options: Options) -> Outputs:
    return {"chosen": [best_of_n(row) for row in inputs["rewards"].tolist()]}


def run_online_dpo(inputs: Inputs, options: Options) -> Outputs:
    first, second = (
        with_missing_eos_penalty(
            inputs[f"rewards_{which}"].tolist(), inputs[f"eos_{which}"].bool().tolist(), **options
        )
        for which in ("first", "second")
    )
    both = list(zip(first, second, strict=True))
    chosen = [best_of_n(pair) for pair in both]
    for pair, index in zip(both, chosen, strict=True):  # what trains: the same choice, and ties are dropped
        assert [better for better, _ in best_worst(pair).pairs] == ([index] if pair[0] != pair[1] else [])
    return {"rewards_first": numbers(first), "rewards_second": numbers(second), "chosen": chosen}


def run_mixture(inputs: Inputs, options: Options) -> Outputs:
    mixed = geometric(inputs["policy_logits"], inputs["ref_logits"], options["mixture_coef"])
    return {"probs": torch.softmax(mixed, -1)}


class OneVector:
    """As much of a policy as a moving copy asks for."""

    def __init__(self, weights: Tensor) -> None:
        self.weights = nn.Parameter(weights)

    def trainable(self) -> dict[str, nn.Parameter]:
        return {"theta": self.weights}


def moved(start: Tensor, theta: Tensor, alpha: float, steps: int) -> Tensor:
    """The copy that starts as ``start``, after ``steps`` steps at which the policy is ``theta``."""
    policy: Any = OneVector(start)
    copy = Moving(policy, alpha, every=1)
    policy.weights.data = theta
    for step in range(1, steps + 1):
        copy.after_step(policy, step)
    return copy.weights["theta"]


def run_nash_ema(inputs: Inputs, options: Options) -> Outputs:
    return {"theta_bar": moved(inputs["theta_bar"], inputs["theta"], 1 - options["beta"], options["n_steps"])}


def run_tr_dpo(inputs: Inputs, options: Options) -> Outputs:
    return {"ref": moved(inputs["ref"], inputs["theta"], options["ref_model_mixup_alpha"], 1)}


def run_clair(inputs: Inputs, options: Options) -> Outputs:
    found = compare_revision(inputs["tokens_original"], inputs["tokens_revised"])
    return {
        "jaccard": numbers([found.jaccard])[0],
        "edit_distance": found.edit_distance,
        "length_delta": found.length_delta,
    }


def run_icdpo(inputs: Inputs, options: Options) -> Outputs:
    demos, plain, negative = (inputs[f"{name}_logps"].tolist() for name in ("demo", "plain", "negative_demo"))
    score, contrastive = icdpo_scores(demos, plain), icdpo_scores(demos, negative)
    return {
        "score": numbers(score),
        "contrastive_score": numbers(contrastive),
        "chosen": best_of_n(score),
        "contrastive_chosen": best_of_n(contrastive),
    }


RUNNERS = {
    "rso_acceptance": run_rso,
    "rs_dpo_pairs": run_rs_dpo,
    "rest_filter": run_rest,
    "best_of_n": run_best_of_n,
    "online_dpo_selection": run_online_dpo,
    "geometric_mixture": run_mixture,
    "nash_ema": run_nash_ema,
    "tr_dpo_sync": run_tr_dpo,
    "clair_metrics": run_clair,
    "icdpo_score": run_icdpo,
}
