"""Runs group-distributional GDPO and GPO on golden cases."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from golden_layout import layout, pairs
from torch import Tensor

from charter.catalogue.pluralistic import BELIEF, P_STAR
from charter.objectives.base import NO_STATS, Layout, Objective, Scored
from charter.objectives.belief import BeliefKL, BeliefNLL
from charter.objectives.gpo import gpo_nll
from charter.objectives.preference import DPO

Inputs = Mapping[str, Tensor]
Options = Mapping[str, Any]


def mean(objective: Objective, scored: Scored) -> Tensor:
    (term,) = objective(scored, NO_STATS).values()
    return term.total / term.count


def named(made: Layout, name: str) -> Layout:
    """``made`` whose one dimension is called ``name``."""
    return replace(made, dimensions=(name,))


def calibration(inputs: Inputs, options: Options) -> Tensor:
    """Each class of each prompt is a sample of one token."""
    target = inputs["target_probs"]
    prompts, classes = target.shape
    logps = inputs["belief_logits"].log_softmax(-1)[:, options["class_ids"]].flatten()
    group_B = torch.arange(prompts).repeat_interleave(classes)
    made = layout(torch.arange(len(logps)), len(logps), value_B=target.flatten(), group_B=group_B)
    return mean(BeliefKL(options["renormalize"]), Scored(named(made, P_STAR), logps))


def run_belief(inputs: Inputs, options: Options) -> dict[str, Tensor]:
    return {"loss": calibration(inputs, options)}


def run_total(inputs: Inputs, options: Options) -> dict[str, Tensor]:
    names = ("policy_chosen", "policy_rejected", "ref_chosen", "ref_rejected")
    dpo = mean(DPO(beta=options["beta"]), pairs(*(inputs[f"{who}_logps"] for who in names)))
    held = inputs["belief_logps"]
    made = layout(torch.arange(len(held)), len(held), value_B=torch.ones_like(held.detach()))
    nll = mean(BeliefNLL(), Scored(named(made, BELIEF), held))
    return {"loss": calibration(inputs, options) + dpo + nll}


def run_gpo(inputs: Inputs, options: Options) -> dict[str, Tensor]:
    sizes = torch.tensor(options["segments"])
    question = torch.arange(len(sizes)).repeat_interleave(sizes).expand_as(inputs["option_means"])
    shares, log_std = inputs["targets"], inputs["option_log_std"]
    nll = gpo_nll(
        inputs["option_means"], log_std, shares, question, torch.ones_like(question, dtype=torch.bool)
    )
    return {"loss": nll.mean()}


RUNNERS = {"gdpo_belief": run_belief, "gdpo_total": run_total, "gpo": run_gpo}
