"""Runs on the cases of ``own_cases.json`` the objectives that no outside case covers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from golden_layout import layout
from golden_pairs import mean, scored_pairs
from golden_reference_free import scored_pairs as pairs_alone
from torch import Tensor

from charter.objectives.base import Objective, Scored
from charter.objectives.listwise import EXO, NCA, InfoNCA
from charter.objectives.preference import DPO
from charter.objectives.psi_po import PsiPO
from charter.objectives.reference_free import CPO

Inputs = Mapping[str, Tensor]
Options = Mapping[str, Any]


def run_alphapo(inputs: Inputs, options: Options) -> dict[str, Tensor]:
    return {"loss": mean(CPO(loss_type="alphapo", **options), pairs_alone(inputs))}


def run_wpo(inputs: Inputs, options: Options) -> dict[str, Tensor]:
    """Samples 2i and 2i + 1 are pair i."""
    lengths = torch.tensor(options["lengths"])
    count = len(lengths)
    made = layout(
        torch.repeat_interleave(torch.arange(count), lengths),
        count,
        torch.arange(count).reshape(-1, 2),
        group_B=torch.arange(count) // 2,
    )
    scored = Scored(made, inputs["logps"], inputs["ref_logps"], squared_probs_N=inputs["squared_probs"])
    return {"loss": mean(DPO(options["beta"], use_weighting=True), scored)}


def run_psi_po(inputs: Inputs, options: Options) -> dict[str, Tensor]:
    return {"loss": mean(PsiPO(**options), scored_pairs(inputs))}


def rated(objective: Callable[..., Objective]) -> Callable[[Inputs, Options], dict[str, Tensor]]:
    """Answers of one token each, in the groups that the case names."""

    def runner(inputs: Inputs, options: Options) -> dict[str, Tensor]:
        own = {name: value for name, value in options.items() if name != "group"}
        group_B = torch.tensor(options["group"])
        made = layout(torch.arange(len(group_B)), len(group_B), value_B=inputs["ratings"], group_B=group_B)
        return {"loss": mean(objective(**own), Scored(made, inputs["policy_logps"], inputs["ref_logps"]))}

    return runner


RUNNERS = {
    "alphapo": run_alphapo,
    "wpo": run_wpo,
    "psi_po": run_psi_po,
    "infonca": rated(InfoNCA),
    "nca_k": rated(NCA),
    "exo_k": rated(EXO),
}
