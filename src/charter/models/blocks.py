"""The arithmetic of a layer, over the modules transformers loaded.

Both the scoring forward (:mod:`charter.models.score`) and the decoder
(:mod:`charter.engines.local`) are built from these functions, so they agree.
Weights stay where transformers and peft put them: what is trained here loads
there. Weights are cast to the compute type where they are used; a trainable
weight held in float32 is its own master copy, and its gradient arrives in
float32. What differs between families of models is in
:class:`~charter.models.architecture.Architecture`.

Shapes: T tokens of a flat stream, d model width, H query heads, K key-value
heads, D head width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from peft.tuners.lora.layer import LoraLayer
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor, nn

from charter.errors import EnvironmentFault
from charter.models.architecture import Architecture
from charter.models.fused import gated, rms_norm, rotate

_PLAIN = (torch.float32, torch.bfloat16, torch.float16, torch.float64)


def backbone(model: Any) -> nn.Module:
    """The decoder stack (``embed_tokens``, ``layers``, ``norm``) under any peft wrapper."""
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    return inner.model  # type: ignore[no-any-return]


def head_weight(model: Any) -> Tensor:
    """The language-model head, ``(V, d)``; may be tied to the embedding.

    A model with a reward head alone speaks through its embedding.

    Raises:
        EnvironmentFault: it has a reward head alone, and its language-model head was another matrix.
    """
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    head = getattr(inner, "lm_head", None)
    if head is None and not inner.config.tie_word_embeddings:
        raise EnvironmentFault(
            "a reward model whose embeddings are not tied has no language-model head left",
            fix="train a loss on text beside rewards only from a model with tied embeddings",
        )
    return weight_of(head or inner.get_input_embeddings())


def weight_of(module: nn.Module) -> Tensor:
    """The weight of an embedding, a head or a norm, as it acts now.

    Raises:
        EnvironmentFault: an adapter on it changes what it does, which its weight does not show.
    """
    if isinstance(module, BaseTunerLayer):
        raise EnvironmentFault(
            f"the one forward cannot apply an adapter on {type(module.get_base_layer()).__name__}",
            fix="train adapters on the linear layers inside the decoder, or merge this one into its base",
        )
    return module.weight  # type: ignore[return-value]


# -- linear layers --------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Adapter:
    """One active LoRA adapter of a linear layer: ``x`` gains ``scaling * up(down(dropout(x)))``."""

    down: Tensor
    up: Tensor
    scaling: float
    dropout: nn.Module


def linear(module: nn.Module, x: Tensor) -> Tensor:
    """``module(x)`` in ``x``'s type, for a plain, quantised or LoRA linear layer.

    peft runs the adapter in the adapter's own type (float32); here both the
    frozen weight and the adapter are applied in the compute type.
    """
    out = _product(base_layer(module), x)
    for adapter in adapters_of(module):
        scaled = _cast(adapter.up, x) * adapter.scaling
        out = out + F.linear(F.linear(adapter.dropout(x), _cast(adapter.down, x)), scaled)
    return out


def base_layer(module: nn.Module) -> nn.Linear:
    """The linear layer itself, under its LoRA adapter if it has one.

    Raises:
        EnvironmentFault: it is something else, or has another kind of adapter.
    """
    inner: Any = module.get_base_layer() if isinstance(module, LoraLayer) else module
    if not isinstance(inner, nn.Linear) or isinstance(inner, BaseTunerLayer):
        kind = f"{type(inner).__module__.split('.')[0]} {type(inner).__name__}"
        raise EnvironmentFault(
            f"the one forward cannot apply a {kind} layer",
            fix="merge the adapter into its base, or train LoRA adapters without modules_to_save",
        )
    return inner


def adapters_of(module: nn.Module) -> list[Adapter]:
    """The LoRA adapters that act on a linear layer now.

    Raises:
        EnvironmentFault: one is not plain ``down``, ``up`` and scaling (rank-stabilised scaling is).
    """
    if not isinstance(module, LoraLayer):
        return []
    if module.merged:
        if module.disable_adapters:
            raise EnvironmentFault(
                "an adapter that is merged into its base cannot be switched off", fix="unmerge it"
            )
        return []
    if module.disable_adapters:
        return []
    found = []
    for name in module.active_adapters:
        if name not in module.lora_A:
            continue
        if variant := module.lora_variant.get(name):
            kind = type(variant).__name__.removesuffix("LinearVariant")
            kind = "DoRA" if kind.lower().startswith("dora") else kind
            raise EnvironmentFault(f"{kind} adapters are not supported", fix="train a plain LoRA adapter")
        if module.lora_A[name].bias is not None or module.lora_B[name].bias is not None:
            raise EnvironmentFault("adapters with lora_bias are not supported", fix="train without lora_bias")
        found.append(
            Adapter(
                module.lora_A[name].weight,
                module.lora_B[name].weight,
                module.scaling[name],
                module.lora_dropout[name],
            )
        )
    return found


def is_quantized(layer: nn.Linear) -> bool:
    """Whether the weight is stored in a form only the layer itself can multiply by."""
    return layer.weight.dtype not in _PLAIN or hasattr(layer.weight, "quant_state")


def _product(layer: nn.Linear, x: Tensor) -> Tensor:
    if is_quantized(layer):
        out: Tensor = layer(x)
        return out.to(x.dtype)
    bias = None if layer.bias is None else _cast(layer.bias, x)
    return F.linear(x, _cast(layer.weight, x), bias)


def _cast(weight: Tensor, like: Tensor) -> Tensor:
    return weight if weight.dtype == like.dtype else weight.to(like.dtype)


# -- a layer --------------------------------------------------------------------------


def embed(weight: Tensor, ids_T: Tensor, arch: Architecture, dtype: torch.dtype) -> Tensor:
    """Token embeddings, ``(T, d)`` float32: the start of the residual stream."""
    stream = F.embedding(ids_T, weight).float()
    if arch.embedding_scale == 1.0:
        return stream
    # Rounded to the compute type, as a model in that type has it.
    return stream * torch.tensor(arch.embedding_scale, dtype=dtype).item()


def norm(module: nn.Module, x: Tensor, arch: Architecture, dtype: torch.dtype) -> Tensor:
    """One of the model's norms."""
    return rms_norm(x, weight_of(module), arch.shape.eps, dtype, arch.shifted_norm)


