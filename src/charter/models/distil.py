"""The divergence between two models' next-token distributions, in chunks, never two whole ``(U, V)``.

As in :mod:`charter.models.head`, the gradient of a row with respect to its hidden
state does not depend on the loss, so it is computed in the forward, while the
chunk's probabilities are at hand; a trainable head recomputes the chunk in the
backward. With ``p`` the student, ``q`` the teacher and ``w`` the derivative of the
divergence by the log-probabilities, the student's logits get ``w - p sum(w)``:

    forward KL   w = -q
    reverse KL   w = p (log p - log q)
    JSD          w = (1 - beta) p (log p - log m),  m = beta q + (1 - beta) p

With ``top_k``, ``w`` is that of the K + 1 categories, and the bucket's share goes to
the tokens in it in proportion to their probability.

Shapes: U distinct scored positions, K rows to compare, V vocabulary, C categories, d width.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from charter.data.packing import Packed
from charter.models import blocks, plain
from charter.models.score import final_softcap, hidden_states, is_llama_style
from charter.objectives.distillation import Divergence, bucketed, mixture

_ROWS = 1024
_CELLS = 1 << 23
"""Most logits of one model at once: several float32 buffers of this size are alive."""


@dataclass(frozen=True, slots=True)
class NextToken:
    """A model's next-token distributions at the scored positions, not yet computed.

    Attributes:
        rows_U: final hidden states ``(U, d)``; where ``weight`` is None, the logits ``(U, V)``.
        weight: the head, ``(V, d)``.
        softcap: logits become ``cap * tanh(logit / cap)``; None = they stay.
    """

    rows_U: Tensor
    weight: Tensor | None
    softcap: float | None = None

    def detached(self) -> NextToken:
        """The same without gradient, and unchanged when the model's weights are exchanged."""
        weight = None if self.weight is None else self.weight.detach()
        return NextToken(self.rows_U.detach(), weight, self.softcap)


def next_token(model: nn.Module, packed: Packed, compute_dtype: torch.dtype) -> NextToken:
    """The distributions of ``model`` at the scored positions of ``packed``."""
    if not is_llama_style(model):
        return NextToken(plain.logits(model, packed, compute_dtype).float(), None)
    rows_U = hidden_states(model, packed, compute_dtype)
    return NextToken(rows_U, blocks.head_weight(model), final_softcap(model))


def divergence(
    student: NextToken, teacher: NextToken, student_K: Tensor, teacher_K: Tensor, how: Divergence
) -> Tensor:
    """``how`` between some rows of two models, ``(K,)`` float32; only the student carries gradient.

    Args:
        student, teacher: of :func:`next_token`.
        student_K, teacher_K: which row of each, pair by pair.
        how: see :class:`charter.objectives.distillation.Divergence`.
    """
    ours, theirs = student.rows_U[student_K], teacher.rows_U[teacher_K].detach()
    if student.weight is None or teacher.weight is None:
        return how(ours, theirs)
    out: Tensor = _Divergence.apply(  # type: ignore[no-untyped-call]
        ours, student.weight, theirs, teacher.weight.detach(), how, (student.softcap, teacher.softcap)
    )
    return out


Softcaps = tuple[float | None, float | None]


