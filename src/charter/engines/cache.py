"""Keys and values of every row being decoded, and who may see what.

A row's tokens stand left-aligned. The tensors are exactly as wide as the
longest row needs, in steps of :data:`STEP`: the batched products then read
contiguous memory, which is four times as fast as reading a slice of a wider
buffer. Widening copies everything, but only once in ``STEP`` tokens.

Shapes: R rows, B rows in use, K key-value heads, S cached positions, D head width.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from charter.models.architecture import Shape

STEP = 32


@dataclass(frozen=True, slots=True)
class Prefix:
    """A prefilled prompt.

    Attributes:
        layers: keys and values of each layer, ``(2, K, P, D)``.
        hidden: the last token's final hidden state, ``(d,)``.
    """

    layers: tuple[Tensor, ...]
    hidden: Tensor

    @property
    def length(self) -> int:
        """P: tokens of the prompt."""
        return int(self.layers[0].shape[2])


class KVCache:
    """Static cache of ``rows`` rows; rows in use are always ``[0, B)``.

    Args:
        shape: numbers of the architecture.
        rows: R.
        dtype, device: of keys and values.
    """

    def __init__(self, shape: Shape, rows: int, dtype: torch.dtype, device: torch.device) -> None:
        self._kv = [
            torch.zeros(2, rows, shape.kv_heads, STEP, shape.head_dim, dtype=dtype, device=device)
            for _ in range(shape.layers)
        ]
        # Added to the scores. Position 0 stays visible in unused rows, so that their softmax is defined.
        self._mask = torch.full((rows, 1, STEP), float("-inf"), dtype=dtype, device=device)
        self._mask[:, :, 0] = 0.0
        self._rows = torch.arange(rows, device=device)
        self.lengths = torch.zeros(rows, dtype=torch.long, device=device)

    @property
    def width(self) -> int:
        """S: positions every row has room for."""
        return int(self._mask.shape[-1])

    def reserve(self, tokens: int) -> None:
        """Make the cache wide enough for ``tokens`` positions, and narrow again when it is far too wide."""
        width = -(-tokens // STEP) * STEP
        if width > self.width or width < self.width // 2:
            kept = min(width, self.width)
            for index, old in enumerate(self._kv):
                wide = old.new_empty(*old.shape[:3], width, old.shape[4])
                wide[:, :, :, :kept] = old[:, :, :, :kept]
                wide[:, :, :, kept:] = 0.0  # masked, yet 0 * NaN would be NaN
                self._kv[index] = wide
            mask = self._mask.new_full((*self._mask.shape[:2], width), float("-inf"))
            mask[:, :, :kept] = self._mask[:, :, :kept]
            self._mask = mask

    def fill(self, row: int, prefix: Prefix) -> None:
        """Put a prompt into ``row``."""
        length = prefix.length
        for kv, prompt in zip(self._kv, prefix.layers, strict=True):
            kv[:, row, :, :length] = prompt
        self._mask[row, :, :length] = 0.0
        self._mask[row, :, length:] = float("-inf")
        self.lengths[row] = length

    def remove(self, row: int, last: int) -> None:
        """Give up ``row``; the last row in use takes its place."""
        if row != last:
            length = int(self.lengths[last])
            for kv in self._kv:
                kv[:, row, :, :length] = kv[:, last, :, :length]
            self._mask[row] = self._mask[last]
            self.lengths[row] = length
        self.lengths[last] = 0  # a row that only fills up the batch overwrites its first position

    def open(self, batch: int, window: int | None = None) -> Tensor:
        """Make the next position of rows ``[0, batch)`` visible.

        Returns:
            what each row may see, ``(B, 1, S)``, added to the scores; with ``window`` only the last
            so many positions, the next one included.
        """
        lengths = self.lengths[:batch]
        self._mask[self._rows[:batch], 0, lengths] = 0.0
        mask = self._mask[:batch]
        if window is None:
            return mask
        at = torch.arange(self.width, device=mask.device)
        return mask.masked_fill((at <= lengths[:, None] - window)[:, None], float("-inf"))

    def write(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Store the new token's ``(B, K, D)`` keys and values; returns all, each ``(B * K, S, D)``."""
        batch, kv_heads, head_dim = keys.shape
        kv = self._kv[layer]
        rows, at = self._rows[:batch], self.lengths[:batch]
        kv[0][rows, :, at] = keys
        kv[1][rows, :, at] = values
        flat = (batch * kv_heads, -1, head_dim)
        return kv[0, :batch].view(flat), kv[1, :batch].view(flat)

    def advance(self, live: int) -> None:
        """Rows ``[0, live)`` have one token more; rows behind only filled up the batch."""
        self.lengths[:live] += 1
