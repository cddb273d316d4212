"""Runs our unpaired objectives and the moving reference on golden cases."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import torch
from golden_layout import layout
from torch import Tensor, nn

from charter.models.policy import Policy
from charter.objectives.base import Objective, Scored, Stats
from charter.objectives.unpaired import BCO, KTO, reference_point
from charter.training.references import Moving

Inputs = Mapping[str, Tensor]
Options = Mapping[str, Any]


def answers(logps_B: Tensor, ref_logps_B: Tensor, labels_B: Tensor | None = None) -> Scored:
    """Summed log-probs of labelled answers, one token each."""
    size = len(logps_B)
    return Scored(layout(torch.arange(size), size, value_B=labels_B), logps_B, ref_logps_B)


def stats_of(prepared: Mapping[str, Tensor]) -> Stats:
    return Stats(prepared, {name: slice(0, len(value)) for name, value in prepared.items()})


def mean(objective: Objective, scored: Scored, stats: Stats) -> Tensor:
    (term,) = objective(scored, stats).values()
    (count,) = objective.counts(scored.layout).values()
    assert term.count == count
    return term.total / count


def run_kto(inputs: Inputs, options: Options) -> dict[str, Tensor]:
    objective = KTO(**options)
    mismatched = answers(inputs["policy_kl_logps"], inputs["ref_kl_logps"])
    stats = stats_of(objective.prepare(mismatched.detached()))
    scored = answers(inputs["policy_logps"], inputs["ref_logps"], inputs["labels"])
    return {
        "loss": mean(objective, scored, stats),
        "z0": torch.tensor(reference_point(stats), dtype=torch.float64),
    }


def run_bco(inputs: Inputs, options: Options) -> dict[str, Tensor]:
    """The first step of a run, whose own means are the shift."""
    objective = BCO(**options)
    scored = answers(inputs["policy_logps"], inputs["ref_logps"], inputs["labels"])
    stats = stats_of(objective.prepare(scored.detached()))
    objective.update(stats)
    delta = torch.tensor(objective.delta, dtype=torch.float64)
    return {"loss": mean(objective, scored, stats), "delta": delta}


class Vector:
    """What a moving reference sees of a policy: named parameters."""

    def __init__(self, weights: Tensor) -> None:
        self.weights = nn.Parameter(weights.clone())

    def trainable(self) -> dict[str, nn.Parameter]:
        return {"weights": self.weights}


def run_sync(inputs: Inputs, options: Options) -> dict[str, Tensor]:
    policy = Vector(inputs["ref"])
    reference = Moving(cast(Policy, policy), options["ref_model_mixup_alpha"], every=1)
    policy.weights.data = inputs["theta"]
    reference.after_step(cast(Policy, policy), step=1)
    return {"ref": reference.weights["weights"]}


RUNNERS = {"kto": run_kto, "bco": run_bco, "tr_dpo_sync": run_sync}
