"""What a language model makes of an answer under a principle: its states over the answer, as one vector.

Mean states of middle layers tell good answers from bad ones better than the last layer's do, and better than
the model's own words. Layers above the one that is read are not computed.

Shapes: N answers, R positions read, d width.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from charter.data.packing import MIN_SHARED
from charter.errors import ConfigError, DataError
from charter.feedback.judging.distilled.store import FeatureStore, Floats
from charter.feedback.judging.view import Seen
from charter.interrupt import graceful
from charter.progress import progress
from charter.types import Completion, Context, Group, Message, Sample

if TYPE_CHECKING:
    from charter.models.policy import Policy

Pooling = Literal["mean", "last", "both"]
POOLINGS: tuple[Pooling, ...] = ("mean", "last", "both")

_TOKENS = 4096
"""Stream tokens computed at once."""

_VERSION = 1
"""Of the wording that the model reads, and of how states become features."""


@dataclass(frozen=True)
class Reading:
    """How states become features.

    Attributes:
        depth: share of the layers that are computed.
        pooling: mean over the answer's tokens, the last of them, or both side by side.

    Raises:
        ConfigError: not a share, or no such pooling.
    """

    depth: float = 0.4
    pooling: Pooling = "mean"

    def __post_init__(self) -> None:
        if not 0.0 < self.depth <= 1.0:
            raise ConfigError(f"depth is {self.depth!r}; it must lie above 0 and at most at 1", where="depth")
        if self.pooling not in POOLINGS:
            raise ConfigError(
                f"pooling is one of {', '.join(POOLINGS)}, not {self.pooling!r}", where="pooling"
            )

    def key(self, model: str) -> str:
        """Names features of a model with this digest."""
        return hashlib.sha256(f"{_VERSION} {model} {self.depth} {self.pooling}".encode()).hexdigest()


@dataclass(frozen=True)
class Rendered:
    """An answer as token ids.

    Attributes:
        sample: with its ids; None = it cannot be written.
        why: it cannot, in words.
    """

    sample: Sample | None
    why: str = ""

    @property
    def answer_tokens(self) -> int:
        """Tokens of the answer."""
        return sum(self.sample.completion.trained) if self.sample else 0

    @cached_property
    def ids(self) -> tuple[int, ...]:
        """Everything the model reads."""
        assert self.sample is not None
        return (*self.sample.context.token_ids, *self.sample.completion.token_ids)

    @cached_property
    def key(self) -> str:
        """Of what the model reads."""
        assert self.sample is not None
        context, completion = self.sample.context, self.sample.completion
        ids = np.asarray((len(context.token_ids), *context.token_ids, *completion.token_ids), dtype=np.int64)
        mask = np.asarray(completion.trained, dtype=np.int8)
        return hashlib.sha256(ids.tobytes() + mask.tobytes()).hexdigest()


class Reader:
    """Reads answers with a frozen model.

    Args:
        policy: the model, or what loads it when it is first needed.
        reading: see :class:`Reading`.
        store: file of the features; None = they are kept in memory.
        max_tokens: answers that are longer with their conversation are not read.
    """

    def __init__(
        self,
        policy: Policy | Callable[[], Policy],
        reading: Reading | None = None,
        *,
        store: Path | None = None,
        max_tokens: int = 2048,
    ) -> None:
        self._given, self.reading = policy, reading or Reading()
        self._store_path, self._max_tokens = store, max_tokens

    @cached_property
    def policy(self) -> Policy:
        """The model."""
        return self._given() if callable(self._given) else self._given

    @cached_property
    def digest(self) -> str:
        """Of the model."""
        return self.policy.digest()

    @cached_property
    def _store(self) -> FeatureStore:
        return FeatureStore(self._store_path, self.reading.key(self.digest))

    def render(self, principle: str, seen: Seen) -> Rendered:
        """An answer as the model reads it: the principle before the conversation, then the answer."""
        turns = _with_principle(principle, [_spoken(turn) for turn in seen.conversation])
        answer = tuple(_spoken(turn) for turn in seen.answer)
        try:
            group = self.policy.template.render(Group((Sample(Context(turns), Completion(answer)),)))
        except DataError as error:
            return Rendered(None, f"the model's template cannot write it: {error.what}")
        (sample,) = group.samples
        length = len(sample.context.token_ids) + len(sample.completion.token_ids)
        limit = min(self._max_tokens, self._window)
        if length > limit:
            return Rendered(None, f"it is longer than {limit} tokens")
        if not any(sample.completion.trained):
            return Rendered(None, "there is no answer in it")
        return Rendered(sample)

    @property
    def _window(self) -> int:
        found = getattr(self.policy.model.config, "max_position_embeddings", None)
        return self._max_tokens if found is None else int(found)

    def read(self, rendered: Sequence[Rendered], label: str = "reading answers") -> Floats:
        """``(N, d)``, or ``(N, 2 d)`` where both poolings are asked for.

        Raises:
            Interrupted: the person asked to stop; what was read is kept.
        """
        keys = [one.key for one in rendered]
        known = self._store.get(sorted(set(keys)))
        first = {one.key: one for one in reversed(rendered)}
        wanted = [first[key] for key in dict.fromkeys(keys) if key not in known]
        if wanted:
            with graceful() as stop, progress(label, len(wanted)) as advance:
                for batch in _batches(wanted):
                    stop.check("stopped while answers were read", fix="start again: what was read is kept")
                    new = dict(zip((one.key for one in batch), self._forward(batch), strict=True))
                    self._store.put(new)
                    known |= new
                    advance(len(batch))
        return np.stack([known[key] for key in keys])

    @cached_property
    def _model(self) -> Any:
        return shallow(self.policy.model, self.reading.depth)

    def _forward(self, batch: Sequence[Rendered]) -> list[Floats]:
        import torch

        from charter.data.packing import pack
        from charter.models import plain
        from charter.models.score import hidden_states, is_llama_style

        samples = [one.sample for one in batch if one.sample is not None]
        reads = [np.flatnonzero(np.asarray(one.completion.trained)).tolist() for one in samples]
        packed = pack(samples, reads)
        dtype = self.policy.compute_dtype
        with torch.inference_mode():
            if is_llama_style(self._model):
                hidden_R = hidden_states(self._model, replace(packed, predictor_U=packed.read_R), dtype)
            else:
                hidden_R = plain.hidden(self._model, packed, packed.read_R, dtype)
            parts = torch.split(hidden_R.float(), [len(one) for one in reads])
            return [self._pooled(one).cpu().numpy() for one in parts]

    def _pooled(self, hidden: Any) -> Any:
        import torch

        mean, last = hidden.mean(0), hidden[-1]
        return {"mean": mean, "last": last, "both": torch.cat((mean, last))}[self.reading.pooling]


def shallow(model: Any, depth: float) -> Any:
    """The first layers of a model, and its last norm; the weights are its own.

    A model that only transformers can compute is left whole.
    """
    from torch import nn

    from charter.models import blocks
    from charter.models.score import is_llama_style

    if depth == 1.0 or not is_llama_style(model):
        return model
    stack: Any = blocks.backbone(model)
    count = max(1, round(depth * len(stack.layers)))
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    short_stack, short = copy.copy(stack), copy.copy(inner)
    short_stack._modules = {**stack._modules, "layers": nn.ModuleList(list(stack.layers)[:count])}
    short._modules = {**inner._modules, "model": short_stack}
    short.config = copy.deepcopy(inner.config)
    short.config.num_hidden_layers = count
    if getattr(inner.config, "layer_types", None):
        short.config.layer_types = list(inner.config.layer_types)[:count]
    return short


def _with_principle(principle: str, turns: Sequence[Message]) -> tuple[Message, ...]:
    """The principle at the head of the user's first turn, as not every template knows a system turn."""
    said = f"Principle: {principle}"
    for index, turn in enumerate(turns):
        if turn.role == "user":
            return (*turns[:index], Message("user", f"{said}\n\n{turn.content}"), *turns[index + 1 :])
    return (*turns, Message("user", said))


def _spoken(turn: Message) -> Message:
    """Not every template knows tools."""
    return Message("user", f"(a tool returned) {turn.content}") if turn.role == "tool" else turn


def _batches(rendered: Sequence[Rendered]) -> list[list[Rendered]]:
    """As many together as the budget of stream tokens takes; what neighbours begin with is computed once.

    Sorted, so that answers under one principle, and to one conversation, are neighbours.
    """
    found: list[list[Rendered]] = []
    size, before = _TOKENS, tuple[int, ...]()
    for one in sorted(rendered, key=lambda one: one.ids):
        new = len(one.ids) - _shared(before, one.ids)
        if size + new > _TOKENS:
            found.append([])
            size, new = 0, len(one.ids)
        found[-1].append(one)
        size, before = size + new, one.ids
    return found


def _shared(first: Sequence[int], second: Sequence[int]) -> int:
    """Tokens that both begin with, where the packer shares them."""
    same = takewhile(lambda pair: pair[0] == pair[1], zip(first, second, strict=False))
    count = sum(1 for _ in same)
    return count if count >= MIN_SHARED else 0
