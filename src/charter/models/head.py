"""The language-model head at scored positions only, in chunks, never the whole ``(T, V)``.

The gradient of a log-probability with respect to its hidden state,
``W[label] - softmax(W h) W``, does not depend on the loss. So it is computed in
the forward, while the chunk's probabilities are at hand, and the backward only
scales its rows. A frozen head (LoRA) then costs two matrix products per chunk
instead of four. A trainable head needs the loss's row weights for its own
gradient, and recomputes the chunk in the backward.

Shapes: U scored rows, d width, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

CHUNK = 1024
"""Rows per product: it is at full speed, and a chunk of bf16 logits takes 100 MB at V = 49152."""

_ROWS = 32
"""Rows that go through the float32 buffer of :func:`_exponentiate` at once."""


def log_probs(hidden_U: Tensor, weight: Tensor, label_U: Tensor, temperature: float = 1.0) -> Tensor:
    """Log-probability of each label, ``(U,)`` float32.

    Args:
        hidden_U: ``(U, d)`` final hidden states, after the last norm.
        weight: ``(V, d)`` head; cast to the type of ``hidden_U``.
        label_U: ``(U,)`` token ids.
        temperature: logits are divided by it before the softmax.
    """
    out: Tensor = _LogProbs.apply(hidden_U, weight, label_U, temperature)  # type: ignore[no-untyped-call]
    return out


class _LogProbs(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden_U: Tensor, weight: Tensor, label_U: Tensor, temperature: float) -> Tensor:
        needs_hidden, needs_weight = ctx.needs_input_grad[0], ctx.needs_input_grad[1]
        cast = weight.to(hidden_U.dtype)
        logps_U = torch.empty(len(label_U), dtype=torch.float32, device=hidden_U.device)
        unit_U = torch.empty_like(hidden_U) if needs_hidden else None
        for rows in _chunks(len(label_U)):
            logits = hidden_U[rows] @ cast.T
            picked = logits.gather(1, label_U[rows, None])[:, 0].float() / temperature
            lse, total = _exponentiate(logits, temperature, write=unit_U is not None)
            logps_U[rows] = picked - lse
            if unit_U is not None:
                expected = (logits @ cast).float() / total[:, None]
                unit_U[rows] = (cast[label_U[rows]] - expected).to(unit_U.dtype)
        ctx.temperature = temperature
        ctx.save_for_backward(hidden_U if needs_weight else None, weight, label_U, unit_U)
        return logps_U

    @staticmethod
    def backward(ctx: Any, grad_U: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        hidden_U, weight, label_U, unit_U = ctx.saved_tensors
        scaled_U = grad_U / ctx.temperature
        d_hidden = None if unit_U is None else (unit_U * scaled_U[:, None]).to(unit_U.dtype)
        d_weight = None
        if ctx.needs_input_grad[1]:
            d_weight = torch.zeros(weight.shape, dtype=torch.float32, device=weight.device)
            cast = weight.to(hidden_U.dtype)
            for rows in _chunks(len(label_U)):
                probs = hidden_U[rows] @ cast.T
                _, total = _exponentiate(probs, ctx.temperature)
                # Row weights go on the small side: d_weight -= (probs * g / total).T @ hidden.
                weighted = hidden_U[rows] * (-scaled_U[rows] / total).to(cast.dtype)[:, None]
                d_weight += probs.T @ weighted
            d_weight.index_add_(0, label_U, (hidden_U * scaled_U[:, None]).float())
            d_weight = d_weight.to(weight.dtype)
        return d_hidden, d_weight, None, None


def _exponentiate(logits: Tensor, temperature: float, *, write: bool = True) -> tuple[Tensor, Tensor]:
    """Row-wise log-sum-exp and sum of ``exp(logit - max)``, in float32.

    With ``write``, ``logits`` is overwritten by those exponentials. A few rows
    at a time go through one small float32 buffer that stays in cache: passes
    over a whole float32 chunk would cost more than the matrix product.
    """
    width = logits.shape[1]
    lse = torch.empty(len(logits), dtype=torch.float32, device=logits.device)
    total = torch.empty_like(lse)
    buffer = torch.empty(_ROWS, width, dtype=torch.float32, device=logits.device)
    for rows in _chunks(len(logits), _ROWS):
        part = buffer[: rows.stop - rows.start].copy_(logits[rows])
        if temperature != 1.0:
            part.div_(temperature)
        top = part.amax(-1, keepdim=True)
        part.sub_(top).exp_()
        torch.sum(part, -1, out=total[rows])
        lse[rows] = total[rows].log() + top[:, 0]
        if write:
            logits[rows] = part
    return lse, total


@torch.no_grad()
def entropy(hidden_U: Tensor, weight: Tensor, temperature: float = 1.0) -> Tensor:
    """Entropy of the next-token distribution in nats, ``(U,)`` float32, without gradient."""
    cast = weight.to(hidden_U.dtype)
    out_U = torch.empty(len(hidden_U), dtype=torch.float32, device=hidden_U.device)
    for rows in _chunks(len(hidden_U)):
        logps = torch.log_softmax(_logits(hidden_U[rows], cast, temperature), dim=-1)
        out_U[rows] = -(logps.exp() * logps).sum(-1)
    return out_U


@torch.no_grad()
def squared_probs(hidden_U: Tensor, weight: Tensor, temperature: float = 1.0) -> Tensor:
    """Sum of the squared next-token probabilities, ``(U,)`` float32, without gradient.

    The chance that two draws agree; the expected probability of a draw.
    """
    cast = weight.to(hidden_U.dtype)
    out_U = torch.empty(len(hidden_U), dtype=torch.float32, device=hidden_U.device)
    for rows in _chunks(len(hidden_U)):
        logps = torch.log_softmax(_logits(hidden_U[rows], cast, temperature), dim=-1)
        out_U[rows] = logps.mul_(2).exp_().sum(-1)
    return out_U


@torch.no_grad()
def kl_divergence(hidden_U: Tensor, other_U: Tensor, weight: Tensor, other_weight: Tensor) -> Tensor:
    """Exact ``KL(p || q)`` of the next-token distributions in nats, ``(U,)`` float32, without gradient.

    ``p`` comes from ``hidden_U`` and ``weight``, ``q`` from ``other_U`` and ``other_weight``.
    """
    p_weight, q_weight = weight.to(hidden_U.dtype), other_weight.to(other_U.dtype)
    out_U = torch.empty(len(hidden_U), dtype=torch.float32, device=hidden_U.device)
    for rows in _chunks(len(hidden_U), CHUNK // 2):
        logp = torch.log_softmax(_logits(hidden_U[rows], p_weight, 1.0), dim=-1)
        logq = torch.log_softmax(_logits(other_U[rows], q_weight, 1.0), dim=-1)
        out_U[rows] = (logp.exp() * (logp - logq)).sum(-1)
    return out_U.clamp_min_(0.0)


def _logits(hidden: Tensor, weight: Tensor, temperature: float) -> Tensor:
    """Float32 logits of one chunk, a fresh buffer the caller may overwrite."""
    logits = hidden @ weight.T
    logits = logits.float() if logits.dtype != torch.float32 else logits
    return logits if temperature == 1.0 else logits.div_(temperature)


def _chunks(rows: int, size: int = CHUNK) -> Iterator[slice]:
    for start in range(0, rows, size):
        yield slice(start, min(start + size, rows))
