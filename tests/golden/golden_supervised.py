"""Runs our supervised and distillation objectives on golden cases."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from golden_layout import layout
from torch import Tensor

from charter.objectives.base import NO_STATS, Scored
from charter.objectives.distillation import Distillation, Divergence
from charter.objectives.supervised import NLL

IGNORED = -100


def run_sft(inputs: Mapping[str, Tensor], options: Mapping[str, Any]) -> dict[str, Tensor]:
    labels = inputs["labels"].long()[:, 1:]
    kept = labels != IGNORED
    logps = inputs["logits"].log_softmax(-1)[:, :-1]
    logps_N = logps.gather(-1, labels.clamp_min(0)[..., None])[..., 0][kept]
    scored = Scored(layout(sample_N=kept.nonzero()[:, 0], samples=len(labels)), logps_N)
    objective = NLL(
        options.get("loss_type", "nll"), loss_aggregation=options.get("loss_aggregation", "token_mean")
    )
    (term,) = objective(scored, NO_STATS).values()
    per_token = torch.zeros_like(logps[..., 0]).masked_scatter(kept, -logps_N)
    return {"loss": term.total / term.count, "per_token_nll": per_token}


def run_dft(inputs: Mapping[str, Tensor], options: Mapping[str, Any]) -> dict[str, Tensor]:
    return run_sft(inputs, {"loss_type": "dft"})


def run_context_distillation(inputs: Mapping[str, Tensor], options: Mapping[str, Any]) -> dict[str, Tensor]:
    kept = inputs["mask"].bool()
    beta, temperature = options["beta"], options["temperature"]
    how = {0.0: Divergence("forward_kl", temperature=temperature)}
    how[1.0] = Divergence("reverse_kl", temperature=temperature)
    chosen = how[beta] if beta in how else Divergence("jsd", beta, temperature)
    divergence_N = chosen(inputs["student_logits"][kept], inputs["teacher_logits"][kept])
    made = layout(sample_N=kept.nonzero()[:, 0], samples=len(kept))
    scored = Scored(made, torch.zeros_like(divergence_N), divergence_N=divergence_N)
    (term,) = Distillation()(scored, NO_STATS).values()
    return {"loss": term.total / term.count}


RUNNERS = {"sft": run_sft, "dft": run_dft, "context_distillation": run_context_distillation}
