"""One token for every row, and the prompts before it, through a :class:`~charter.engines.weights.Weights`.

The arithmetic is that of the scoring forward (:mod:`charter.models.score`):
the same norms, rotation and rounding, with the residual stream in float32. So
the sampler's log-probabilities are the trainer's, up to the order of sums.

Shapes: B rows, T prompt tokens, d width, H query heads, K key-value heads, D head width.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from charter.data.packing import pack
from charter.engines.cache import KVCache, Prefix
from charter.engines.weights import Layer, Weights
from charter.models import blocks
from charter.models.attention import AttentionPlan, attend
from charter.models.fused import rms_norm, swiglu
from charter.types import Completion, Context, Sample


class Decoder:
    """Runs one version of the weights.

    Args:
        weights: from :func:`~charter.engines.weights.snapshot`.
        stack: the model's decoder stack, for its rotary embedding.
        adapter: False = as if no adapter were attached (the reference).
        max_length: most tokens of a prompt and its completion together.
    """

    def __init__(self, weights: Weights, stack: Any, *, adapter: bool, max_length: int) -> None:
        self.weights = weights
        self._adapter = adapter
        device = weights.embedding.device
        positions = torch.arange(max_length, device=device)
        self._cos, self._sin = blocks.rope_tables(stack, positions, weights.dtype)
        self._scale = weights.shape.head_dim**-0.5

    def new_cache(self, rows: int) -> KVCache:
        """An empty cache for ``rows`` rows."""
        weights = self.weights
        return KVCache(weights.shape, rows, weights.dtype, weights.embedding.device)

    def prefill(self, prompts: Sequence[tuple[int, ...]]) -> list[Prefix]:
        """Keys, values and last hidden state of every prompt; what prompts share is computed once."""
        shape = self.weights.shape
        packed = pack(
            [Sample(Context(token_ids=p), Completion(token_ids=(0,), trained=(True,))) for p in prompts]
        )
        plan = AttentionPlan.of(packed.segments)
        device = self.weights.embedding.device
        positions = torch.from_numpy(packed.positions_T).to(device)
        cos, sin = self._cos[positions], self._sin[positions]
        stream = self._embed(torch.from_numpy(packed.input_ids_T).to(device))
        cached = []
        for layer in self.weights.layers:
            q, k, v = self._qkv(layer, stream, cos, sin)
            cached.append(torch.stack((k, v)))
            mixed = attend(q, k, v, plan).flatten(1)
            self._finish(layer, stream, mixed)
        last = packed.predictor_U[packed.unique_N]
        hidden = rms_norm(stream[torch.from_numpy(last)], self.weights.norm, shape.eps, self.weights.dtype)
        prefixes = []
        for index, end in enumerate(last):
            at = torch.from_numpy(_stream_positions(packed.segments, int(end))).to(device)
            prefixes.append(
                Prefix(tuple(kv[:, at].transpose(1, 2).contiguous() for kv in cached), hidden[index])
            )
        return prefixes

    def step(self, tokens_B: Tensor, cache: KVCache, live: int) -> Tensor:
        """Append one token to rows ``[0, B)`` of the cache; final hidden states ``(B, d)``.

        Args:
            tokens_B: the token to append to each row.
            cache: rows behind ``live`` are computed and forgotten: they round up the batch.
            live: rows in use.
        """
        shape = self.weights.shape
        batch = len(tokens_B)
        mask = cache.open(batch)
        at = cache.lengths[:batch]
        cos, sin = self._cos[at], self._sin[at]
        stream = self._embed(tokens_B)
        rep = shape.heads // shape.kv_heads
        for index, layer in enumerate(self.weights.layers):
            q, k, v = self._qkv(layer, stream, cos, sin)
            keys, values = cache.write(index, k, v)
            # Query heads of one key-value head are its "queries": one product per (row, key-value head).
            q = (q * self._scale).view(batch * shape.kv_heads, rep, shape.head_dim)
            scores = torch.bmm(q, keys.transpose(1, 2))
            scores.view(batch, shape.heads, -1).add_(mask)
            mixed = torch.bmm(torch.softmax(scores, -1), values).view(batch, -1)
            self._finish(layer, stream, mixed)
        cache.advance(live)
        return rms_norm(stream, self.weights.norm, shape.eps, self.weights.dtype)

    def logits(self, hidden: Tensor) -> Tensor:
        """``(B, V)`` in the compute type."""
        return self.weights.head(hidden)

    def _embed(self, ids: Tensor) -> Tensor:
        return F.embedding(ids, self.weights.embedding).float()

    def _qkv(self, layer: Layer, stream: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries ``(T, H, D)`` and keys, values ``(T, K, D)``, rotated."""
        shape = self.weights.shape
        normed = rms_norm(stream, layer.input_norm, shape.eps, self.weights.dtype)
        heads = layer.qkv(normed, self._adapter).view(len(stream), -1, shape.head_dim)
        rotating = shape.heads + shape.kv_heads
        rotated = blocks.rotate(heads[:, :rotating], cos, sin)
        return rotated[:, : shape.heads], rotated[:, shape.heads :], heads[:, rotating:]

    def _finish(self, layer: Layer, stream: Tensor, mixed: Tensor) -> None:
        """Add attention's output and the feed-forward block to ``stream``, in place."""
        stream.add_(layer.out(mixed, self._adapter))
        normed = rms_norm(stream, layer.post_norm, self.weights.shape.eps, self.weights.dtype)
        gate, up = layer.gate_up(normed, self._adapter).chunk(2, dim=-1)
        stream.add_(layer.down(swiglu(gate, up), self._adapter))


def _stream_positions(segments: Any, end: int) -> Any:
    """Stream positions of the prompt whose last token stands at ``end``."""
    own = next(s for s in segments if s.start <= end < s.start + s.length)
    runs = [np.arange(segments[a].start, segments[a].start + segments[a].length) for a in own.ancestors]
    return np.concatenate([*runs, np.arange(own.start, end + 1)])
