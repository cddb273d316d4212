"""A reward head on a language model.

A reward model is transformers' own ``ForSequenceClassification`` of the same
backbone: what is trained here loads with ``AutoModelForSequenceClassification``,
and gives the same numbers there.

Shapes: R reads, d width, Z dimensions of the reward.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from charter.errors import EnvironmentFault, UserError


def head_of(model: Any) -> nn.Linear:
    """The reward head.

    Raises:
        UserError: the model has none.
    """
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    found: Any = getattr(inner, "score", None)
    if hasattr(found, "modules_to_save"):  # peft keeps a trainable copy beside the original
        found = found.modules_to_save[found.active_adapters[0]]
    if not isinstance(found, nn.Linear):
        raise UserError("the model has no reward head", fix="train one first: charter train reward ...")
    return found


def read(model: Any, hidden_R: Tensor) -> Tensor:
    """Rewards of final hidden states, ``(R, Z)`` float32."""
    head = head_of(model)
    bias = None if head.bias is None else head.bias.float()
    return torch.nn.functional.linear(hidden_R.float(), head.weight.float(), bias)


def with_reward_head(model: Any, dimensions: int, seed: int = 0) -> Any:
    """The same backbone under a fresh reward head of ``dimensions`` outputs.

    The weights are shared with ``model``, not copied. The head starts at standard
    deviation ``1 / sqrt(d + 1)`` (Stiennon et al. 2020, 2009.01325).

    Raises:
        EnvironmentFault: transformers has no sequence classifier of this architecture.
    """
    from transformers import AutoModelForSequenceClassification

    config = type(model.config).from_dict(
        {**model.config.to_dict(), "num_labels": dimensions, "problem_type": "regression"}
    )
    state = torch.random.get_rng_state()
    try:
        with torch.device("meta"):
            made = AutoModelForSequenceClassification.from_config(config)
    except ValueError as error:
        raise EnvironmentFault(f"no reward head for {config.model_type}: {error}") from None
    backbone = made.base_model_prefix
    setattr(made, backbone, getattr(model, backbone))
    generator = torch.Generator().manual_seed(seed)
    width = config.hidden_size
    weight = torch.randn(dimensions, width, generator=generator) / (width + 1) ** 0.5
    device = next(model.parameters()).device
    made.score = nn.Linear(width, dimensions, bias=False)
    made.score.weight = nn.Parameter(weight.to(device))
    torch.random.set_rng_state(state)
    return made.eval()
