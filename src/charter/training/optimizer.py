"""AdamW, its schedule, and gradient clipping."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from charter.catalogue.options import TrainOptions


def make_optimizer(
    parameters: Mapping[str, nn.Parameter],
    options: TrainOptions,
    critic: Mapping[str, nn.Parameter] | None = None,
    critic_scale: float = 1.0,
) -> torch.optim.AdamW:
    """Fused AdamW; weight decay on matrices only (norms and biases are left alone).

    Args:
        parameters: of the policy.
        options: of the run.
        critic: the critic's parameters.
        critic_scale: its learning rate, as a multiple of the policy's.
    """
    parts = _parts(parameters, options, 1.0) + _parts(critic or {}, options, critic_scale)
    return torch.optim.AdamW(
        parts,
        lr=options.learning_rate,
        betas=(options.adam_beta1, options.adam_beta2),
        eps=options.adam_epsilon,
        fused=True,
    )


def _parts(
    parameters: Mapping[str, nn.Parameter], options: TrainOptions, scale: float
) -> list[dict[str, Any]]:
    matrices = [p for p in parameters.values() if p.ndim > 1]
    vectors = [p for p in parameters.values() if p.ndim <= 1]
    parts = [
        {"params": matrices, "weight_decay": options.weight_decay, "lr_scale": scale},
        {"params": vectors, "weight_decay": 0.0, "lr_scale": scale},
    ]
    return [part for part in parts if part["params"]]


def learning_rate(step: int, total: int, options: TrainOptions) -> float:
    """Learning rate of optimizer step ``step`` (0-based) of ``total``: linear warm-up, then the schedule."""
    warmup = options.warmup_steps
    warmup = math.ceil(warmup * total) if warmup < 1 else int(warmup)
    if step < warmup:
        return options.learning_rate * (step + 1) / warmup
    if options.lr_scheduler_type.startswith("constant"):
        return options.learning_rate
    done = (step - warmup) / max(total - warmup, 1)
    factor = 1 - done if options.lr_scheduler_type == "linear" else 0.5 * (1 + math.cos(math.pi * done))
    return options.learning_rate * factor