def rope_tables(
    model_backbone: nn.Module, positions_T: Tensor, arch: Architecture, dtype: torch.dtype
) -> dict[str, tuple[Tensor, Tensor]]:
    """Rotary cosines and sines at ``positions_T``, each ``(T, R)``, by the names in ``arch.ropes``.

    Any scaling transformers knows. Where angles depend on the length of the text (``arch.fixed_rope``
    is False), that is the longest sample of the stream, as it is of the batch in transformers.
    """
    probe = torch.empty(1, dtype=dtype, device=positions_T.device)
    made = {}
    for kind in set(arch.ropes):
        which = (kind,) if kind else ()
        cos, sin = model_backbone.rotary_emb(probe, positions_T[None], *which)  # type: ignore[operator]
        made[kind] = (cos[0], sin[0])
    return made


def qkv(layer: Any, x: Tensor, arch: Architecture, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Queries ``(T, H, D)`` and keys, values ``(T, K, D)``, normed and rotated."""
    attention, shape = layer.self_attn, arch.shape
    if arch.fused:
        heads = _by_head(linear(attention.qkv_proj, x), shape.head_dim)
        q, k, v = torch.split(heads, [shape.heads, shape.kv_heads, shape.kv_heads], dim=1)
    else:
        q, k, v = (
            _by_head(linear(part, x), shape.head_dim)
            for part in (attention.q_proj, attention.k_proj, attention.v_proj)
        )
    if arch.head_norms:
        q, k = norm(attention.q_norm, q, arch, x.dtype), norm(attention.k_norm, k, arch, x.dtype)
    return rotate(q, cos, sin), rotate(k, cos, sin), v


def _by_head(x: Tensor, head_dim: int) -> Tensor:
    return x.view(len(x), x.shape[-1] // head_dim, head_dim)


def feed_forward(block: Any, x: Tensor, arch: Architecture) -> Tensor:
    """The gated feed-forward block."""
    if arch.fused:
        gate, up = linear(block.gate_up_proj, x).chunk(2, dim=-1)
    else:
        gate, up = linear(block.gate_proj, x), linear(block.up_proj, x)
    return linear(block.down_proj, gated(gate, up, arch.activation))
