"""What makes one family of decoders differ from another, as data.

The families share one plan: rotary pre-norm attention and a gated feed-forward
block around a residual stream. What varies is read from the transformers config
once, into an :class:`Architecture`; the forward and the decoder look nothing up
anywhere else. A model type is listed only after values, gradients and greedy
tokens were found equal to transformers (``tests/models/test_architectures.py``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from charter.errors import EnvironmentFault

Activation = Literal["silu", "gelu_pytorch_tanh"]
Windows = tuple[int | None, ...]

_FIXED_ROPE = ("default", "linear", "llama3", "yarn")
"""Rotary scalings whose angles depend on the position alone, not on how long the text is."""


@dataclass(frozen=True, slots=True)
class Shape:
    """The numbers of the architecture."""

    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    width: int
    eps: float


@dataclass(frozen=True, slots=True)
class Norms:
    """The norms around attention and feed-forward block, by their names in transformers; "" = none."""

    before_attention: str = "input_layernorm"
    after_attention: str = ""
    before_mlp: str = "post_attention_layernorm"
    after_mlp: str = ""


@dataclass(frozen=True, slots=True)
class Architecture:
    """One model's architecture.

    Attributes:
        shape: its numbers.
        norms: where norms stand in a layer.
        shifted_norm: a norm multiplies by ``1 + weight``, before rounding to the compute type.
        head_norms: queries and keys are normed per head before rotation.
        fused: queries, keys and values come from one matrix, gate and up from another.
        activation: of the gate.
        embedding_scale: token embeddings are multiplied by it.
        attention_scale: attention scores are multiplied by it.
        attention_softcap: scores become ``cap * tanh(score / cap)``; None = as they are.
        final_softcap: the same for the head's logits.
        windows: of each layer, how many positions a query sees, its own included; None = all before it.
        ropes: of each layer, which rotary table; "" = the only one.
        fixed_rope: angles depend on the position alone.
    """

    shape: Shape
    norms: Norms
    shifted_norm: bool
    head_norms: bool
    fused: bool
    activation: Activation
    embedding_scale: float
    attention_scale: float
    attention_softcap: float | None
    final_softcap: float | None
    windows: Windows
    ropes: tuple[str, ...]
    fixed_rope: bool


def architecture_of(config: Any) -> Architecture:
    """The architecture of a model the one forward computes itself.

    Raises:
        EnvironmentFault: it does not compute this one.
    """
    found = find_architecture(config)
    if found is None:
        raise EnvironmentFault(f"{config.model_type} models are not computed by the one forward")
    return found


def find_architecture(config: Any) -> Architecture | None:
    """Read an architecture from a transformers config; None where the one forward does not know it."""
    family = _FAMILIES.get(config.model_type)
    if family is None:
        return None
    activation = getattr(config, family.activation)
    windows = family.windows(config)
    if (
        activation not in ("silu", "gelu_pytorch_tanh")
        or windows is None
        or getattr(config, "use_bidirectional_attention", None)
    ):
        return None
    shape = _shape_of(config)
    return Architecture(
        shape=shape,
        norms=family.norms,
        shifted_norm=family.shifted_norm,
        head_norms=family.head_norms,
        fused=family.fused,
        activation=activation,
        embedding_scale=float(shape.width) ** 0.5 if family.scaled_embedding else 1.0,
        attention_scale=float(getattr(config, family.scaled_by) if family.scaled_by else shape.head_dim)
        ** -0.5,
        attention_softcap=getattr(config, family.attention_softcap) if family.attention_softcap else None,
        final_softcap=getattr(config, family.final_softcap) if family.final_softcap else None,
        windows=windows,
        ropes=tuple(config.layer_types) if family.rope_by_type else ("",) * shape.layers,
        fixed_rope=_is_fixed(getattr(config, "rope_parameters", None) or {}),
    )


# -- the families -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Family:
    """What the model types of one family share, and the config fields that decide the rest ("" = none)."""

    windows: Callable[[Any], Windows | None]
    norms: Norms = Norms()
    shifted_norm: bool = False
    head_norms: bool = False
    fused: bool = False
    scaled_embedding: bool = False
    rope_by_type: bool = False
    activation: str = "hidden_act"
    scaled_by: str = ""
    attention_softcap: str = ""
    final_softcap: str = ""


def _no_window(config: Any) -> Windows:
    return (None,) * int(config.num_hidden_layers)


def _one_window(config: Any) -> Windows:
    return (config.sliding_window,) * int(config.num_hidden_layers)


def _window_by_type(config: Any) -> Windows | None:
    if not set(config.layer_types) <= {"full_attention", "sliding_attention"}:
        return None
    return tuple(
        config.sliding_window if kind == "sliding_attention" else None for kind in config.layer_types
    )


_SANDWICH = Norms(
    "input_layernorm", "post_attention_layernorm", "pre_feedforward_layernorm", "post_feedforward_layernorm"
)

_FAMILIES: dict[str, _Family] = {
    "llama": _Family(_no_window),
    "mistral": _Family(_one_window),
    "qwen2": _Family(_window_by_type),
    "qwen3": _Family(_window_by_type, head_norms=True),
    "phi3": _Family(_one_window, fused=True),
    "gemma": _Family(_no_window, shifted_norm=True, scaled_embedding=True),
    "gemma2": _Family(
        _window_by_type,
        norms=_SANDWICH,
        shifted_norm=True,
        scaled_embedding=True,
        activation="hidden_activation",
        scaled_by="query_pre_attn_scalar",
        attention_softcap="attn_logit_softcapping",
        final_softcap="final_logit_softcapping",
    ),
    # transformers gives gemma3 a cap on attention scores in the config and does not apply it.
    "gemma3_text": _Family(
        _window_by_type,
        norms=_SANDWICH,
        shifted_norm=True,
        head_norms=True,
        scaled_embedding=True,
        rope_by_type=True,
        activation="hidden_activation",
        scaled_by="query_pre_attn_scalar",
        final_softcap="final_logit_softcapping",
    ),
}

MODEL_TYPES = tuple(sorted(_FAMILIES))
"""``config.model_type`` values the one forward computes itself."""


def _shape_of(config: Any) -> Shape:
    heads = config.num_attention_heads
    return Shape(
        layers=config.num_hidden_layers,
        heads=heads,
        kv_heads=config.num_key_value_heads or heads,
        head_dim=getattr(config, "head_dim", None) or config.hidden_size // heads,
        width=config.hidden_size,
        eps=config.rms_norm_eps,
    )


def _is_fixed(rope: dict[str, Any]) -> bool:
    """``rope`` is one set of parameters, or one set for each type of layer."""
    sets = [part for part in rope.values() if isinstance(part, dict) and "rope_type" in part] or [rope]
    return all(part.get("rope_type", "default") in _FIXED_ROPE for part in sets)
