"""Layer pieces that keep less for the backward than autograd would.

Each has its gradient written out, so that only inputs are saved and few
temporaries are made.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from charter.models.architecture import Activation


def rms_norm(x: Tensor, weight: Tensor, eps: float, dtype: torch.dtype, shifted: bool = False) -> Tensor:
    """Root-mean-square norm over the last dimension, computed in float32, returned in ``dtype``.

    Rounds where transformers rounds: the normed value before the weight, or with ``shifted``
    (the weight is an offset from one) the product.
    """
    out: Tensor = _RMSNorm.apply(x, weight, eps, dtype, shifted)  # type: ignore[no-untyped-call]
    return out


class _RMSNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, eps: float, dtype: torch.dtype, shifted: bool) -> Tensor:
        rstd = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=torch.float32)
        rstd.square_().div_(x.shape[-1]).add_(eps).rsqrt_()
        ctx.save_for_backward(x, weight, rstd)
        ctx.shifted = shifted
        normed: Tensor = x * rstd  # float32, as rstd is
        if shifted:
            return normed.mul_(1.0 + weight.float()).to(dtype)
        return normed.to(dtype).mul_(weight.to(dtype))

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor | None, None, None, None]:
        x, weight, rstd = ctx.saved_tensors
        grad = grad.float()
        normed = x * rstd
        d_weight = None
        if ctx.needs_input_grad[1]:
            d_weight = (grad * normed).flatten(0, -2).sum(0).to(weight.dtype)
        grad = grad * (1.0 + weight.float() if ctx.shifted else weight.float())
        inner = (grad * normed).mean(-1, keepdim=True)
        d_x = grad.sub_(normed.mul_(inner)).mul_(rstd).to(x.dtype)
        return d_x, d_weight, None, None, None


def gated(gate: Tensor, up: Tensor, activation: Activation) -> Tensor:
    """``activation(gate) * up``."""
    out: Tensor = _Gated.apply(gate, up, activation)  # type: ignore[no-untyped-call]
    return out


class _Gated(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, gate: Tensor, up: Tensor, activation: Activation) -> Tensor:
        ctx.save_for_backward(gate, up)
        ctx.activation = activation
        return _activated(gate, activation).mul_(up)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        gate, up = ctx.saved_tensors
        d_up = _activated(gate, ctx.activation).mul_(grad)
        if ctx.activation == "silu":
            return torch.ops.aten.silu_backward(grad * up, gate), d_up, None
        return torch.ops.aten.gelu_backward(grad * up, gate, approximate="tanh"), d_up, None


def _activated(gate: Tensor, activation: Activation) -> Tensor:
    return F.silu(gate) if activation == "silu" else F.gelu(gate, approximate="tanh")


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Apply rotary embedding: ``x (T, heads, D)`` with ``cos, sin (T, R)``; what is behind R stays.

    The two halves of ``cos`` and ``sin`` are equal, as everywhere in transformers.
    """
    out: Tensor = _Rotate.apply(x, cos, sin)  # type: ignore[no-untyped-call]
    return out


class _Rotate(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        ctx.save_for_backward(cos, sin)
        return _turned(x, cos[:, None], sin[:, None])

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        cos, sin = ctx.saved_tensors
        return _turned(grad, cos[:, None], -sin[:, None]), None, None  # a rotation back


def _turned(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    width = cos.shape[-1]
    half = width // 2
    first, second = x[..., :half], x[..., half:width]
    if width == x.shape[-1]:
        out = x * cos
    else:
        out = x.clone()
        out[..., :width].mul_(cos)
    out[..., :half].sub_(second * sin[..., :half])
    out[..., half:width].add_(first * sin[..., half:])
    return out
