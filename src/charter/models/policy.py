"""A policy: a model, its tokenizer, and how it is computed.

The reference is not a second model. With a LoRA adapter it is the same weights
with the adapter off; for full fine-tuning its log-probs are computed once,
before the first step, and cached.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from charter.data.render import Template
from charter.models.reward_scale import RewardScale
from charter.models.trained_as import TrainedAs


@dataclass
class Policy:
    """A causal language model ready to be sampled, scored or trained.

    Attributes:
        model: a transformers model, possibly wrapped by peft.
        tokenizer: its tokenizer.
        name: what the person called it.
        path: the folder it was loaded from.
        compute_dtype: type of activations and matrix products.
        version: optimizer steps the weights have taken since loading.
        derived: the weights (under an adapter: the base) are no longer those at ``path``.
        reward_scale: of a reward model: what its rewards are normalised by; None = nothing.
        trained_as: of a reward model or a judge: how it was trained, and so is asked; None = not known.
    """

    model: Any
    tokenizer: Any
    name: str
    path: Path
    compute_dtype: torch.dtype = torch.bfloat16
    version: int = 0
    derived: bool = False
    reward_scale: RewardScale | None = None
    trained_as: TrainedAs | None = None
    _template: Template | None = field(default=None, repr=False)

    @property
    def template(self) -> Template:
        """Renders groups for this policy's tokenizer."""
        if self._template is None:
            self._template = Template(self.tokenizer)
        return self._template

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.model.parameters()).device  # type: ignore[no-any-return]

    @property
    def has_reward_head(self) -> bool:
        """Whether it is a reward model."""
        return hasattr(self.model, "score")

    @property
    def has_adapter(self) -> bool:
        """Whether a LoRA adapter is attached."""
        return hasattr(self.model, "disable_adapter")

    def trainable(self) -> dict[str, nn.Parameter]:
        """Parameters that training changes, by name."""
        return {name: p for name, p in self.model.named_parameters() if p.requires_grad}

    def digest(self) -> str:
        """sha256 of what is computed: every weight, and the type it is computed in.

        Exact sums of the weights' bits, so neither threads nor order matter.
        """
        found = hashlib.sha256(str(self.compute_dtype).encode())
        for name, parameter in sorted(self.model.named_parameters()):
            found.update(f"{name}:{tuple(parameter.shape)}:{_bit_sums(parameter.detach())}".encode())
        return found.hexdigest()


@contextlib.contextmanager
def adapter_off(model: Any) -> Iterator[Any]:
    """The same model with its adapter switched off; the model itself where there is none."""
    if not hasattr(model, "disable_adapter"):
        yield model
        return
    with model.disable_adapter():
        yield model


def _bit_sums(values: torch.Tensor) -> tuple[int, int]:
    """Sum of the bit patterns and of their squares, exact in whatever order they are added."""
    kind = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}[values.element_size()]
    bits = values.contiguous().view(kind).flatten()
    first = second = 0
    for start in range(0, len(bits), 1 << 22):  # in parts, as 64-bit copies are large
        wide = bits[start : start + (1 << 22)].long()
        first += int(wide.sum())
        second += int((wide * wide).sum())
    return first, second
