"""THE forward: packed samples in, named outputs at the scored positions out.

Every algorithm goes through :func:`score`. Llama-style models (rotary pre-norm
attention, gated feed-forward block: :mod:`charter.models.architecture` lists
them) run over the flat stream of :mod:`charter.data.packing`: shared prefixes
once, no padding, the head only where something is scored. Other architectures
run the padded forward of transformers (:mod:`charter.models.plain`), and say so
once.

Shapes: T stream tokens, U distinct scored positions, N scored tokens, R positions at
which a reward is read, Z dimensions of the reward, K most probable tokens, d width.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Literal

import torch
from peft import PeftType
from torch import Tensor, nn

from charter.data.packing import Ints, Packed
from charter.errors import EnvironmentFault
from charter.models import blocks, head, plain, reward
from charter.models.architecture import Architecture, architecture_of, find_architecture
from charter.models.attention import AttentionPlan, attend, plans_of
from charter.progress import say

Output = Literal["logps", "entropy", "entropy_gradient", "squared_probs", "top", "reward", "values"]

_LOGPS: tuple[Output, ...] = ("logps",)

VALUES: tuple[Output, ...] = ("values",)
"""All that is asked of a critic."""


@dataclass(frozen=True, slots=True)
class Outputs:
    """What was asked for, float32; None when not asked.

    Attributes:
        logps_N: log-prob of each scored token; carries gradient.
        entropy_N: entropy of the distribution it was drawn from, nats; carries gradient where
            ``entropy_gradient`` was asked for.
        squared_probs_N: sum of the squared probabilities of that distribution.
        reward_RZ: the reward head at ``packed.read_R``; carries gradient.
        values_N: the reward head at the state before each scored token; carries gradient.
        top_logps_NK: the K highest log-probs of that distribution, descending.
        top_ids_NK: the tokens that have them, int64.
    """

    logps_N: Tensor | None = None
    entropy_N: Tensor | None = None
    squared_probs_N: Tensor | None = None
    reward_RZ: Tensor | None = None
    values_N: Tensor | None = None
    top_logps_NK: Tensor | None = None
    top_ids_NK: Tensor | None = None


def score(
    model: nn.Module,
    packed: Packed,
    *,
    outputs: Collection[Output] = _LOGPS,
    compute_dtype: torch.dtype = torch.float32,
    temperature: float = 1.0,
    top_k: int = 1,
) -> Outputs:
    """Score packed samples under ``model``.

    Gradients flow when grad mode is on and parameters require them.

    Args:
        model: a causal language model of transformers, plain or with a LoRA adapter.
        packed: from :func:`charter.data.packing.pack`.
        outputs: names of :class:`Outputs` fields, without the shape suffix; ``top`` gives both
            fields of that name. ``reward`` and ``values`` need a model with a reward head
            (:mod:`charter.models.reward`), ``values`` one with a single dimension.
        compute_dtype: type of activations and matrix products; softmax, norms,
            residual stream and outputs are float32.
        temperature: logits are divided by it; the sampling temperature for rollouts.
        top_k: K of ``top``.
    """
    if not is_llama_style(model):
        _announce_padded(model)
        return _padded(model, packed, outputs, compute_dtype, temperature, top_k)
    stream = _stream(model, packed, compute_dtype)
    found: dict[str, Tensor] = {}
    if "reward" in outputs:
        found["reward_RZ"] = reward.read(model, _normed(model, stream, packed.read_R, compute_dtype))
    if set(outputs) - {"reward"}:
        hidden_U = _normed(model, stream, packed.predictor_U, compute_dtype)
        if "values" in outputs:
            found["values_N"] = _values(model, hidden_U, packed)
        found |= _distributions(model, hidden_U, packed, outputs, temperature, top_k)
    return Outputs(**found)


def _values(model: nn.Module, hidden_U: Tensor, packed: Packed) -> Tensor:
    """The critic at the state before each scored token, ``(N,)``."""
    return reward.read(model, hidden_U)[:, 0][torch.from_numpy(packed.unique_N).to(hidden_U.device)]


def _distributions(
    model: nn.Module,
    hidden_U: Tensor,
    packed: Packed,
    outputs: Collection[Output],
    temperature: float,
    top_k: int,
) -> dict[str, Tensor]:
    """What was asked for of the next-token distributions."""
    unique_N = torch.from_numpy(packed.unique_N).to(hidden_U.device)
    found: dict[str, Tensor] = {}
    if set(outputs) <= {"reward", "values"}:
        return found
    weight, softcap = blocks.head_weight(model), final_softcap(model)
    if "logps" in outputs:
        label_U = torch.from_numpy(packed.label_U).to(hidden_U.device)
        found["logps_N"] = head.log_probs(hidden_U, weight, label_U, temperature, softcap)[unique_N]
    if "entropy" in outputs:
        found["entropy_N"] = head.entropy(hidden_U, weight, temperature, softcap)[unique_N]
    if "entropy_gradient" in outputs:
        found["entropy_N"] = head.entropy_with_gradient(hidden_U, weight, temperature, softcap)[unique_N]
    if "squared_probs" in outputs:
        found["squared_probs_N"] = head.squared_probs(hidden_U, weight, temperature, softcap)[unique_N]
    if "top" in outputs:
        logps_UK, ids_UK = head.top(hidden_U, weight, top_k, temperature, softcap)
        found |= {"top_logps_NK": logps_UK[unique_N], "top_ids_NK": ids_UK[unique_N]}
    return found


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
            final_softcap(model),
            final_softcap(reference),
        )
    p = torch.log_softmax(plain.logits(model, packed, compute_dtype).float(), -1)
    q = torch.log_softmax(plain.logits(reference, packed, compute_dtype).float(), -1)
    unique_N = torch.from_numpy(packed.unique_N).to(p.device)
    return (p.exp() * (p - q)).sum(-1)[unique_N]


def divergence_of_hidden(
    hidden_U: Tensor,
    other_U: Tensor,
    weight: Tensor,
    other_weight: Tensor,
    packed: Packed,
    softcap: float | None = None,
    other_softcap: float | None = None,
) -> Tensor:
    """:func:`divergence` from final hidden states already computed; softcaps from :func:`final_softcap`."""
    unique_N = torch.from_numpy(packed.unique_N).to(hidden_U.device)
    return head.kl_divergence(hidden_U, other_U, weight, other_weight, softcap, other_softcap)[unique_N]


def final_softcap(model: Any) -> float | None:
    """The softcap of the model's logits, which every use of the head must honour; None = there is none."""
    return architecture_of(model.config).final_softcap


