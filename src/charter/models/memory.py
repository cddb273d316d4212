"""How much memory training will take, from ``config.json`` alone: no weight is read, no torch imported.

What is counted is what the one forward keeps (:mod:`charter.models.score`): weights, gradients,
AdamW's two moments, the copies of weights in the compute type, what each layer saves for the
backward, and one chunk of the head's logits. Python and its libraries come on top.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from charter.catalogue.entry import Entry
from charter.catalogue.options import TrainOptions
from charter.errors import UserError
from charter.models.architecture import MODEL_TYPES

HEAD_ROWS, HEAD_CELLS = 1024, 1 << 26
"""Most rows and most logits of a chunk, as in :mod:`charter.models.head`."""

QUERY_BLOCK = 256
"""As in :mod:`charter.models.attention`."""

_SANDWICH = ("gemma2", "gemma3_text")
_HEAD_NORMS = ("qwen3", "gemma3_text")
_TIED = ("gemma", "gemma2", "gemma3_text")
_LINEAR_LAYERS = 7


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


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """What a run will hold at its peak.

    Attributes:
        title: what is trained.
        parts: the lines.
        chosen: this is what the options say.
    """

    title: str
    parts: tuple[Part, ...]
    chosen: bool = False

    @property
    def total(self) -> int:
        """Bytes of all parts."""
        return sum(part.bytes for part in self.parts)

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        parts = [{"name": p.name, "bytes": p.bytes, "note": p.note} for p in self.parts]
        return {"title": self.title, "chosen": self.chosen, "total": self.total, "parts": parts}


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


def plan(
    shape: ModelShape,
    options: TrainOptions,
    entry: Entry | None = None,
    *,
    lora: bool | None = None,
    length: int | None = None,
) -> MemoryPlan:
    """The memory of one training run at its peak.

    Args:
        shape: of the model.
        options: ``tokens_per_microbatch``, ``bf16``, LoRA and quantisation decide.
        entry: the algorithm; its reference and reward head are counted.
        lora: plan an adapter, or full fine-tuning; None = what ``options`` say.
        length: tokens of a typical sample, for attention; None = ``max_length``, at most a micro-batch.
    """
    adapted = options.use_peft if lora is None else lora
    c = 2 if options.bf16 else 4
    rank = options.lora_r if adapted else 0
    head = shape.width if entry is not None and entry.trains == "reward" else 0
    trained = (shape.adapter(rank) if adapted else shape.parameters) + head
    parts = (
        *_weights(shape, options, adapted, c),
        *_others(entry, options, trained, head),
        Part("gradients", 4 * trained, f"float32, {_count(trained)} trained weights"),
        Part("optimizer", 8 * trained, "AdamW: two moments in float32"),
        _activations(shape, options, c, rank, length),
        _head(shape, options, c, adapted, entry),
    )
    title = f"LoRA, rank {rank}" if adapted else "full fine-tuning"
    return MemoryPlan(title, parts, chosen=adapted == options.use_peft)


def _weights(shape: ModelShape, options: TrainOptions, adapted: bool, c: int) -> tuple[Part, ...]:
    if not adapted:
        parts = [Part("policy", 4 * shape.parameters, f"{_count(shape.parameters)} weights in float32")]
        if c == 2:
            parts.append(Part("compute copies", 2 * shape.matrices, "bfloat16, one of each matrix in use"))
        return tuple(parts)
    adapter = Part("adapter", 4 * shape.adapter(options.lora_r), "float32")
    if options.load_in_4bit:
        scales = 1 / 64 if options.use_bnb_nested_quant else 4 / 64
        base = int((0.5 + scales) * shape.matrices) + c * (shape.parameters - shape.matrices)
        return Part("policy", base, "four bits inside the layers, frozen"), adapter
    kind = "bfloat16" if c == 2 else "float32"
    return Part("policy", c * shape.parameters, f"{kind}, frozen"), adapter


def _others(entry: Entry | None, options: TrainOptions, trained: int, head: int) -> tuple[Part, ...]:
    """Reference, reward model and critic: what training holds beside the policy."""
    kind = "none" if entry is None else entry.reference
    if getattr(options, "sync_ref_model", False):
        kind = "moving"
    words = {
        "none": "none needed",
        "frozen": "its log-probs, scored once and kept in a file",
        "stepwise": "its log-probs, scored at each part and kept in a file",
        "behaviour": "the log-probs the data carries",
        "moving": "a float32 copy of the trained weights that follows them",
    }
    reference = Part("reference", 4 * trained if kind == "moving" else 0, words[kind])
    reward = Part("reward model", 4 * head, "a head on the policy" if head else "none needed")
    return reference, reward, Part("critic", 0, "none needed")


def _activations(shape: ModelShape, options: TrainOptions, c: int, rank: int, length: int | None) -> Part:
    tokens = options.tokens_per_microbatch
    longest = min(length or options.max_length or tokens, tokens)
    # A query meets all keys of its block, and half of its sample on average.
    keys = min(longest / 2 + QUERY_BLOCK / 2, longest)
    q, kv = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
    norms = shape.norms * 4 * shape.width  # the residual stream stays in float32
    kept = 2 * shape.width + 2 * q + 2 * kv + 3 * shape.inner + rank * _LINEAR_LAYERS
    per_layer = norms + c * (kept + shape.heads * keys)
    note = f"up to {tokens} tokens at once (tokens_per_microbatch), samples of {longest}"
    return Part("activations", int(tokens * (shape.layers * per_layer + 4 * shape.width)), note)


def _head(shape: ModelShape, options: TrainOptions, c: int, adapted: bool, entry: Entry | None) -> Part:
    if entry is not None and entry.trains == "reward":
        return Part("head", 0, "rewards only: no logits")
    rows = min(HEAD_ROWS, HEAD_CELLS // shape.vocabulary, options.tokens_per_microbatch)
    matrix = shape.vocabulary * shape.width
    size = c * rows * shape.vocabulary
    if not adapted:
        size += 4 * matrix + (2 * matrix if c == 2 else 0)
    size += 2 * c * options.tokens_per_microbatch * shape.width
    return Part("head", size, f"logits of up to {rows} tokens at once, never all")


def _count(number: int) -> str:
    return f"{number / 1e9:.2f}B" if number >= 1e9 else f"{number / 1e6:.1f}M"
