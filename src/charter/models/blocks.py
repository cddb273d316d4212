"""The arithmetic of a Llama-style layer, over the modules transformers loaded.

Both the scoring forward (:mod:`charter.models.score`) and the decoder
(:mod:`charter.engines.local`) are built from these functions, so they agree.
Weights stay where transformers and peft put them: what is trained here loads
there. Weights are cast to the compute type where they are used; a trainable
weight held in float32 is its own master copy, and its gradient arrives in
float32.

Shapes: T tokens of a flat stream, d model width, H query heads, K key-value
heads, D head width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from peft.tuners.lora import Linear as LoraLinear
from torch import Tensor, nn

from charter.errors import EnvironmentFault

LLAMA_STYLE = ("llama",)
"""``config.model_type`` values the one forward computes itself."""


@dataclass(frozen=True, slots=True)
class Shape:
    """The numbers of the architecture."""

    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    width: int
    eps: float


def shape_of(config: Any) -> Shape:
    """Read the architecture's numbers from a transformers config."""
    heads = config.num_attention_heads
    return Shape(
        layers=config.num_hidden_layers,
        heads=heads,
        kv_heads=config.num_key_value_heads or heads,
        head_dim=getattr(config, "head_dim", None) or config.hidden_size // heads,
        width=config.hidden_size,
        eps=config.rms_norm_eps,
    )


def backbone(model: Any) -> nn.Module:
    """The decoder stack (``embed_tokens``, ``layers``, ``norm``) under any peft wrapper."""
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    return inner.model  # type: ignore[no-any-return]


def head_weight(model: Any) -> Tensor:
    """The language-model head, ``(V, d)``; may be tied to the embedding.

    A model with a reward head alone speaks through its embedding.
    """
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    head = getattr(inner, "lm_head", None) or inner.get_input_embeddings()
    return head.weight  # type: ignore[no-any-return]


def linear(module: nn.Module, x: Tensor) -> Tensor:
    """``module(x)`` in ``x``'s type, for a plain or a LoRA linear layer.

    peft runs the adapter in the adapter's own type (float32); here both the
    frozen weight and the adapter are applied in the compute type.
    """
    if isinstance(module, LoraLinear):
        base = module.get_base_layer()
        out = F.linear(x, _cast(base.weight, x), _cast_or_none(base.bias, x))
        if module.disable_adapters or module.merged:
            return out
        for name in module.active_adapters:
            if name not in module.lora_A:
                continue
            if module.use_dora.get(name, False):
                raise EnvironmentFault("DoRA adapters are not supported by the one forward")
            dropped = module.lora_dropout[name](x)
            a, b = module.lora_A[name].weight, module.lora_B[name].weight
            scaled = _cast(b, x) * module.scaling[name]
            out = out + F.linear(F.linear(dropped, _cast(a, x)), scaled)
        return out
    if not isinstance(module, nn.Linear):
        raise EnvironmentFault(f"the one forward cannot apply a {type(module).__name__} layer")
    return F.linear(x, _cast(module.weight, x), _cast_or_none(module.bias, x))


def rms_norm(x: Tensor, weight: Tensor, eps: float, dtype: torch.dtype) -> Tensor:
    """Root-mean-square norm computed in float32, returned in ``dtype``.

    Rounds where transformers rounds (the normed value, before the weight).
    """
    x32 = x.float()
    normed = x32 * torch.rsqrt(x32.square().mean(-1, keepdim=True) + eps)
    return _cast(weight, normed.to(dtype)) * normed.to(dtype)


def rope_tables(model_backbone: nn.Module, positions_T: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Rotary cosines and sines at ``positions_T``, each ``(T, D)``; any rope scaling transformers knows."""
    probe = torch.empty(1, dtype=dtype, device=positions_T.device)
    cos, sin = model_backbone.rotary_emb(probe, positions_T[None])  # type: ignore[operator]
    return cos[0], sin[0]


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Apply rotary embedding: ``x (T, heads, D)`` with ``cos, sin (T, D)``."""
    first, second = x.chunk(2, dim=-1)
    turned = torch.cat((-second, first), dim=-1)
    return x * cos[:, None] + turned * sin[:, None]


def qkv(layer: Any, x: Tensor, shape: Shape, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Queries ``(T, H, D)`` and keys, values ``(T, K, D)``, rotated."""
    attention = layer.self_attn
    q = linear(attention.q_proj, x).view(-1, shape.heads, shape.head_dim)
    k = linear(attention.k_proj, x).view(-1, shape.kv_heads, shape.head_dim)
    v = linear(attention.v_proj, x).view(-1, shape.kv_heads, shape.head_dim)
    return rotate(q, cos, sin), rotate(k, cos, sin), v


def mlp(layer: Any, x: Tensor) -> Tensor:
    """The gated feed-forward block."""
    block = layer.mlp
    return linear(block.down_proj, block.act_fn(linear(block.gate_proj, x)) * linear(block.up_proj, x))


def _cast(weight: Tensor, like: Tensor) -> Tensor:
    return weight if weight.dtype == like.dtype else weight.to(like.dtype)


def _cast_or_none(bias: Tensor | None, like: Tensor) -> Tensor | None:
    return None if bias is None else _cast(bias, like)
