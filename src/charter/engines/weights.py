"""A frozen copy of the policy's weights in the form the decoder reads fastest.

Decoding reads every weight once per token, so the layout decides the speed:
projections of the same input are one matrix, and on CPUs with bfloat16
products the matrices are kept in the library's own blocked layout, which at 8
rows doubles the speed. LoRA adapters stay apart: merged into a bfloat16 matrix,
a small update would be rounded away.

Being a copy, it cannot change while training goes on: weights and version
number are replaced together.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from charter.errors import EnvironmentFault, TrainingFault
from charter.models import blocks
from charter.models.architecture import Architecture, architecture_of


class Matrix:
    """One weight matrix ``(out, in)`` and its product."""

    def __init__(self, weight: Tensor, bias: Tensor | None = None) -> None:
        self._packed = _can_pack(weight.device.type, weight.dtype)
        self._bias = bias
        self._weight: Tensor = (
            torch.ops.mkldnn._reorder_linear_weight(weight, None) if self._packed else weight.contiguous()
        )

    def __call__(self, x: Tensor) -> Tensor:
        """``x @ weight.T + bias``, in ``x``'s type."""
        if self._packed:
            out: Tensor = torch.ops.mkldnn._linear_pointwise(x, self._weight, self._bias, "none", [], "")
            return out
        return F.linear(x, self._weight, self._bias)


@dataclass(frozen=True, slots=True)
class Projection:
    """Linear layers of the same input as one, with their adapters beside them.

    Attributes:
        base: the frozen matrices, stacked.
        down: all adapters' first matrices, stacked; None without adapters.
        up: their second matrices, scaled, on the diagonal.
    """

    base: Matrix
    down: Matrix | None = None
    up: Matrix | None = None

    def __call__(self, x: Tensor, adapter: bool) -> Tensor:
        """Apply to ``x (T, in)``; ``adapter`` False = as if none were attached."""
        out = self.base(x)
        if adapter and self.down is not None and self.up is not None:
            out.add_(self.up(self.down(x)))
        return out


@dataclass(frozen=True, slots=True)
class Layer:
    """The weights of one layer; a norm the architecture lacks is None."""

    before_attention: Tensor
    qkv: Projection
    q_norm: Tensor | None
    k_norm: Tensor | None
    out: Projection
    after_attention: Tensor | None
    before_mlp: Tensor
    gate_up: Projection
    down: Projection
    after_mlp: Tensor | None


@dataclass(frozen=True, slots=True)
class Weights:
    """All the decoder needs, and the version it is of."""

    version: int
    arch: Architecture
    dtype: torch.dtype
    embedding: Tensor
    layers: tuple[Layer, ...]
    norm: Tensor
    head: Matrix
    vocab_size: int
    has_adapter: bool


@torch.no_grad()
def snapshot(model: Any, version: int, dtype: torch.dtype) -> Weights:
    """Copy the weights of a Llama-style ``model``, with or without a LoRA adapter.

    Raises:
        TrainingFault: a weight is not finite.
        EnvironmentFault: a layer or adapter the one forward does not know.
    """
    check_finite(model)
    stack: Any = blocks.backbone(model)
    head = blocks.head_weight(model)
    arch = architecture_of(model.config)
    layers = tuple(_layer(layer, arch, dtype) for layer in stack.layers)
    return Weights(
        version=version,
        arch=arch,
        dtype=dtype,
        embedding=_own(blocks.weight_of(stack.embed_tokens)),
        layers=layers,
        norm=_own(blocks.weight_of(stack.norm)),
        head=Matrix(_copy(head, dtype)),
        vocab_size=head.shape[0],
        has_adapter=any(
            part.down is not None
            for layer in layers
            for part in (layer.qkv, layer.out, layer.gate_up, layer.down)
        ),
    )


@torch.no_grad()
def check_finite(model: nn.Module) -> None:
    """Refuse weights that hold NaN or infinity, by name.

    Raises:
        TrainingFault: one does.
    """
    for name, parameter in model.named_parameters():
        # The float32 sum is finite exactly when every entry is, short of sums beyond 3e38.
        if not bool(torch.isfinite(parameter.sum(dtype=torch.float32))):
            raise TrainingFault(
                f"the weights are not finite: {name}",
                fix="training diverged: go back to an earlier checkpoint",
            )


