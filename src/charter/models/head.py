"""The language-model head at scored positions only, in chunks, never the whole ``(T, V)``.

The gradient of a log-probability with respect to its hidden state,
``W[label] - softmax(W h) W``, does not depend on the loss. So it is computed in
the forward, while the chunk's probabilities are at hand, and the backward only
scales its rows. A frozen head (LoRA) then costs two matrix products per chunk
instead of four. A trainable head needs the loss's row weights for its own
gradient, and recomputes the chunk in the backward.

A final softcap bends every logit to ``cap * tanh(logit / cap)`` before the
temperature; its slope ``1 - (bent / cap)^2`` multiplies the logit's gradient.

Shapes: U scored rows, d width, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

CHUNK = 1024
"""Most rows per product: it is at full speed, and a chunk of bf16 logits takes 100 MB at V = 49152."""

_CHUNK_CELLS = 1 << 26
"""Most logits per product, so that a vocabulary of 262144 takes no more memory."""

_ROWS = 32
"""Rows that go through the float32 buffer of :func:`_exponentiate` at once on a CPU."""


def log_probs(
    hidden_U: Tensor,
    weight: Tensor,
    label_U: Tensor,
    temperature: float = 1.0,
    softcap: float | None = None,
) -> Tensor:
    """Log-probability of each label, ``(U,)`` float32.

    Args:
        hidden_U: ``(U, d)`` final hidden states, after the last norm.
        weight: ``(V, d)`` head; cast to the type of ``hidden_U``.
        label_U: ``(U,)`` token ids.
        temperature: logits are divided by it before the softmax.
        softcap: logits are bent by it first; None = they are not.
    """
    out: Tensor = _LogProbs.apply(  # type: ignore[no-untyped-call]
        hidden_U, weight, label_U, temperature, softcap
    )
    return out


class _LogProbs(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, hidden_U: Tensor, weight: Tensor, label_U: Tensor, temperature: float, softcap: float | None
    ) -> Tensor:
        needs_hidden, needs_weight = ctx.needs_input_grad[0], ctx.needs_input_grad[1]
        cast = weight.to(hidden_U.dtype)
        logps_U = torch.empty(len(label_U), dtype=torch.float32, device=hidden_U.device)
        slope_U = None if softcap is None else torch.empty_like(logps_U)
        unit_U = torch.empty_like(hidden_U) if needs_hidden else None
        for rows in _chunks(len(label_U), _chunk_rows(cast)):
            logits = hidden_U[rows] @ cast.T
            picked = _bend(logits.gather(1, label_U[rows, None])[:, 0].float(), softcap)
            if slope_U is not None:
                slope_U[rows] = _slope(picked, softcap)
            lse, total = _exponentiate(logits, temperature, softcap, write=unit_U is not None)
            logps_U[rows] = picked / temperature - lse
            if unit_U is not None:
                expected = (logits @ cast).float() / total[:, None]
                own = cast[label_U[rows]]
                own = own if slope_U is None else own * slope_U[rows, None]
                unit_U[rows] = (own - expected).to(unit_U.dtype)
        ctx.temperature, ctx.softcap = temperature, softcap
        ctx.save_for_backward(hidden_U if needs_weight else None, weight, label_U, unit_U, slope_U)
        return logps_U

    @staticmethod
    def backward(ctx: Any, grad_U: Tensor) -> tuple[Tensor | None, Tensor | None, None, None, None]:
        hidden_U, weight, label_U, unit_U, slope_U = ctx.saved_tensors
        scaled_U = grad_U / ctx.temperature
        d_hidden = None if unit_U is None else (unit_U * scaled_U[:, None]).to(unit_U.dtype)
        d_weight = None
        if ctx.needs_input_grad[1]:
            d_weight = torch.zeros(weight.shape, dtype=torch.float32, device=weight.device)
            cast = weight.to(hidden_U.dtype)
            for rows in _chunks(len(label_U), _chunk_rows(cast)):
                probs = hidden_U[rows] @ cast.T
                _, total = _exponentiate(probs, ctx.temperature, ctx.softcap)
                # Row weights go on the small side: d_weight -= (probs * g / total).T @ hidden.
                weighted = hidden_U[rows] * (-scaled_U[rows] / total).to(cast.dtype)[:, None]
                d_weight += probs.T @ weighted
            own_U = scaled_U if slope_U is None else scaled_U * slope_U
            d_weight.index_add_(0, label_U, (hidden_U * own_U[:, None]).float())
            d_weight = d_weight.to(weight.dtype)
        return d_hidden, d_weight, None, None, None


def _exponentiate(
    logits: Tensor, temperature: float, softcap: float | None = None, *, write: bool = True
) -> tuple[Tensor, Tensor]:
    """Row-wise log-sum-exp and sum of ``exp(logit - max)``, in float32.

    With ``write``, ``logits`` is overwritten by those exponentials, each times its logit's slope
    under ``softcap``. On a CPU a few rows at a time go through one small float32 buffer that stays
    in cache: passes over a whole float32 chunk would cost more than the matrix product. Elsewhere
    launches are what costs, and the whole chunk goes at once.
    """
    lse = torch.empty(len(logits), dtype=torch.float32, device=logits.device)
    total = torch.empty_like(lse)
    at_once = min(_rows_at_once(logits.device), len(logits))
    buffer = torch.empty(at_once, logits.shape[1], dtype=torch.float32, device=logits.device)
    for rows in _chunks(len(logits), at_once):
        part = _bend(buffer[: rows.stop - rows.start].copy_(logits[rows]), softcap)
        slope = _slope(part, softcap) if write and softcap is not None else None
        if temperature != 1.0:
            part.div_(temperature)
        top = part.amax(-1, keepdim=True)
        part.sub_(top).exp_()
        torch.sum(part, -1, out=total[rows])
        lse[rows] = total[rows].log() + top[:, 0]
        if slope is not None:
            part.mul_(slope)
        if write:
            logits[rows] = part
    return lse, total


@torch.no_grad()
def entropy(
    hidden_U: Tensor, weight: Tensor, temperature: float = 1.0, softcap: float | None = None
) -> Tensor:
    """Entropy of the next-token distribution in nats, ``(U,)`` float32, without gradient."""
    cast = weight.to(hidden_U.dtype)
    out_U = torch.empty(len(hidden_U), dtype=torch.float32, device=hidden_U.device)
    for rows in _chunks(len(hidden_U), _chunk_rows(cast)):
        logps = torch.log_softmax(_logits(hidden_U[rows], cast, temperature, softcap), dim=-1)
        out_U[rows] = -(logps.exp() * logps).sum(-1)
    return out_U


def entropy_with_gradient(
    hidden_U: Tensor, weight: Tensor, temperature: float = 1.0, softcap: float | None = None
) -> Tensor:
    """:func:`entropy` with gradient; each chunk of logits is computed again in the backward."""

    def chunk(hidden: Tensor) -> Tensor:
        logits = (hidden @ weight.to(hidden.dtype).T).float()
        if softcap is not None:
            logits = (logits / softcap).tanh() * softcap
        logps = torch.log_softmax(logits / temperature, dim=-1)
        return -(logps.exp() * logps).sum(-1)

    parts = [
        checkpoint(chunk, hidden_U[rows], use_reentrant=False)
        for rows in _chunks(len(hidden_U), _chunk_rows(weight))
    ]
    return torch.cat(parts) if parts else hidden_U.new_zeros(0, dtype=torch.float32)


@torch.no_grad()
def squared_probs(
    hidden_U: Tensor, weight: Tensor, temperature: float = 1.0, softcap: float | None = None
) -> Tensor:
    """Sum of the squared next-token probabilities, ``(U,)`` float32, without gradient.

    The chance that two draws agree; the expected probability of a draw.
    """
    cast = weight.to(hidden_U.dtype)
    out_U = torch.empty(len(hidden_U), dtype=torch.float32, device=hidden_U.device)
    for rows in _chunks(len(hidden_U), _chunk_rows(cast)):
        logps = torch.log_softmax(_logits(hidden_U[rows], cast, temperature, softcap), dim=-1)
        out_U[rows] = logps.mul_(2).exp_().sum(-1)
    return out_U


@torch.no_grad()
def top(
    hidden_U: Tensor, weight: Tensor, k: int, temperature: float = 1.0, softcap: float | None = None
) -> tuple[Tensor, Tensor]:
    """The ``k`` most probable next tokens, without gradient.

    Returns:
        log-probabilities ``(U, k)`` float32, descending, and token ids ``(U, k)`` int64.
    """
    cast = weight.to(hidden_U.dtype)
    logps_UK = torch.empty(len(hidden_U), k, dtype=torch.float32, device=hidden_U.device)
    ids_UK = torch.empty(len(hidden_U), k, dtype=torch.long, device=hidden_U.device)
    for rows in _chunks(len(hidden_U), _chunk_rows(cast)):
        logits = _logits(hidden_U[rows], cast, temperature, softcap)
        values, ids_UK[rows] = logits.topk(k, -1)
        logps_UK[rows] = values - logits.logsumexp(-1, keepdim=True)
    return logps_UK, ids_UK


@torch.no_grad()
def kl_divergence(
    hidden_U: Tensor,
    other_U: Tensor,
    weight: Tensor,
    other_weight: Tensor,
    softcap: float | None = None,
    other_softcap: float | None = None,
) -> Tensor:
    """Exact ``KL(p || q)`` of the next-token distributions in nats, ``(U,)`` float32, without gradient.

    ``p`` comes from ``hidden_U``, ``weight`` and ``softcap``, ``q`` from the others.
    """
    p_weight, q_weight = weight.to(hidden_U.dtype), other_weight.to(other_U.dtype)
    out_U = torch.empty(len(hidden_U), dtype=torch.float32, device=hidden_U.device)
    for rows in _chunks(len(hidden_U), -(-_chunk_rows(p_weight) // 2)):
        logp = torch.log_softmax(_logits(hidden_U[rows], p_weight, 1.0, softcap), dim=-1)
        logq = torch.log_softmax(_logits(other_U[rows], q_weight, 1.0, other_softcap), dim=-1)
        out_U[rows] = (logp.exp() * (logp - logq)).sum(-1)
    return out_U.clamp_min_(0.0)


def bend(logits: Tensor, softcap: float | None) -> Tensor:
    """Logits under a final softcap, float32 (overwritten if they were); as they are where there is none."""
    return logits if softcap is None else _bend(logits.float(), softcap)


def _bend(logits: Tensor, softcap: float | None) -> Tensor:
    """``softcap * tanh(logits / softcap)``, in place."""
    return logits if softcap is None else logits.div_(softcap).tanh_().mul_(softcap)


def _slope(bent: Tensor, softcap: float | None) -> Tensor:
    assert softcap is not None
    return 1.0 - (bent / softcap).square_()


def _logits(hidden: Tensor, weight: Tensor, temperature: float, softcap: float | None) -> Tensor:
    """Float32 logits of one chunk, a fresh buffer the caller may overwrite."""
    logits = hidden @ weight.T
    logits = _bend(logits.float() if logits.dtype != torch.float32 else logits, softcap)
    return logits if temperature == 1.0 else logits.div_(temperature)


def _rows_at_once(device: torch.device) -> int:
    return _ROWS if device.type == "cpu" else CHUNK


def _chunk_rows(weight: Tensor) -> int:
    return max(1, min(CHUNK, _CHUNK_CELLS // weight.shape[0]))


def _chunks(rows: int, size: int) -> Iterator[slice]:
    for start in range(0, rows, size):
        yield slice(start, min(start + size, rows))