def hidden_states(model: nn.Module, packed: Packed, compute_dtype: torch.dtype) -> Tensor:
    """Final hidden states at the scored positions, after the last norm, ``(U, d)``."""
    return _normed(model, _stream(model, packed, compute_dtype), packed.predictor_U, compute_dtype)


def _normed(model: nn.Module, stream: Tensor, rows: Ints, compute_dtype: torch.dtype) -> Tensor:
    """The last norm, at some rows of the stream."""
    stack: Any = blocks.backbone(model)
    at = torch.from_numpy(rows).to(stream.device)
    return blocks.norm(stack.norm, stream[at], architecture_of(model.config), compute_dtype)


def _stream(model: nn.Module, packed: Packed, compute_dtype: torch.dtype) -> Tensor:
    """The residual stream after the last layer, ``(T, d)`` float32."""
    stack: Any = blocks.backbone(model)
    arch = architecture_of(model.config)
    embedding = blocks.weight_of(stack.embed_tokens)
    plans = plans_of(packed.segments, arch.windows, embedding.device)
    ids_T = torch.from_numpy(packed.input_ids_T).to(embedding.device)
    positions_T = torch.from_numpy(packed.positions_T).to(embedding.device)
    ropes = blocks.rope_tables(stack, positions_T, arch, compute_dtype)
    # The residual stream stays in float32: it is small, and it is what bf16 rounding hurts most.
    stream = blocks.embed(embedding, ids_T, arch, compute_dtype)
    for layer, window, rope in zip(stack.layers, arch.windows, arch.ropes, strict=True):
        stream = _attended(layer, stream, plans[window], ropes[rope], arch, compute_dtype)
        stream = _fed_forward(layer, stream, arch, compute_dtype)
    return stream