class _Divergence(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, ours: Tensor, weight: Tensor, theirs: Tensor, other: Tensor, how: Divergence, caps: Softcaps
    ) -> Tensor:
        needs_hidden, needs_weight = ctx.needs_input_grad[0], ctx.needs_input_grad[1]
        cast, other_cast = weight.to(ours.dtype), other.to(theirs.dtype)
        value_K = torch.empty(len(ours), dtype=_wide(ours.dtype), device=ours.device)
        unit_K = torch.empty_like(ours) if needs_hidden else None
        for rows in _chunks(len(ours), len(cast)):
            logits, slope = _bent(ours[rows] @ cast.T, how.temperature, caps[0])
            logits_q, _ = _bent(theirs[rows] @ other_cast.T, how.temperature, caps[1])
            value_K[rows], d_logits = _compare(logits, logits_q, how, gradient=needs_hidden)
            if unit_K is not None:
                unit_K[rows] = d_logits.mul_(slope).to(cast.dtype) @ cast
        ctx.how, ctx.caps = how, caps
        kept = (ours, theirs) if needs_weight else (None, None)
        ctx.save_for_backward(*kept, weight, other, unit_K)
        return value_K

    @staticmethod
    def backward(ctx: Any, grad_K: Tensor) -> tuple[Tensor | None, Tensor | None, None, None, None, None]:
        ours, theirs, weight, other, unit_K = ctx.saved_tensors
        d_hidden = None if unit_K is None else (unit_K * grad_K[:, None]).to(unit_K.dtype)
        d_weight = None
        if ctx.needs_input_grad[1]:
            d_weight = torch.zeros(weight.shape, dtype=_wide(weight.dtype), device=weight.device)
            cast, other_cast = weight.to(ours.dtype), other.to(theirs.dtype)
            for rows in _chunks(len(ours), len(cast)):
                logits, slope = _bent(ours[rows] @ cast.T, ctx.how.temperature, ctx.caps[0])
                logits_q, _ = _bent(theirs[rows] @ other_cast.T, ctx.how.temperature, ctx.caps[1])
                _, d_logits = _compare(logits, logits_q, ctx.how, gradient=True)
                weighted = ours[rows] * grad_K[rows, None].to(ours.dtype)
                d_weight += d_logits.mul_(slope).to(cast.dtype).T @ weighted
            d_weight = d_weight.to(weight.dtype)
        return d_hidden, d_weight, None, None, None, None


def _bent(logits: Tensor, temperature: float, softcap: float | None) -> tuple[Tensor, float | Tensor]:
    """Float32 logits as the softmax takes them, and their derivative by the head's product."""
    logits = logits.to(_wide(logits.dtype))
    if softcap is None:
        return (logits if temperature == 1.0 else logits.div_(temperature)), 1.0 / temperature
    bent = logits.div_(softcap).tanh_()
    return bent * (softcap / temperature), bent.square_().neg_().add_(1.0).div_(temperature)


def _compare(
    logits: Tensor, teacher_logits: Tensor, how: Divergence, *, gradient: bool
) -> tuple[Tensor, Tensor]:
    """The divergence of each row, and on request its gradient by the student's logits ``(rows, V)``."""
    logp, logq = torch.log_softmax(logits, -1), torch.log_softmax(teacher_logits, -1)
    if how.top_k is None or how.top_k >= logp.shape[-1]:
        value, w = _value(logp, logq, how)
        return value, w.sub_(logp.exp_().mul_(w.sum(-1, keepdim=True))) if gradient else w
    index = logq.topk(how.top_k, -1).indices
    logp_C = bucketed(logp, index)
    value, w_C = _value(logp_C, bucketed(logq, index), how)
    if not gradient:
        return value, w_C
    total, bucket = w_C.sum(-1, keepdim=True), w_C[:, -1:]
    within = (logp - logp_C[:, -1:]).exp_().mul_(bucket).scatter_(-1, index, w_C[:, :-1])
    return value, within.sub_(logp.exp_().mul_(total))


def _value(logp: Tensor, logq: Tensor, how: Divergence) -> tuple[Tensor, Tensor]:
    """The divergence of each row, and ``w`` of the module's formula."""
    if how.kind == "forward_kl":
        q = logq.exp()
        return (q * (logq - logp)).sum(-1), q.neg_()
    if how.kind == "reverse_kl":
        w = logp.exp().mul_(logp - logq)
        return w.sum(-1), w
    logm = mixture(logp, logq, how.beta)
    w = logp.exp().mul_(logp - logm).mul_(1 - how.beta)
    return how.beta * (logq.exp() * (logq - logm)).sum(-1) + w.sum(-1), w


def _wide(dtype: torch.dtype) -> torch.dtype:
    return dtype if dtype == torch.float64 else torch.float32


def _chunks(rows: int, vocabulary: int) -> Iterator[slice]:
    size = min(_ROWS, max(_CELLS // vocabulary, 1))
    for start in range(0, rows, size):
        yield slice(start, min(start + size, rows))
