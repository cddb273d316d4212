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

from collections.abc import Collection
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
        unseen: ``(n, 1, Q, L)`` True where a query must not look.
    """

    queries: Tensor
    keys: Tensor
    unseen: Tensor


@dataclass(frozen=True, slots=True)
class AttentionPlan:
    """The batches of one packed stream, made once and used by every layer."""

    batches: tuple[Batch, ...]

    @classmethod
    def of(
        cls,
        segments: tuple[Segment, ...],
        device: torch.device | None = None,
        window: int | None = None,
    ) -> AttentionPlan:
        """Plan the attention of ``segments``.

        Args:
            segments: of the packed stream.
            device: where the attention is computed.
            window: positions a query sees, its own included; None = all before it.
        """
        tokens = sum(s.length for s in segments)
        blocks = sorted(_blocks(segments, window), key=lambda b: (len(b.keys), len(b.queries)))
        batches: list[list[_Block]] = []
        for block in blocks:
            if not batches or not _fits(batches[-1], block):
                batches.append([])
            batches[-1].append(block)
        return cls(tuple(_batch(b, tokens, window, device) for b in batches))


def plans_of(
    segments: tuple[Segment, ...], windows: Collection[int | None], device: torch.device | None = None
) -> dict[int | None, AttentionPlan]:
    """One plan for each distinct window; a window no sample outgrows shares the plan of None."""
    longest = max((s.length + sum(segments[a].length for a in s.ancestors) for s in segments), default=0)
    felt = {w: w if w is not None and w < longest else None for w in windows}
    made = {w: AttentionPlan.of(segments, device, w) for w in set(felt.values())}
    return {w: made[felt[w]] for w in felt}


def attend(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    plan: AttentionPlan,
    scale: float | None = None,
    softcap: float | None = None,
) -> Tensor:
    """Causal attention over the stream.

    Args:
        q: ``(T, H, D)`` rotated queries.
        k, v: ``(T, K, D)`` rotated keys, and values.
        plan: the stream's batches.
        scale: of the scores; None = ``D ** -0.5``.
        softcap: scores become ``softcap * tanh(score / softcap)``; None = as they are.

    Returns:
        ``(T, H, D)``.
    """
    scale = q.shape[-1] ** -0.5 if scale is None else scale
    out: Tensor = _SegmentAttention.apply(q, k, v, plan, scale, softcap)  # type: ignore[no-untyped-call]
    return out


class _SegmentAttention(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        plan: AttentionPlan,
        scale: float,
        softcap: float | None,
    ) -> Tensor:
        tokens, heads, width = q.shape
        kv_heads = k.shape[1]
        q, k, v = _with_zero_row(q * scale), _with_zero_row(k), _with_zero_row(v)
        out = q.new_empty(tokens + 1, heads * width)
        kept = []
        for batch in plan.batches:
            keys, values = _take(k, batch.keys, kv_heads, width), _take(v, batch.keys, kv_heads, width)
            scores = torch.bmm(_take(q, batch.queries, kv_heads, width), keys.transpose(1, 2))
            if softcap is not None:
                scores.div_(softcap).tanh_().mul_(softcap)
            n, queries, length = len(batch.keys), batch.queries.shape[1], batch.keys.shape[1]
            scores.view(n, -1, queries, length).masked_fill_(batch.unseen, float("-inf"))
            weights = torch.softmax(scores, dim=-1)
            _put(out, batch.queries, torch.bmm(weights, values), heads)
            if any(ctx.needs_input_grad):
                kept.append(weights)
        ctx.plan, ctx.shape, ctx.kv_heads = plan, (tokens, heads, width), kv_heads
        ctx.scale, ctx.softcap = scale, softcap
        ctx.save_for_backward(q, k, v, *kept)
        return out[:tokens].view(tokens, heads, width)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None, None]:
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
            if ctx.softcap is not None:  # computed again: keeping it would double what attention keeps
                bent = torch.bmm(q_b, keys.transpose(1, 2)).div_(ctx.softcap).tanh_()
                d_scores = torch.ops.aten.tanh_backward(d_scores, bent)
            _put(dq, batch.queries, torch.bmm(d_scores, keys), heads)
            _add(dk, batch.keys, torch.bmm(d_scores.transpose(1, 2), q_b), kv_heads)
            _add(dv, batch.keys, torch.bmm(weights.transpose(1, 2), g_b), kv_heads)
        dq = dq[:tokens].view(tokens, heads, width) * ctx.scale
        dk, dv = (x[:tokens].view(tokens, kv_heads, width).to(q.dtype) for x in (dk, dv))
        return dq, dk, dv, None, None, None


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


def _blocks(segments: tuple[Segment, ...], window: int | None) -> list[_Block]:
    spans = [np.arange(s.start, s.start + s.length) for s in segments]
    blocks = []
    for segment, own in zip(segments, spans, strict=True):
        path = np.concatenate([*(spans[a] for a in segment.ancestors), own])
        above = len(path) - segment.length  # a path holds every position of the sample, in order
        for start in range(0, segment.length, QUERY_BLOCK):
            end = min(start + QUERY_BLOCK, segment.length)
            first = 0 if window is None else max(0, above + start + 1 - window)
            blocks.append(_Block(own[start:end], path[first : above + end]))
    return blocks


def _fits(batch: list[_Block], block: _Block) -> bool:
    queries = max(len(b.queries) for b in [*batch, block])
    padded = (len(batch) + 1) * queries * len(block.keys)  # keys come in ascending order
    own = sum(b.area for b in batch) + block.area
    return padded <= _AREA and padded <= _WASTE * own


def _batch(blocks: list[_Block], tokens: int, window: int | None, device: torch.device | None) -> Batch:
    queries = np.full((len(blocks), max(len(b.queries) for b in blocks)), tokens)
    keys = np.full((len(blocks), max(len(b.keys) for b in blocks)), tokens)
    lengths = np.array([len(b.keys) for b in blocks])
    before = lengths - np.array([len(b.queries) for b in blocks])
    for row, block in enumerate(blocks):
        queries[row, : len(block.queries)] = block.queries
        keys[row, : len(block.keys)] = block.keys
    # Query i sees the keys before its block, and its own up to i. Padded keys lie in every real
    # query's future; padded queries see what the last key's query sees, so no row is fully masked.
    last = np.minimum(before[:, None] + np.arange(queries.shape[1])[None], lengths[:, None] - 1)
    at = np.arange(keys.shape[1])[None, None]
    unseen = at > last[:, :, None]
    if window is not None:
        unseen |= at <= last[:, :, None] - window
    return Batch(
        torch.from_numpy(queries).to(device),
        torch.from_numpy(keys).to(device),
        torch.from_numpy(unseen)[:, None].to(device),
    )
