"""Two models in lockstep over the same rows, their next-token distributions mixed.

The geometric mixture of Nash-MD (Munos et al. 2023, 2312.00886) and IPO-MD (2403.08635):
``log p = (1 - coef) log p_policy + coef log p_other``, renormalised at every token. Each
model has a cache of its own; both read the tokens that the mixture chose.

Shapes: B rows, d and e widths of the models, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from charter.engines.cache import KVCache, Prefix
from charter.engines.decoder import Decoder


def geometric(policy_logits: Tensor, other_logits: Tensor, coef: float) -> Tensor:
    """Logits of the mixture, ``(B, V)``: logits are log-probs up to a constant, which the softmax drops.

    Divided by a temperature they are the mixture of the two policies at that temperature.
    """
    return torch.lerp(policy_logits, other_logits, coef)


@dataclass(frozen=True, slots=True)
class MixedPrefix:
    """A prompt prefilled by both models."""

    policy: Prefix
    other: Prefix

    @property
    def length(self) -> int:
        """Tokens of the prompt."""
        return self.policy.length

    @property
    def hidden(self) -> Tensor:
        """The last token's final hidden states, one behind the other, ``(d + e,)``."""
        return torch.cat((self.policy.hidden, self.other.hidden))


@dataclass(frozen=True, slots=True)
class MixedCache:
    """The caches of both models; see :class:`charter.engines.cache.KVCache`."""

    policy: KVCache
    other: KVCache

    def reserve(self, tokens: int) -> None:
        """Make both wide enough."""
        self.policy.reserve(tokens)
        self.other.reserve(tokens)

    def fill(self, row: int, prefix: MixedPrefix) -> None:
        """Put a prompt into ``row`` of both."""
        self.policy.fill(row, prefix.policy)
        self.other.fill(row, prefix.other)

    def remove(self, row: int, last: int) -> None:
        """Give up ``row`` of both."""
        self.policy.remove(row, last)
        self.other.remove(row, last)


class MixedDecoder:
    """Computes as one model what two do; see :class:`charter.engines.decoding.Decoding`.

    Args:
        policy, other: of one vocabulary and one compute type.
        coef: share of ``other``.
    """

    def __init__(self, policy: Decoder, other: Decoder, coef: float) -> None:
        self._policy, self._other, self._coef = policy, other, coef
        self._width = policy.weights.arch.shape.width

    @property
    def vocab_size(self) -> int:
        """V, of both."""
        return self._policy.vocab_size

    def new_cache(self, rows: int) -> MixedCache:
        """Empty caches for ``rows`` rows."""
        return MixedCache(self._policy.new_cache(rows), self._other.new_cache(rows))

    def new_hidden(self, rows: int) -> Tensor:
        """Room for both hidden states of ``rows`` rows, ``(rows, d + e)``."""
        return torch.cat((self._policy.new_hidden(rows), self._other.new_hidden(rows)), -1)

    def prefill(self, prompts: Sequence[tuple[int, ...]]) -> list[MixedPrefix]:
        """Every prompt through both models."""
        both = zip(self._policy.prefill(prompts), self._other.prefill(prompts), strict=True)
        return [MixedPrefix(policy, other) for policy, other in both]

    def step(self, tokens_B: Tensor, cache: MixedCache, live: int) -> Tensor:
        """Append one token to each row in both; hidden states ``(B, d + e)``."""
        policy = self._policy.step(tokens_B, cache.policy, live)
        return torch.cat((policy, self._other.step(tokens_B, cache.other, live)), -1)

    def logits(self, hidden: Tensor) -> Tensor:
        """The mixture's, ``(B, V)`` float32."""
        policy = self._policy.logits(hidden[:, : self._width].contiguous())
        other = self._other.logits(hidden[:, self._width :].contiguous())
        return geometric(policy.float(), other.float(), self._coef)
