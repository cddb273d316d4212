"""Runs our supervised objectives on golden cases."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from golden_layout import layout
from torch import Tensor

from charter.objectives.base import NO_STATS, Scored
from charter.objectives.supervised import NLL

IGNORED = -100


def run_sft(inputs: Mapping[str, Tensor], options: Mapping[str, Any]) -> dict[str, Tensor]:
    labels = inputs["labels"].long()[:, 1:]
    kept = labels != IGNORED
    logps = inputs["logits"].log_softmax(-1)[:, :-1]
    logps_N = logps.gather(-1, labels.clamp_min(0)[..., None])[..., 0][kept]
    scored = Scored(layout(sample_N=kept.nonzero()[:, 0], samples=len(labels)), logps_N)
    (term,) = NLL()(scored, NO_STATS).values()
    per_token = torch.zeros_like(logps[..., 0]).masked_scatter(kept, -logps_N)
    return {"loss": term.total / term.count, "per_token_nll": per_token}


RUNNERS = {"sft": run_sft}
OFFERED: dict[str, Callable[[Mapping[str, Any]], bool]] = {
    "sft": lambda options: options["loss_aggregation"] == "token_mean",
}