def _attended(
    layer: Any,
    stream: Tensor,
    plan: AttentionPlan,
    rope: tuple[Tensor, Tensor],
    arch: Architecture,
    dtype: torch.dtype,
) -> Tensor:
    """The stream after a layer's attention."""
    normed = blocks.norm(getattr(layer, arch.norms.before_attention), stream, arch, dtype)
    q, k, v = blocks.qkv(layer, normed, arch, *rope)
    mixed = attend(q, k, v, plan, arch.attention_scale, arch.attention_softcap).flatten(1)
    out = blocks.linear(layer.self_attn.o_proj, mixed)
    if arch.norms.after_attention:
        out = blocks.norm(getattr(layer, arch.norms.after_attention), out, arch, dtype)
    return stream + out


def _fed_forward(layer: Any, stream: Tensor, arch: Architecture, dtype: torch.dtype) -> Tensor:
    """The stream after a layer's feed-forward block."""
    normed = blocks.norm(getattr(layer, arch.norms.before_mlp), stream, arch, dtype)
    out = blocks.feed_forward(layer.mlp, normed, arch)
    if arch.norms.after_mlp:
        out = blocks.norm(getattr(layer, arch.norms.after_mlp), out, arch, dtype)
    return stream + out


def is_llama_style(model: Any) -> bool:
    """Whether the one forward computes this model itself, with the adapter it has."""
    return getattr(model, "peft_type", None) in (None, PeftType.LORA) and (
        find_architecture(model.config) is not None
    )


def _padded(
    model: Any,
    packed: Packed,
    outputs: Collection[Output],
    compute_dtype: torch.dtype,
    temperature: float,
    top_k: int,
) -> Outputs:
    """:func:`score` through the forward of transformers."""
    if {"reward", "values"} & set(outputs):
        if len(set(outputs)) > 1:
            raise EnvironmentFault(
                f"{model.config.model_type} models give rewards or log-probs, not both in one forward"
            )
        if "values" in outputs:
            hidden_U = plain.hidden(model, packed, packed.predictor_U, compute_dtype)
            return Outputs(values_N=_values(model, hidden_U, packed))
        hidden_R = plain.hidden(model, packed, packed.read_R, compute_dtype)
        return Outputs(reward_RZ=reward.read(model, hidden_R))
    logps = torch.log_softmax(plain.logits(model, packed, compute_dtype).float() / temperature, dim=-1)
    unique_N = torch.from_numpy(packed.unique_N).to(logps.device)
    label_U = torch.from_numpy(packed.label_U).to(logps.device)
    found: dict[str, Tensor] = {}
    if "logps" in outputs:
        found["logps_N"] = logps.gather(1, label_U[:, None])[:, 0][unique_N]
    fixed = logps.detach()
    if "entropy" in outputs:
        found["entropy_N"] = -(fixed.exp() * fixed).sum(-1)[unique_N]
    if "entropy_gradient" in outputs:
        found["entropy_N"] = -(logps.exp() * logps).sum(-1)[unique_N]
    if "squared_probs" in outputs:
        found["squared_probs_N"] = (2 * fixed).exp().sum(-1)[unique_N]
    if "top" in outputs:
        logps_UK, ids_UK = fixed.topk(top_k, -1)
        found |= {"top_logps_NK": logps_UK[unique_N], "top_ids_NK": ids_UK[unique_N]}
    return Outputs(**found)


_announced: set[str] = set()


def _announce_padded(model: Any) -> None:
    kind = model.config.model_type
    if kind not in _announced:
        _announced.add(kind)
        with_it = "" if find_architecture(model.config) is None else f" with {model.peft_type.value} adapters"
        say(
            f"{kind} models{with_it} run the padded forward of transformers: "
            "correct, but without prefix sharing"
        )
