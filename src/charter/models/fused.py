"""Layer pieces that keep less for the backward than autograd would.

Each is the plain formula of :mod:`charter.models.blocks`, with its gradient
written out so that only inputs are saved.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


def rms_norm(x: Tensor, weight: Tensor, eps: float, dtype: torch.dtype) -> Tensor:
    """Root-mean-square norm of float32 ``x (T, d)``, returned in ``dtype``."""
    out: Tensor = _RMSNorm.apply(x, weight, eps, dtype)  # type: ignore[no-untyped-call]
    return out


class _RMSNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, eps: float, dtype: torch.dtype) -> Tensor:
        rstd = torch.linalg.vector_norm(x, dim=-1, keepdim=True).square_().div_(x.shape[-1])
        rstd.add_(eps).rsqrt_()
        ctx.save_for_backward(x, weight, rstd)
        normed: Tensor = (x * rstd).to(dtype)
        return normed.mul_(weight.to(dtype))

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor | None, None, None]:
        x, weight, rstd = ctx.saved_tensors
        grad = grad.float()
        normed = x * rstd
        d_weight = (grad * normed).sum(0).to(weight.dtype) if ctx.needs_input_grad[1] else None
        grad = grad * weight.float()
        inner = (grad * normed).mean(-1, keepdim=True)
        return grad.sub_(normed.mul_(inner)).mul_(rstd), d_weight, None, None


def swiglu(gate: Tensor, up: Tensor) -> Tensor:
    """``silu(gate) * up``."""
    out: Tensor = _SwiGLU.apply(gate, up)  # type: ignore[no-untyped-call]
    return out


class _SwiGLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, gate: Tensor, up: Tensor) -> Tensor:
        ctx.save_for_backward(gate, up)
        return F.silu(gate).mul_(up)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
        gate, up = ctx.saved_tensors
        d_up = F.silu(gate).mul_(grad)
        d_gate = torch.ops.aten.silu_backward(grad * up, gate)
        return d_gate, d_up
