"""Memory of a run in which the model writes its own data: reference, critic, sampler; no torch."""

from __future__ import annotations

from charter.catalogue.entry import Entry
from charter.catalogue.rollouts import RolloutOptions, samplers_of
from charter.models.model_shape import ModelShape, Part

CACHE_GIB, MAX_ROWS = 4.0, 256
"""Limits of the sampler's keys and values, as in :class:`charter.engines.local.LocalEngine`."""

PER_TRAINED_WEIGHT = 16
"""Bytes of a trained weight: itself, its gradient and AdamW's two moments, all float32."""


def references(shape: ModelShape, entry: Entry, options: RolloutOptions, adapted: bool, trained: int) -> Part:
    """What the policy is held against or sampled beside, and weights that rounds restart from."""
    assert entry.rollouts is not None
    size, words = 0, []
    if options.sync_ref_model:
        size += 4 * trained
        words.append("a float32 copy of the trained weights that follows them")
    elif options.uses_reference or {"reference", "mixture"} & set(samplers_of(entry.rollouts, options)):
        size += 0 if adapted else _compute(options) * shape.parameters
        words.append("the policy without its adapter" if adapted else "a frozen copy, scored every round")
    if "moving" in entry.rollouts.sampled_by:
        size += 4 * trained
        words.append("a float32 copy of the trained weights that is sampled from")
    if entry.rollouts.restarts:
        size += 4 * trained
        words.append("the first trained weights")
    return Part("reference", size, "; ".join(words) or "none needed")


def critic(shape: ModelShape, entry: Entry, options: RolloutOptions, adapted: bool) -> Part:
    """The critic with its gradients and moments."""
    assert entry.rollouts is not None
    if not entry.rollouts.critic:
        return Part("critic", 0, "none needed")
    whole = shape.parameters - (0 if shape.tied else shape.vocabulary * shape.width)
    own = getattr(options, "critic_model", None) is not None
    if adapted:
        size = PER_TRAINED_WEIGHT * (shape.adapter(options.adapter_rank) + shape.width)
        size += _compute(options) * whole if own else 0
        words = "an adapter and a value head" + (" on a model of its own" if own else " on the same weights")
    else:
        size = PER_TRAINED_WEIGHT * (whole + shape.width)
        words = "a model of its own with a value head"
    return Part("critic", size, f"{words}, with gradients and moments")


def sampling(shape: ModelShape, entry: Entry, options: RolloutOptions, adapted: bool) -> tuple[Part, Part]:
    """The weights the sampler reads, and its keys and values."""
    assert entry.rollouts is not None
    names = set(samplers_of(entry.rollouts, options)) - {"greedy"}
    # The mixture runs two models; an adapter that is switched off costs nothing.
    others = ({"moving"} & names) | (set() if adapted else {"reference", "mixture"} & names)
    copies = 1 + len(others)
    head = shape.vocabulary * shape.width
    # Frozen embeddings are read where they are; trained ones are float32, and copied as they are.
    adapters = shape.adapter(options.adapter_rank) if adapted else 0
    one = _compute(options) * (shape.matrices + head + adapters) + (0 if adapted else 4 * head)
    size = copies * one
    models = 2 if "mixture" in names else 1
    longest = (options.max_length or 1024) + (options.max_turns or 1) * options.max_completion_length
    per_row = models * 2 * shape.layers * shape.kv_heads * shape.head_dim * _compute(options) * longest
    rows = min(MAX_ROWS, options.prompts_per_round * options.num_generations)
    rows = max(1, min(rows, int(CACHE_GIB * 2**30) // per_row))
    words = "the weights as the decoder reads them" + (f", {copies} times" if copies > 1 else "")
    return (
        Part("sampler", size, words),
        Part("rollouts cache", rows * per_row, f"keys and values of {rows} rows of up to {longest} tokens"),
    )


def _compute(options: RolloutOptions) -> int:
    return 2 if options.bf16 else 4
