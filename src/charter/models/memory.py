"""How much memory training will take, from ``config.json`` alone: no weight is read, no torch imported.

What is counted is what the one forward keeps (:mod:`charter.models.score`): weights, gradients,
AdamW's two moments, the copies of weights in the compute type, what each layer saves for the
backward, and one chunk of the head's logits. Where the model writes its own data: the critic, the
copy the sampler reads, and its keys and values. Python and its libraries come on top.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from charter.catalogue.entry import Entry
from charter.catalogue.options import TrainOptions
from charter.catalogue.rollouts import RolloutOptions
from charter.models.model_shape import ModelShape, Part, read_shape
from charter.models.rollout_memory import critic, references, sampling

__all__ = ["MemoryPlan", "ModelShape", "Part", "plan", "read_shape"]

HEAD_ROWS, HEAD_CELLS = 1024, 1 << 26
"""Most rows and most logits of a chunk, as in :mod:`charter.models.head`."""

QUERY_BLOCK = 256
"""As in :mod:`charter.models.attention`."""

_LINEAR_LAYERS = 7


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
        entry: the algorithm; its reference, reward head, critic and sampler are counted.
        lora: plan an adapter, or full fine-tuning; None = what ``options`` say.
        length: tokens of a typical sample, for attention; None = ``max_length``, at most a micro-batch.
    """
    adapted = options.use_peft if lora is None else lora
    c = 2 if options.bf16 else 4
    rank = options.adapter_rank if adapted else 0
    head = shape.width if entry is not None and entry.trains == "reward" else 0
    trained = (shape.adapter(rank) if adapted else shape.parameters) + head
    online = entry is not None and isinstance(options, RolloutOptions)
    others = _beside_rollouts if online else _others
    parts = (
        *_weights(shape, options, adapted, c),
        *others(shape, entry, options, adapted, trained, head),
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
    adapter = Part("adapter", 4 * shape.adapter(options.adapter_rank), "float32")
    if options.load_in_4bit:
        scales = 1 / 64 if options.use_bnb_nested_quant else 4 / 64
        base = int((0.5 + scales) * shape.matrices) + c * (shape.parameters - shape.matrices)
        return Part("policy", base, "four bits inside the layers, frozen"), adapter
    kind = "bfloat16" if c == 2 else "float32"
    return Part("policy", c * shape.parameters, f"{kind}, frozen"), adapter


def _beside_rollouts(
    shape: ModelShape, entry: Entry | None, options: TrainOptions, adapted: bool, trained: int, head: int
) -> tuple[Part, ...]:
    """Reference, reward models, critic and sampler of a run that makes its own data."""
    assert entry is not None and isinstance(options, RolloutOptions)
    return (
        references(shape, entry, options, adapted, trained),
        Part("reward model", 0, "on top: the models that reward_funcs name"),
        critic(shape, entry, options, adapted),
        *sampling(shape, entry, options, adapted),
    )


def _others(
    shape: ModelShape, entry: Entry | None, options: TrainOptions, adapted: bool, trained: int, head: int
) -> tuple[Part, ...]:
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
