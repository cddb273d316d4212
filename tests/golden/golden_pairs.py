"""Runs our pair objectives on golden cases."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from golden_layout import pairs
from torch import Tensor

from charter.objectives.base import NO_STATS
from charter.objectives.preference import DPO


def run_dpo(inputs: Mapping[str, Tensor], options: Mapping[str, Any]) -> dict[str, Tensor]:
    better, worse = inputs["policy_chosen_logps"], inputs["policy_rejected_logps"]
    probability_P = torch.full_like(better, 1 - options.get("label_smoothing", 0.0))
    scored = pairs(
        better,
        worse,
        inputs["ref_chosen_logps"],
        inputs["ref_rejected_logps"],
        probability_P=probability_P,
    )
    (term,) = DPO(beta=options["beta"])(scored, NO_STATS).values()
    better_P, worse_P = scored.better(scored.logratios_B), scored.worse(scored.logratios_B)
    return {
        "loss": term.total / term.count,
        "chosen_logratios": better_P,
        "rejected_logratios": worse_P,
        "margins": better_P - worse_P,
    }


RUNNERS = {"dpo": run_dpo, "cdpo": run_dpo}
"""cDPO is DPO whose pairs all have the probability 1 - label_smoothing."""
