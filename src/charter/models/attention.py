"""Causal attention over a packed stream, without a mask of the stream.

A segment's queries meet the keys of its ancestors and its own, in blocks of
queries, so that a long segment computes little more than half of its causal
square. Blocks of like size are computed as one batch, padded to each other;
only queries, keys and values are ever padded, never the stream. Grouped-query
heads are folded into the query length, which turns a batch into one matrix
product. On CPU this is faster than the library's attention at the lengths chat
data has, and it shares prefixes without a custom kernel.

Shapes: T stream tokens, H query heads, K key-value heads, D head width; n
blocks of one batch, Q queries and L keys of its longest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from charter.data.packing import Segment

QUERY_BLOCK = 256
"""Queries per block: small enough to skip most of the causal square, large enough for the product."""

_WASTE = 1.25
"""Blocks are batched while their padded area is at most this many times their own."""

_AREA = 1 << 21
"""Padded area (n * Q * L) above which a batch is closed, so that memory stays bounded."""

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _Block:
    """Stream positions of some queries and of all keys they meet; the last keys are the queries' own."""

    queries: Ints
    keys: Ints

    @property
    def area(self) -> int:
        return len(self.queries) * len(self.keys)


@dataclass(frozen=True, slots=True)
class Batch:
    """Blocks computed together; index T stands for a row of zeros.

    Attributes:
        queries: ``(n, Q)`` stream positions, T where padded.
        keys: ``(n, L)`` stream positions, T where padded.
        future: ``(n, 1, Q, L)`` True where a query must not look.
    """

    queries: Tensor
    keys: Tensor
    future: Tensor


@dataclass(frozen=True, slots=True)
class AttentionPlan:
    """The batches of one packed stream, made once and used by every layer."""

    batches: tuple[Batch, ...]

    @classmethod
    def of(cls, segments: tuple[Segment, ...], device: torch.device | None = None) -> AttentionPlan:
        """Plan the attention of ``segments``."""
        tokens = sum(s.length for s in segments)
        blocks = sorted(_blocks(segments), key=lambda b: (len(b.keys), len(b.queries)))
        batches: list[list[_Block]] = []
        for block in blocks:
            if not batches or not _fits(batches[-1], block):
                batches.append([])
            batches[-1].append(block)
        return cls(tuple(_batch(b, tokens, device) for b in batches))


def attend(q: Tensor, k: Tensor, v: Tensor, plan: AttentionPlan) -> Tensor:
    """Causal attention over the stream.

    Args:
        q: ``(T, H, D)`` rotated queries.
        k, v: ``(T, K, D)`` rotated keys, and values.
        plan: the stream's batches.

    Returns:
        ``(T, H, D)``.
    """
    out: Tensor = _SegmentAttention.apply(q, k, v, plan)  # type: ignore[no-untyped-call]
    return out


class _SegmentAttention(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, plan: AttentionPlan) -> Tensor:
        tokens, heads, width = q.shape
        kv_heads = k.shape[1]
        q, k, v = _with_zero_row(q * width**-0.5), _with_zero_row(k), _with_zero_row(v)
        out = q.new_empty(tokens + 1, heads * width)
        kept = []
        for batch in plan.batches:
            keys, values = _take(k, batch.keys, kv_heads, width), _take(v, batch.keys, kv_heads, width)
            scores = torch.bmm(_take(q, batch.queries, kv_heads, width), keys.transpose(1, 2))
            n, queries, length = len(batch.keys), batch.queries.shape[1], batch.keys.shape[1]
            scores.view(n, -1, queries, length).masked_fill_(batch.future, float("-inf"))
            weights = torch.softmax(scores, dim=-1)
            _put(out, batch.queries, torch.bmm(weights, values), heads)
            if any(ctx.needs_input_grad):
                kept.append(weights)
        ctx.plan, ctx.shape, ctx.kv_heads = plan, (tokens, heads, width), kv_heads
        ctx.save_for_backward(q, k, v, *kept)
        return out[:tokens].view(tokens, heads, width)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        q, k, v, *kept = ctx.saved_tensors
        (tokens, heads, width), kv_heads = ctx.shape, ctx.kv_heads
        grad = _with_zero_row(grad)
        dq = q.new_empty(tokens + 1, heads * width)
        # A prefix collects gradients from many blocks: sum them in float32.
        dk = q.new_zeros(tokens + 1, kv_heads * width, dtype=torch.float32)
        dv = torch.zeros_like(dk)
        for batch, weights in zip(ctx.plan.batches, kept, strict=True):
            keys, values = _take(k, batch.keys, kv_heads, width), _take(v, batch.keys, kv_heads, width)
            q_b, g_b = _take(q, batch.queries, kv_heads, width), _take(grad, batch.queries, kv_heads, width)
            d_weights = torch.bmm(g_b, values.transpose(1, 2))
            d_scores = torch._softmax_backward_data(d_weights, weights, -1, weights.dtype)
            _put(dq, batch.queries, torch.bmm(d_scores, keys), heads)
            _add(dk, batch.keys, torch.bmm(d_scores.transpose(1, 2), q_b), kv_heads)
            _add(dv, batch.keys, torch.bmm(weights.transpose(1, 2), g_b), kv_heads)
        dq = dq[:tokens].view(tokens, heads, width) * width**-0.5
        dk, dv = (x[:tokens].view(tokens, kv_heads, width).to(q.dtype) for x in (dk, dv))
        return dq, dk, dv, None


