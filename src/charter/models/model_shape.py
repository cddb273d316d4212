"""What ``config.json`` says of a model's size, and one line of a memory plan; no torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from charter.errors import UserError
from charter.models.architecture import MODEL_TYPES

_SANDWICH = ("gemma2", "gemma3_text")
_HEAD_NORMS = ("qwen3", "gemma3_text")
_TIED = ("gemma", "gemma2", "gemma3_text")


@dataclass(frozen=True, slots=True)
class ModelShape:
    """What ``config.json`` says of a model's size.

    Attributes:
        name: its model type.
        width, layers, heads, kv_heads, head_dim, inner, vocabulary: as in transformers.
        tied: the head is the embedding.
        head_norms: queries and keys are normed per head.
        norms: norms of a layer.
        qkv_bias: queries, keys and values have biases.
    """

    name: str
    width: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    inner: int
    vocabulary: int
    tied: bool
    head_norms: bool = False
    norms: int = 2
    qkv_bias: bool = False

    @property
    def linear(self) -> tuple[tuple[int, int], ...]:
        """``(in, out)`` of a layer's matrices."""
        q, kv = self.heads * self.head_dim, self.kv_heads * self.head_dim
        d, f = self.width, self.inner
        return ((d, q), (d, kv), (d, kv), (q, d), (d, f), (d, f), (f, d))

    @property
    def matrices(self) -> int:
        """Weights of the matrices inside the layers."""
        return self.layers * sum(a * b for a, b in self.linear)

    @property
    def embeddings(self) -> int:
        """Weights of embedding and head."""
        return self.vocabulary * self.width * (1 if self.tied else 2)

    @property
    def parameters(self) -> int:
        """All weights."""
        biases = (self.heads + 2 * self.kv_heads) * self.head_dim if self.qkv_bias else 0
        per_layer = self.norms * self.width + (2 * self.head_dim if self.head_norms else 0) + biases
        return self.embeddings + self.matrices + self.layers * per_layer + self.width

    def adapter(self, rank: int) -> int:
        """Weights of a LoRA adapter on every matrix inside the layers."""
        return self.layers * sum(rank * (a + b) for a, b in self.linear)


@dataclass(frozen=True, slots=True)
class Part:
    """One line of a plan: how many bytes, and why."""

    name: str
    bytes: int
    note: str = ""


def read_shape(folder: Path) -> ModelShape | None:
    """The shape of the model in ``folder``; None where the one forward does not compute its kind.

    Raises:
        UserError: ``config.json`` lacks a size.
    """
    path = folder / "config.json"
    config: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    kind = str(config.get("model_type"))
    if kind not in MODEL_TYPES:
        return None
    try:
        heads, width = int(config["num_attention_heads"]), int(config["hidden_size"])
        return ModelShape(
            name=kind,
            width=width,
            layers=int(config["num_hidden_layers"]),
            heads=heads,
            kv_heads=int(config.get("num_key_value_heads") or heads),
            head_dim=int(config.get("head_dim") or width // heads),
            inner=int(config["intermediate_size"]),
            vocabulary=int(config["vocab_size"]),
            tied=bool(config.get("tie_word_embeddings", kind in _TIED)),
            head_norms=kind in _HEAD_NORMS,
            norms=4 if kind in _SANDWICH else 2,
            qkv_bias=kind == "qwen2",
        )
    except KeyError as missing:
        raise UserError(f"the model's config says no {missing.args[0]}", where=str(path)) from None
