"""Whose tokens are sampled: one model as it was when it was given, or a mixture of two."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from peft.utils.other import AuxiliaryTrainingWrapper
from torch import nn

from charter.engines import fallback
from charter.engines.base import Sampling
from charter.engines.decoder import Decoder
from charter.engines.decoding import Decoding
from charter.engines.fallback_mixture import PlainMixer
from charter.engines.mixture import MixedDecoder
from charter.engines.weights import Weights, check_finite, snapshot
from charter.errors import UserError
from charter.models import blocks
from charter.models.architecture import architecture_of
from charter.models.policy import Policy
from charter.models.score import is_llama_style
from charter.types import Context


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model to sample from.

    Attributes:
        model: as it was given; its weights may have changed since.
        weights: the decoder's copy; None = the decoder does not know the model, transformers runs it.
        version: of the weights.
        adapter: False = as if no adapter were attached.
    """

    model: Any
    weights: Weights | None
    version: int
    adapter: bool = True

    @property
    def has_adapter(self) -> bool:
        """Whether there is an adapter to switch off."""
        if self.weights is not None:
            return self.weights.has_adapter
        return hasattr(self.model, "disable_adapter")

    @property
    def vocab_size(self) -> int:
        """Tokens of its vocabulary."""
        return int(self.model.config.vocab_size)

    def without_adapter(self) -> Loaded:
        """The same weights with the adapter off."""
        return replace(self, adapter=False)

    def decoder(self, max_length: int) -> Decoder:
        """The decoder of its weights; see :class:`~charter.engines.decoder.Decoder`."""
        assert self.weights is not None
        return Decoder(self.weights, blocks.backbone(self.model), adapter=self.adapter, max_length=max_length)

    def bytes_per_token(self, dtype: torch.dtype) -> int:
        """Memory for one token's keys and values."""
        shape = architecture_of(self.model.config).shape
        return 2 * shape.layers * shape.kv_heads * shape.head_dim * dtype.itemsize


def load(given: Any, version: int, dtype: torch.dtype) -> Loaded:
    """Take a policy or a model as it is now.

    Raises:
        TrainingFault: a weight is not finite.
    """
    model = given.model if isinstance(given, Policy) else given
    if decodes(model):
        return Loaded(model, snapshot(model, version, dtype), version)
    check_finite(model)
    fallback.announce(model)
    return Loaded(model, None, version)


def decodes(model: Any) -> bool:
    """Whether the decoder of this package runs ``model``; transformers' ``generate`` runs the others."""
    if not is_llama_style(model) or not architecture_of(model.config).fixed_rope:
        return False
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    parts = [*blocks.backbone(model).modules(), getattr(inner, "lm_head", None)]
    return not any(
        isinstance(part, AuxiliaryTrainingWrapper)  # its copy of a weight belongs to the adapter
        or (isinstance(part, nn.Linear) and blocks.is_quantized(part))
        for part in parts
    )


@dataclass(frozen=True, slots=True)
class Source:
    """What one request is sampled from.

    Attributes:
        name: ``sampled_by`` of the completions.
        main: the model, or the first of a mixture.
        other: the second; None = no mixture.
        coef: share of the second.
    """

    name: str
    main: Loaded
    other: Loaded | None = None
    coef: float = 0.0

    @property
    def parts(self) -> tuple[Loaded, ...]:
        """The models that run."""
        return (self.main,) if self.other is None else (self.main, self.other)

    @property
    def decodes(self) -> bool:
        """Whether the decoder runs them all."""
        return all(part.weights is not None for part in self.parts)

    def decoder(self, max_length: int) -> Decoding:
        """What computes the next tokens of contexts and completions of up to ``max_length`` tokens."""
        main = self.main.decoder(max_length)
        return main if self.other is None else MixedDecoder(main, self.other.decoder(max_length), self.coef)

    def mixer(self, dtype: torch.dtype) -> PlainMixer | None:
        """What mixes the second model in where transformers runs the first; None = there is none."""
        other = self.other
        if other is None:
            return None
        return PlainMixer(other.model, adapter_on=other.adapter, coef=self.coef, dtype=dtype)

    def bytes_per_token(self, dtype: torch.dtype) -> int:
        """Memory for one token's keys and values."""
        return sum(part.bytes_per_token(dtype) for part in self.parts)

    def limits(self, contexts: Sequence[Context], sampling: Sampling) -> list[int]:
        """Most tokens the completion of each context may have.

        Raises:
            UserError: a context leaves no room, or has a token outside the vocabulary.
        """
        rooms = [getattr(part.model.config, "max_position_embeddings", None) for part in self.parts]
        room = min((room for room in rooms if room is not None), default=None)
        return [self._limit(index, context, sampling, room) for index, context in enumerate(contexts)]

    def _limit(self, index: int, context: Context, sampling: Sampling, room: int | None) -> int:
        where = f"context {index + 1}"
        length = len(context.token_ids)
        if room is not None and length >= room:
            raise UserError(
                f"the context has {length} tokens and leaves no room in the model's {room}",
                where=where,
                fix="shorten the prompt",
            )
        vocab_size = self.main.vocab_size
        if not 0 <= min(context.token_ids) <= max(context.token_ids) < vocab_size:
            raise UserError(
                f"a token id lies outside the model's vocabulary of {vocab_size}",
                where=where,
                fix="use the tokenizer that belongs to the model",
            )
        longest = sampling.max_completion_length
        return longest if room is None else min(longest, room - length)