# -- moving rows between the stream and a batch --------------------------------------


def _with_zero_row(x: Tensor) -> Tensor:
    """``(T, heads, D)`` as ``(T + 1, heads * D)``, the last row zero: what padding points at."""
    return torch.cat([x.flatten(1), x.new_zeros(1, x[0].numel())]) if len(x) else x.new_zeros(1, 1)


def _take(x: Tensor, rows: Tensor, kv_heads: int, width: int) -> Tensor:
    """Rows ``(n, R)`` of the stream as ``(n * K, rep * R, D)``; rep is 1 for keys and values."""
    n, count = rows.shape
    taken = x.index_select(0, rows.flatten())
    return taken.view(n, count, kv_heads, -1, width).permute(0, 2, 3, 1, 4).reshape(n * kv_heads, -1, width)


def _put(into: Tensor, rows: Tensor, values: Tensor, heads: int) -> None:
    """Write ``(n * K, rep * R, D)`` back to stream rows; padding lands on the spare last row."""
    n, count = rows.shape
    flat = values.view(n, heads, count, -1).transpose(1, 2).reshape(n * count, -1)
    into.index_copy_(0, rows.flatten(), flat)


def _add(into: Tensor, rows: Tensor, values: Tensor, kv_heads: int) -> None:
    """Add ``(n * K, L, D)`` onto stream rows; what padding adds is zero."""
    n, count = rows.shape
    flat = values.view(n, kv_heads, count, -1).transpose(1, 2).reshape(n * count, -1)
    into.index_add_(0, rows.flatten(), flat.to(into.dtype))


# -- planning -----------------------------------------------------------------------


def _blocks(segments: tuple[Segment, ...]) -> list[_Block]:
    spans = [np.arange(s.start, s.start + s.length) for s in segments]
    blocks = []
    for segment, own in zip(segments, spans, strict=True):
        above = [spans[a] for a in segment.ancestors]
        for start in range(0, segment.length, QUERY_BLOCK):
            end = min(start + QUERY_BLOCK, segment.length)
            blocks.append(_Block(own[start:end], np.concatenate([*above, own[:end]])))
    return blocks


def _fits(batch: list[_Block], block: _Block) -> bool:
    queries = max(len(b.queries) for b in [*batch, block])
    padded = (len(batch) + 1) * queries * len(block.keys)  # keys come in ascending order
    own = sum(b.area for b in batch) + block.area
    return padded <= _AREA and padded <= _WASTE * own


def _batch(blocks: list[_Block], tokens: int, device: torch.device | None) -> Batch:
    queries = np.full((len(blocks), max(len(b.queries) for b in blocks)), tokens)
    keys = np.full((len(blocks), max(len(b.keys) for b in blocks)), tokens)
    visible = np.empty(len(blocks), dtype=np.int64)
    for row, block in enumerate(blocks):
        queries[row, : len(block.queries)] = block.queries
        keys[row, : len(block.keys)] = block.keys
        visible[row] = len(block.keys) - len(block.queries)
    # Query i sees the keys before its block, and its own up to i. Padded keys lie in every real
    # query's future; padded queries see real keys, so no row is fully masked.
    last = visible[:, None] + np.arange(queries.shape[1])[None]
    future = np.arange(keys.shape[1])[None, None] > last[:, :, None]
    return Batch(
        torch.from_numpy(queries).to(device),
        torch.from_numpy(keys).to(device),
        torch.from_numpy(future)[:, None].to(device),
    )
