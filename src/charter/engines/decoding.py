"""What a batch of rows asks of whatever computes their next tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from torch import Tensor


class Start(Protocol):
    """A prefilled prompt; see :class:`charter.engines.cache.Prefix`."""

    @property
    def length(self) -> int:
        """Tokens of the prompt."""
        ...

    @property
    def hidden(self) -> Tensor:
        """What :meth:`Decoding.logits` needs of its last token, ``(d,)``."""
        ...


class RowCache(Protocol):
    """What is remembered of the rows; see :class:`charter.engines.cache.KVCache`."""

    def reserve(self, tokens: int) -> None:
        """Make room for ``tokens`` positions."""
        ...

    def fill(self, row: int, prefix: Any) -> None:
        """Put a prompt into ``row``."""
        ...

    def remove(self, row: int, last: int) -> None:
        """Give up ``row``; the last row in use takes its place."""
        ...


class Decoding(Protocol):
    """Next-token distributions; see :class:`charter.engines.decoder.Decoder`."""

    @property
    def vocab_size(self) -> int:
        """V: entries of a row of logits."""
        ...

    def new_cache(self, rows: int) -> RowCache:
        """An empty cache for ``rows`` rows."""
        ...

    def new_hidden(self, rows: int) -> Tensor:
        """Room for what :meth:`logits` needs of ``rows`` rows, ``(rows, d)``."""
        ...

    def prefill(self, prompts: Sequence[tuple[int, ...]]) -> Sequence[Start]:
        """Compute prompts."""
        ...

    def step(self, tokens_B: Tensor, cache: Any, live: int) -> Tensor:
        """Append one token to each row; ``(B, d)``."""
        ...

    def logits(self, hidden: Tensor) -> Tensor:
        """``(B, V)``."""
        ...
