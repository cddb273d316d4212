"""Lay samples out as one flat token stream in which every shared prefix stands once.

The packer compares token ids, across all samples it is given: a prompt shared
by the completions of a group, a system prompt shared by all prompts, and the
first tokens two completions have in common are each computed once. Nothing has
to declare what is shared, so pairs, groups of G, distillation with two
contexts, and mixed batches all go through the same code.

The stream is a forest of *segments*. A token attends to its segment up to
itself, and to all of its segment's ancestors. Its position is its index in its
own sample, as if the sample stood alone.

Shapes: T tokens of the stream, U distinct (predicting position, label) pairs,
N scored tokens over all samples, B samples, R positions at which a reward is read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from charter.types import Group, Sample

Ints = NDArray[np.int64]

MIN_SHARED = 8
"""A prefix shorter than this is computed twice: a segment of its own costs more."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A run of consecutive stream tokens that belong to the same samples.

    Attributes:
        start, length: the run, in stream positions.
        ancestors: indices of the segments it continues, root first.
    """

    start: int
    length: int
    ancestors: tuple[int, ...]


@dataclass(frozen=True)
class Packed:
    """B samples as a flat stream of T tokens.

    Attributes:
        input_ids_T: token ids; the last token of a sample predicts nothing and is left out,
            unless a reward is read at it.
        positions_T: index of each token in its own sample.
        segments: see :class:`Segment`; every stream token is in exactly one.
        predictor_U: stream position whose hidden state predicts each distinct label.
        label_U: the label.
        unique_N: which of the U values each scored token takes.
        sample_N: which sample each scored token belongs to, ascending.
        num_samples: B.
        logical_tokens: tokens if every sample stood alone, unpadded.
        read_R: stream position of each place a reward is read at, sample by sample.
    """

    input_ids_T: Ints
    positions_T: Ints
    segments: tuple[Segment, ...]
    predictor_U: Ints
    label_U: Ints
    unique_N: Ints
    sample_N: Ints
    num_samples: int
    logical_tokens: int
    read_R: Ints = field(default_factory=lambda: np.empty(0, dtype=np.int64))

    @cached_property
    def lengths_B(self) -> Ints:
        """Scored tokens of each sample."""
        return np.bincount(self.sample_N, minlength=self.num_samples).astype(np.int64)

    @property
    def sharing(self) -> float:
        """How many times over the stream is used: 1 = nothing shared."""
        return self.logical_tokens / max(len(self.input_ids_T), 1)


def scored_tokens(sample: Sample) -> int:
    """How many tokens of the sample get a log-probability."""
    trained = sample.completion.trained
    first = 0 if sample.context.token_ids else 1  # nothing predicts the very first token
    return sum(trained[first:])


def stream_length(group: Group) -> int:
    """Upper bound of the stream tokens a group adds, counting the prefix its samples share once."""
    inputs = [(*s.context.token_ids, *s.completion.token_ids)[:-1] for s in group.samples]
    if len(inputs) == 1:
        return len(inputs[0])
    shared = _common_prefix(min(inputs), max(inputs), 0)
    return sum(map(len, inputs)) - (len(inputs) - 1) * (shared if shared >= MIN_SHARED else 0)


def pack(samples: Sequence[Sample], reads: Sequence[Sequence[int]] | None = None) -> Packed:
    """Pack rendered samples; order of samples is kept in ``sample_N``.

    Args:
        samples: rendered samples.
        reads: for each sample the completion tokens (0-based, -1 = the last) at which a reward
            is read. With it the stream keeps every sample's last token.

    Raises:
        ValueError: a sample has no token ids or no ``trained`` mask.
    """
    for index, sample in enumerate(samples):
        if not sample.completion.token_ids or not sample.completion.trained:
            raise ValueError(f"sample {index} is not rendered: it has no token ids or no trained mask")
    sequences = [(*s.context.token_ids, *s.completion.token_ids) for s in samples]
    builder = _Forest(sequences if reads is not None else [sequence[:-1] for sequence in sequences])
    predictors, labels, owners, read = [], [], [], []
    for index, sample in enumerate(samples):
        start = len(sample.context.token_ids)
        at = start + np.flatnonzero(np.asarray(sample.completion.trained))
        at = at[at > 0]
        predictors.append(builder.stream_position[index][at - 1])
        labels.append(np.asarray(sequences[index], dtype=np.int64)[at])
        owners.append(np.full(len(at), index, dtype=np.int64))
        if reads is not None:
            length = len(sample.completion.token_ids)
            where = [start + token % length for token in reads[index]]
            read.append(builder.stream_position[index][np.asarray(where, dtype=np.int64)])
    predictor_N, label_N = _concat(predictors), _concat(labels)
    # One key per (position, label): samples that share both share the log-probability.
    key_N = predictor_N * (int(label_N.max(initial=0)) + 1) + label_N
    _, first_U, unique_N = np.unique(key_N, return_index=True, return_inverse=True)
    return Packed(
        input_ids_T=_concat(builder.ids),
        positions_T=_concat(builder.positions),
        segments=tuple(builder.segments),
        predictor_U=predictor_N[first_U],
        label_U=label_N[first_U],
        unique_N=unique_N.astype(np.int64),
        sample_N=_concat(owners),
        num_samples=len(samples),
        logical_tokens=sum(len(s) - (reads is None) for s in sequences),
        read_R=_concat(read),
    )


class _Forest:
    """Builds the segments by splitting sequences where they part."""

    def __init__(self, inputs: list[tuple[int, ...]]) -> None:
        self.inputs = inputs
        self.segments: list[Segment] = []
        self.ids: list[Ints] = []
        self.positions: list[Ints] = []
        self.stream_position = [np.empty(len(sequence), dtype=np.int64) for sequence in inputs]
        self._length = 0
        self._rank = [0] * len(inputs)  # place of each input in sorted order
        for rank, m in enumerate(sorted(range(len(inputs)), key=inputs.__getitem__)):
            self._rank[m] = rank
        self._grow(list(range(len(inputs))))

    def _grow(self, everyone: list[int]) -> None:
        """Lay out all inputs; what is left to lay out is a list, as prefixes may nest very deeply."""
        todo: list[tuple[list[int], int, tuple[int, ...]]] = [(everyone, 0, ())]
        while todo:
            members, offset, ancestors = todo.pop()
            members = [m for m in members if len(self.inputs[m]) > offset]
            if not members:
                continue
            first, last = min(members, key=self._rank.__getitem__), max(members, key=self._rank.__getitem__)
            shared = _common_prefix(self.inputs[first], self.inputs[last], offset)
            if len(members) == 1 or shared >= MIN_SHARED:
                self._add(members, offset, shared, ancestors)
                todo.append((members, offset + shared, (*ancestors, len(self.segments) - 1)))
            else:
                todo += [(branch, offset, ancestors) for branch in reversed(self._branches(members, offset))]

    def _branches(self, members: list[int], offset: int) -> list[list[int]]:
        """Members that go on differently part here; those that agree for a while stay together."""
        branches: dict[tuple[int, ...], list[int]] = {}
        for m in members:
            branches.setdefault(self.inputs[m][offset : offset + MIN_SHARED], []).append(m)
        if len(branches) == 1:  # they end before MIN_SHARED more tokens: the shorter ones stand alone
            return [[m] for m in members]
        return list(branches.values())

    def _add(self, members: list[int], offset: int, length: int, ancestors: tuple[int, ...]) -> None:
        end = offset + length
        self.segments.append(Segment(self._length, length, ancestors))
        self.ids.append(np.asarray(self.inputs[members[0]][offset:end], dtype=np.int64))
        self.positions.append(np.arange(offset, end, dtype=np.int64))
        for m in members:
            self.stream_position[m][offset:end] = np.arange(self._length, self._length + length)
        self._length += length


def _common_prefix(first: tuple[int, ...], last: tuple[int, ...], offset: int) -> int:
    """Length of the prefix two sequences share from ``offset`` on.

    In sorted order only the ends differ most: it is what all sequences between the two share.
    """
    limit = min(len(first), len(last))
    at = offset
    while at < limit and first[at] == last[at]:
        at += 1
    return at - offset


def _concat(parts: list[Ints]) -> Ints:
    return np.concatenate(parts) if parts else np.empty(0, dtype=np.int64)
