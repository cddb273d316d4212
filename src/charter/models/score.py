"""THE forward: packed samples in, named outputs at the scored positions out.

Every algorithm goes through :func:`score`. Llama-style models run over the flat
stream of :mod:`charter.data.packing`: shared prefixes once, no padding, the
head only where something is scored. Other architectures run the padded forward
of transformers (:mod:`charter.models.plain`), and say so once.

Shapes: T stream tokens, U distinct scored positions, N scored tokens, R positions at
which a reward is read, Z dimensions of the reward, d width.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from charter.data.packing import Ints, Packed
from charter.errors import EnvironmentFault
from charter.models import blocks, head, plain, reward
from charter.models.attention import AttentionPlan, attend
from charter.models.fused import rms_norm, swiglu
from charter.progress import say

Output = Literal["logps", "entropy", "squared_probs", "reward"]


_LOGPS: tuple[Output, ...] = ("logps",)


@dataclass(frozen=True, slots=True)
class Outputs:
    """What was asked for, float32; None when not asked.

    Attributes:
        logps_N: log-prob of each scored token; carries gradient.
        entropy_N: entropy of the distribution it was drawn from, nats.
        squared_probs_N: sum of the squared probabilities of that distribution.
        reward_RZ: the reward head at ``packed.read_R``; carries gradient.
    """

    logps_N: Tensor | None = None
    entropy_N: Tensor | None = None
    squared_probs_N: Tensor | None = None
    reward_RZ: Tensor | None = None


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
        outputs: names of :class:`Outputs` fields, without the shape suffix. ``reward`` needs a
            model with a reward head (:mod:`charter.models.reward`).
        compute_dtype: type of activations and matrix products; softmax, norms,
            residual stream and outputs are float32.
        temperature: logits are divided by it; the sampling temperature for rollouts.
    """
    device = next(model.parameters()).device
    if not is_llama_style(model):
        _announce_padded(model)
        return _padded(model, packed, outputs, compute_dtype, temperature)
    unique_N = torch.from_numpy(packed.unique_N).to(device)
    stream = _stream(model, packed, compute_dtype)
    logps_N = entropy_N = squared_N = reward_RZ = None
    if "reward" in outputs:
        reward_RZ = reward.read(model, _normed(model, stream, packed.read_R, compute_dtype))
    if set(outputs) - {"reward"}:
        hidden_U = _normed(model, stream, packed.predictor_U, compute_dtype)
        weight = blocks.head_weight(model)
    if "logps" in outputs:
        label_U = torch.from_numpy(packed.label_U).to(device)
        logps_N = head.log_probs(hidden_U, weight, label_U, temperature)[unique_N]
    if "entropy" in outputs:
        entropy_N = head.entropy(hidden_U, weight, temperature)[unique_N]
    if "squared_probs" in outputs:
        squared_N = head.squared_probs(hidden_U, weight, temperature)[unique_N]
    return Outputs(logps_N, entropy_N, squared_N, reward_RZ)


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
    return _normed(model, _stream(model, packed, compute_dtype), packed.predictor_U, compute_dtype)


def _normed(model: nn.Module, stream: Tensor, rows: Ints, compute_dtype: torch.dtype) -> Tensor:
    """The last norm, at some rows of the stream."""
    stack: Any = blocks.backbone(model)
    at = torch.from_numpy(rows).to(stream.device)
    return rms_norm(stream[at], stack.norm.weight, blocks.shape_of(model.config).eps, compute_dtype)


def _stream(model: nn.Module, packed: Packed, compute_dtype: torch.dtype) -> Tensor:
    """The residual stream after the last layer, ``(T, d)`` float32."""
    stack: Any = blocks.backbone(model)
    shape = blocks.shape_of(model.config)
    device: torch.device = stack.embed_tokens.weight.device
    plan = AttentionPlan.of(packed.segments, device)
    ids_T = torch.from_numpy(packed.input_ids_T).to(device)
    positions_T = torch.from_numpy(packed.positions_T).to(device)
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
    return stream


def _feed_forward(block: Any, x: Tensor) -> Tensor:
    gate, up = blocks.linear(block.gate_proj, x), blocks.linear(block.up_proj, x)
    return blocks.linear(block.down_proj, swiglu(gate, up))


def is_llama_style(model: Any) -> bool:
    """Whether the one forward computes this model itself."""
    config = model.config
    return config.model_type in blocks.LLAMA_STYLE and config.hidden_act == "silu"


def _padded(
    model: Any,
    packed: Packed,
    outputs: Collection[Output],
    compute_dtype: torch.dtype,
    temperature: float,
) -> Outputs:
    """:func:`score` through the forward of transformers."""
    if "reward" in outputs:
        if set(outputs) != {"reward"}:
            raise EnvironmentFault(
                f"{model.config.model_type} models give rewards or log-probs, not both in one forward"
            )
        hidden_R = plain.hidden(model, packed, packed.read_R, compute_dtype)
        return Outputs(reward_RZ=reward.read(model, hidden_R))
    logps = torch.log_softmax(plain.logits(model, packed, compute_dtype).float() / temperature, dim=-1)
    unique_N = torch.from_numpy(packed.unique_N).to(logps.device)
    label_U = torch.from_numpy(packed.label_U).to(logps.device)
    probs = logps.detach().exp()
    return Outputs(
        logps_N=logps.gather(1, label_U[:, None])[:, 0][unique_N] if "logps" in outputs else None,
        entropy_N=-(probs * logps.detach()).sum(-1)[unique_N] if "entropy" in outputs else None,
        squared_probs_N=probs.square().sum(-1)[unique_N] if "squared_probs" in outputs else None,
    )


_announced: set[str] = set()


def _announce_padded(model: Any) -> None:
    kind = model.config.model_type
    if kind not in _announced:
        _announced.add(kind)
        say(f"{kind} models run the padded forward of transformers: correct, but without prefix sharing")
