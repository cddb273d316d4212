"""Runs our losses without a reference on golden cases."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from golden_layout import layout, pairs
from torch import Tensor

from charter.objectives.base import NO_STATS, Objective, Scored
from charter.objectives.reference_free import CPO, ORPONLL, ChosenNLL, OddsRatio, SLiC, SLiCNLL

Inputs = Mapping[str, Tensor]
Options = Mapping[str, Any]


def mean(objective: Objective, scored: Scored) -> Tensor:
    (term,) = objective(scored, NO_STATS).values()
    return term.total / term.count


def scored_pairs(inputs: Inputs) -> Scored:
    """Sums spread over as many tokens as the case says; one where it does not say."""
    chosen, rejected = inputs["policy_chosen_logps"], inputs["policy_rejected_logps"]
    ones = torch.ones(len(chosen))
    return pairs(
        chosen,
        rejected,
        better_lengths=inputs.get("chosen_lengths", ones),
        worse_lengths=inputs.get("rejected_lengths", ones),
    )


def run_cpo(inputs: Inputs, options: Options) -> dict[str, Tensor]:
    scored = scored_pairs(inputs)
    nll = mean(ChosenNLL(), scored)
    return {"loss": mean(CPO(beta=options["beta"]), scored) + options["cpo_alpha"] * nll}


def run_simpo(inputs: Inputs, options: Options) -> dict[str, Tensor]:
    objective = CPO(beta=options["beta"], simpo_gamma=options["simpo_gamma"], loss_type="simpo")
    return {"loss": mean(objective, scored_pairs(inputs))}


def run_orpo(inputs: Inputs, options: Options) -> dict[str, Tensor]:
    scored = scored_pairs(inputs)
    return {"loss": mean(ORPONLL(), scored) + mean(OddsRatio(beta=options["beta"]), scored)}


def run_slic(inputs: Inputs, options: Options) -> dict[str, Tensor]:
    loss = mean(SLiC(delta=options["delta"]), scored_pairs(inputs))
    if "target_nll" in inputs:
        nll = inputs["target_nll"]
        count = len(nll)
        marked = layout(torch.arange(count), count, value_B=torch.ones(count, dtype=torch.float64))
        loss = loss + options["nll_coef"] * mean(SLiCNLL("target"), Scored(marked, -nll))
    return {"loss": loss}


RUNNERS = {"cpo": run_cpo, "simpo": run_simpo, "orpo": run_orpo, "slic": run_slic}
