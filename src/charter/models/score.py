"""THE forward: packed samples in, named outputs at the scored positions out.

Every algorithm goes through :func:`score`. Llama-style models run over the flat
stream of :mod:`charter.data.packing`: shared prefixes once, no padding, the
head only where something is scored. Other architectures run the padded forward
of transformers (:mod:`charter.models.plain`), and say so once.

Shapes: T stream tokens, U distinct scored positions, N scored tokens, d width.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from charter.data.packing import Packed
from charter.models import blocks, head, plain
from charter.models.attention import AttentionPlan, attend
from charter.models.fused import rms_norm, swiglu
from charter.progress import say

Output = Literal["logps", "entropy"]


_LOGPS: tuple[Output, ...] = ("logps",)


@dataclass(frozen=True, slots=True)
class Outputs:
    """What was asked for, per scored token, float32; None when not asked."""

    logps_N: Tensor | None = None
    entropy_N: Tensor | None = None


def score(
    model: nn.Module,
    packed: Packed,
    *,
    outputs: Collection[Output] = _LOGPS,
    compute_dtype: torch.dtype = torch.float32,
    temperature: float = 1.0,
) -> Outputs:
    """Score packed samples under ``model``.

    Gradients flow when grad mode is on and parameters require them.

    Args:
        model: a causal language model of transformers, plain or with a LoRA adapter.
        packed: from :func:`charter.data.packing.pack`.
        outputs: names of :class:`Outputs` fields, without the shape suffix.
        compute_dtype: type of activations and matrix products; softmax, norms,
            residual stream and outputs are float32.
        temperature: logits are divided by it; the sampling temperature for rollouts.
    """
    device = next(model.parameters()).device
    if not is_llama_style(model):
        _announce_padded(model)
        logits_U = plain.logits(model, packed, compute_dtype)
        return _from_logits(logits_U, packed, outputs, temperature)
    unique_N = torch.from_numpy(packed.unique_N).to(device)
    hidden_U = hidden_states(model, packed, compute_dtype)
    weight = blocks.head_weight(model)
    logps_N = entropy_N = None
    if "logps" in outputs:
        label_U = torch.from_numpy(packed.label_U).to(device)
        logps_N = head.log_probs(hidden_U, weight, label_U, temperature)[unique_N]
    if "entropy" in outputs:
        entropy_N = head.entropy(hidden_U, weight, temperature)[unique_N]
    return Outputs(logps_N, entropy_N)


@torch.no_grad()
def divergence(
    model: nn.Module, reference: nn.Module, packed: Packed, *, compute_dtype: torch.dtype = torch.float32
) -> Tensor:
    """Exact per-token ``KL(model || reference)`` in nats, ``(N,)`` float32, without gradient.

    Where ``reference`` is the same object under another adapter state, compute both
    :func:`hidden_states` and use :func:`divergence_of_hidden`.
    """
    if is_llama_style(model) and is_llama_style(reference):
        return divergence_of_hidden(
            hidden_states(model, packed, compute_dtype),
            hidden_states(reference, packed, compute_dtype),
            blocks.head_weight(model),
            blocks.head_weight(reference),
            packed,
        )
    p = torch.log_softmax(plain.logits(model, packed, compute_dtype).float(), -1)
    q = torch.log_softmax(plain.logits(reference, packed, compute_dtype).float(), -1)
    unique_N = torch.from_numpy(packed.unique_N).to(p.device)
    return (p.exp() * (p - q)).sum(-1)[unique_N]


def divergence_of_hidden(
    hidden_U: Tensor, other_U: Tensor, weight: Tensor, other_weight: Tensor, packed: Packed
) -> Tensor:
    """:func:`divergence` from final hidden states already computed."""
    unique_N = torch.from_numpy(packed.unique_N).to(hidden_U.device)
    return head.kl_divergence(hidden_U, other_U, weight, other_weight)[unique_N]


def hidden_states(model: nn.Module, packed: Packed, compute_dtype: torch.dtype) -> Tensor:
    """Final hidden states at the scored positions, after the last norm, ``(U, d)``."""
    stack: Any = blocks.backbone(model)
    shape = blocks.shape_of(model.config)
    device: torch.device = stack.embed_tokens.weight.device
    plan = AttentionPlan.of(packed.segments, device)
    ids_T = torch.from_numpy(packed.input_ids_T).to(device)
    positions_T = torch.from_numpy(packed.positions_T).to(device)
    predictor_U = torch.from_numpy(packed.predictor_U).to(device)
    cos, sin = blocks.rope_tables(stack, positions_T, compute_dtype)
    # The residual stream stays in float32: it is small, and it is what bf16 rounding hurts most.
    stream = F.embedding(ids_T, stack.embed_tokens.weight).float()
    for layer in stack.layers:
        normed = rms_norm(stream, layer.input_layernorm.weight, shape.eps, compute_dtype)
        q, k, v = blocks.qkv(layer, normed, shape, cos, sin)
        mixed = attend(q, k, v, plan).flatten(1)
        stream = stream + blocks.linear(layer.self_attn.o_proj, mixed)
        normed = rms_norm(stream, layer.post_attention_layernorm.weight, shape.eps, compute_dtype)
        stream = stream + _feed_forward(layer.mlp, normed)
    return rms_norm(stream[predictor_U], stack.norm.weight, shape.eps, compute_dtype)


def _feed_forward(block: Any, x: Tensor) -> Tensor:
    gate, up = blocks.linear(block.gate_proj, x), blocks.linear(block.up_proj, x)
    return blocks.linear(block.down_proj, swiglu(gate, up))


def is_llama_style(model: Any) -> bool:
    """Whether the one forward computes this model itself."""
    config = model.config
    return config.model_type in blocks.LLAMA_STYLE and config.hidden_act == "silu"


def _from_logits(
    logits_U: Tensor, packed: Packed, outputs: Collection[Output], temperature: float
) -> Outputs:
    logps = torch.log_softmax(logits_U.float() / temperature, dim=-1)
    unique_N = torch.from_numpy(packed.unique_N).to(logps.device)
    label_U = torch.from_numpy(packed.label_U).to(logps.device)
    return Outputs(
        logps_N=logps.gather(1, label_U[:, None])[:, 0][unique_N] if "logps" in outputs else None,
        entropy_N=-(logps.exp() * logps).sum(-1).detach()[unique_N] if "entropy" in outputs else None,
    )


_announced: set[str] = set()


def _announce_padded(model: Any) -> None:
    kind = model.config.model_type
    if kind not in _announced:
        _announced.add(kind)
        say(f"{kind} models run the padded forward of transformers: correct, but without prefix sharing")
