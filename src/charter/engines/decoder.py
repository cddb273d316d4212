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
from torch import Tensor

from charter.data.packing import pack
from charter.engines.cache import KVCache, Prefix
from charter.engines.weights import Layer, Weights
from charter.models import blocks
from charter.models.attention import attend, plans_of
from charter.models.fused import gated, rms_norm, rotate
from charter.models.head import bend
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
        self._ropes = blocks.rope_tables(stack, positions, weights.arch, weights.dtype)

    def new_cache(self, rows: int) -> KVCache:
        """An empty cache for ``rows`` rows."""
        weights = self.weights
        return KVCache(weights.arch.shape, rows, weights.dtype, weights.embedding.device)

    @property
    def vocab_size(self) -> int:
        """V: entries of a row of logits."""
        return self.weights.vocab_size

    def new_hidden(self, rows: int) -> Tensor:
        """Room for the final hidden states of ``rows`` rows, ``(rows, d)``."""
        weights = self.weights
        device = weights.embedding.device
        return torch.zeros(rows, weights.arch.shape.width, dtype=weights.dtype, device=device)

    def prefill(self, prompts: Sequence[tuple[int, ...]]) -> list[Prefix]:
        """Keys, values and last hidden state of every prompt; what prompts share is computed once."""
        arch, device = self.weights.arch, self.weights.embedding.device
        packed = pack(
            [Sample(Context(token_ids=p), Completion(token_ids=(0,), trained=(True,))) for p in prompts]
        )
        plans = plans_of(packed.segments, arch.windows, device)
        ropes = self._ropes_at(torch.from_numpy(packed.positions_T).to(device))
        stream = self._embed(torch.from_numpy(packed.input_ids_T).to(device))
        cached = []
        for layer, window, rope in zip(self.weights.layers, arch.windows, arch.ropes, strict=True):
            q, k, v = self._qkv(layer, stream, *ropes[rope])
            cached.append(torch.stack((k, v)))
            mixed = attend(q, k, v, plans[window], arch.attention_scale, arch.attention_softcap).flatten(1)
            self._finish(layer, stream, mixed)
        last = packed.predictor_U[packed.unique_N]
        hidden = self._norm(stream[torch.from_numpy(last).to(device)], self.weights.norm)
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
        arch, shape = self.weights.arch, self.weights.arch.shape
        batch = len(tokens_B)
        masks = {window: cache.open(batch, window) for window in set(arch.windows)}
        ropes = self._ropes_at(cache.lengths[:batch])
        stream = self._embed(tokens_B)
        rep = shape.heads // shape.kv_heads
        for index, layer in enumerate(self.weights.layers):
            q, k, v = self._qkv(layer, stream, *ropes[arch.ropes[index]])
            keys, values = cache.write(index, k, v)
            # Query heads of one key-value head are its "queries": one product per (row, key-value head).
            q = (q * arch.attention_scale).view(batch * shape.kv_heads, rep, shape.head_dim)
            scores = torch.bmm(q, keys.transpose(1, 2))
            if (cap := arch.attention_softcap) is not None:
                scores.div_(cap).tanh_().mul_(cap)
            scores.view(batch, shape.heads, -1).add_(masks[arch.windows[index]])
            mixed = torch.bmm(torch.softmax(scores, -1), values).view(batch, -1)
            self._finish(layer, stream, mixed)
        cache.advance(live)
        return self._norm(stream, self.weights.norm)

    def logits(self, hidden: Tensor) -> Tensor:
        """``(B, V)``, in the compute type or float32."""
        return bend(self.weights.head(hidden), self.weights.arch.final_softcap)

    def _ropes_at(self, positions: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
        return {kind: (cos[positions], sin[positions]) for kind, (cos, sin) in self._ropes.items()}

    def _embed(self, ids: Tensor) -> Tensor:
        return blocks.embed(self.weights.embedding, ids, self.weights.arch, self.weights.dtype)

    def _norm(self, x: Tensor, weight: Tensor) -> Tensor:
        arch = self.weights.arch
        return rms_norm(x, weight, arch.shape.eps, self.weights.dtype, arch.shifted_norm)

    def _qkv(self, layer: Layer, stream: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries ``(T, H, D)`` and keys, values ``(T, K, D)``, normed and rotated."""
        shape = self.weights.arch.shape
        normed = self._norm(stream, layer.before_attention)
        heads = layer.qkv(normed, self._adapter).view(len(stream), -1, shape.head_dim)
        rotating = shape.heads + shape.kv_heads
        turning = heads[:, :rotating]
        if layer.q_norm is not None and layer.k_norm is not None:
            q, k = turning[:, : shape.heads], turning[:, shape.heads :]
            turning = torch.cat((self._norm(q, layer.q_norm), self._norm(k, layer.k_norm)), dim=1)
        rotated = rotate(turning, cos, sin)
        return rotated[:, : shape.heads], rotated[:, shape.heads :], heads[:, rotating:]

    def _finish(self, layer: Layer, stream: Tensor, mixed: Tensor) -> None:
        """Add attention's output and the feed-forward block to ``stream``, in place."""
        out = layer.out(mixed, self._adapter)
        stream.add_(out if layer.after_attention is None else self._norm(out, layer.after_attention))
        normed = self._norm(stream, layer.before_mlp)
        gate, up = layer.gate_up(normed, self._adapter).chunk(2, dim=-1)
        out = layer.down(gated(gate, up, self.weights.arch.activation), self._adapter)
        stream.add_(out if layer.after_mlp is None else self._norm(out, layer.after_mlp))


def _stream_positions(segments: Any, end: int) -> Any:
    """Stream positions of the prompt whose last token stands at ``end``."""
    own = next(s for s in segments if s.start <= end < s.start + s.length)
    runs = [np.arange(segments[a].start, segments[a].start + segments[a].length) for a in own.ancestors]
    return np.concatenate([*runs, np.arange(own.start, end + 1)])