def _layer(layer: Any, arch: Architecture, dtype: torch.dtype) -> Layer:
    attention, block, norms = layer.self_attn, layer.mlp, arch.norms
    qkv = ("qkv_proj",) if arch.fused else ("q_proj", "k_proj", "v_proj")
    gate_up = ("gate_up_proj",) if arch.fused else ("gate_proj", "up_proj")
    return Layer(
        before_attention=_norm(layer, norms.before_attention),
        qkv=_projection([getattr(attention, name) for name in qkv], dtype),
        q_norm=_norm(attention, "q_norm") if arch.head_norms else None,
        k_norm=_norm(attention, "k_norm") if arch.head_norms else None,
        out=_projection((attention.o_proj,), dtype),
        after_attention=_norm(layer, norms.after_attention) if norms.after_attention else None,
        before_mlp=_norm(layer, norms.before_mlp),
        gate_up=_projection([getattr(block, name) for name in gate_up], dtype),
        down=_projection((block.down_proj,), dtype),
        after_mlp=_norm(layer, norms.after_mlp) if norms.after_mlp else None,
    )


def _norm(parent: nn.Module, name: str) -> Tensor:
    return _own(blocks.weight_of(getattr(parent, name)))


def _projection(modules: Sequence[nn.Module], dtype: torch.dtype) -> Projection:
    linears = [_base(module) for module in modules]
    weight = torch.cat([_copy(linear.weight, dtype) for linear in linears])
    adapters = [_adapter(module, dtype) for module in modules]
    downs = [a for a, _ in adapters if a is not None]
    if not downs:
        return Projection(Matrix(weight, _biases(linears, dtype)))
    ups = [
        b if b is not None else weight.new_zeros(linear.weight.shape[0], 0)
        for linear, (_, b) in zip(linears, adapters, strict=True)
    ]
    return Projection(
        Matrix(weight, _biases(linears, dtype)),
        Matrix(torch.cat(downs)),
        Matrix(
            torch.block_diag(*ups)  # type: ignore[no-untyped-call]
        ),
    )


def _base(module: nn.Module) -> nn.Linear:
    linear = blocks.base_layer(module)
    if blocks.is_quantized(linear):
        raise EnvironmentFault("the decoder does not read quantised weights")
    return linear


def _adapter(module: nn.Module, dtype: torch.dtype) -> tuple[Tensor | None, Tensor | None]:
    """The active adapters of one layer, stacked: ``(R, in)`` and scaled ``(out, R)``."""
    found = blocks.adapters_of(module)
    if not found:
        return None, None
    # Scaled after the cast, as the scoring forward does.
    ups = [_copy(adapter.up, dtype) * adapter.scaling for adapter in found]
    return torch.cat([_copy(adapter.down, dtype) for adapter in found]), torch.cat(ups, 1)


def _biases(linears: Sequence[nn.Linear], dtype: torch.dtype) -> Tensor | None:
    if all(linear.bias is None for linear in linears):
        return None
    return torch.cat(
        [
            linear.weight.new_zeros(linear.weight.shape[0], dtype=dtype)
            if linear.bias is None
            else _copy(linear.bias, dtype)
            for linear in linears
        ]
    )


def _own(weight: Tensor) -> Tensor:
    """The weight in its own type; a copy where training may change it."""
    return weight.detach().clone() if weight.requires_grad else weight.detach()


def _copy(weight: Tensor, dtype: torch.dtype) -> Tensor:
    return weight.detach().to(dtype, copy=True)


@functools.cache
def _can_pack(device: str, dtype: torch.dtype) -> bool:
    """Whether this machine and build of torch have the blocked layout for matrix products."""
    if device != "cpu" or dtype != torch.bfloat16 or not torch._C._has_mkldnn:
        return False
    try:
        if not torch.ops.mkldnn._is_mkldnn_bf16_supported():
            return False
        packed = torch.ops.mkldnn._reorder_linear_weight(torch.eye(4, dtype=dtype), None)
        x = torch.ones(1, 4, dtype=dtype)
        product = torch.ops.mkldnn._linear_pointwise(x, packed, None, "none", [], "")
    except (AttributeError, RuntimeError, TypeError):
        return False  # no such operator here: the plain product gives the same numbers, slower
    return bool(torch.equal(product, x))
