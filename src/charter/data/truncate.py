"""Cutting contexts and completions to a length, each side for itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from charter.errors import DataError
from charter.types import Completion, Context, Group, Judgement, Sample, SegmentTarget

TruncationMode = Literal["keep_start", "keep_end"]
"""Which end of a long context stays: ``keep_end`` cuts from the left."""

NO_ROOM = "prompt leaves no room for a completion"
BECAME_EQUAL = "completions equal after truncation"
NOTHING_TRAINED = "no trained token left after truncation"


@dataclass(frozen=True, slots=True)
class Truncated:
    """What became of a group.

    Attributes:
        group: the group, or None if it had to be dropped.
        reason: why it was dropped, or "".
        contexts_cut: samples whose context lost tokens.
        completions_cut: samples whose completion lost tokens (and so its end-of-turn token).
    """

    group: Group | None
    reason: str = ""
    contexts_cut: int = 0
    completions_cut: int = 0


def check_limits(max_length: int | None, max_prompt_length: int | None, mode: str) -> None:
    """Raise DataError for limits that cannot work."""
    if mode not in ("keep_start", "keep_end"):
        raise DataError(f"truncation_mode is 'keep_start' or 'keep_end', not {mode!r}")
    for name, value in (("max_length", max_length), ("max_prompt_length", max_prompt_length)):
        if value is not None and value < 1:
            raise DataError(f"{name} is at least 1, not {value}")
    if max_length is not None and max_prompt_length is not None and max_prompt_length >= max_length:
        raise DataError(
            f"max_prompt_length {max_prompt_length} leaves no room in max_length {max_length}",
            fix="make max_prompt_length smaller",
        )


def truncate(
    group: Group,
    max_length: int | None,
    max_prompt_length: int | None = None,
    truncation_mode: TruncationMode = "keep_end",
) -> Truncated:
    """Cut a rendered group to ``max_length`` tokens a sample.

    A context is cut only by ``max_prompt_length``; a completion is cut at its
    right end to what ``max_length`` leaves, whatever its neighbours' lengths.
    No completion is emptied and no two become equal: such groups are dropped.
    """
    check_limits(max_length, max_prompt_length, truncation_mode)
    samples = tuple(_cut(sample, max_length, max_prompt_length, truncation_mode) for sample in group.samples)
    kept = tuple(sample for sample in samples if sample is not None)
    if len(kept) < len(samples):
        return Truncated(None, NO_ROOM)
    pairs = list(zip(group.samples, kept, strict=True))
    contexts = sum(old.context.token_ids != new.context.token_ids for old, new in pairs)
    completions = sum(old.completion.token_ids != new.completion.token_ids for old, new in pairs)
    if not contexts and not completions:
        return Truncated(group)
    if any(any(old.completion.trained) and not any(new.completion.trained) for old, new in pairs):
        return Truncated(None, NOTHING_TRAINED)
    if _distinct(kept) < _distinct(group.samples):
        return Truncated(None, BECAME_EQUAL)
    said = _within(group.judgements, kept)
    return Truncated(replace(group, samples=kept, judgements=said), "", contexts, completions)


def _cut(
    sample: Sample, max_length: int | None, max_prompt: int | None, mode: TruncationMode
) -> Sample | None:
    context = _cut_context(sample.context, max_prompt, mode)
    if max_length is None:
        return replace(sample, context=context)
    room = max_length - len(context.token_ids)
    # A prompt that waits for its completion needs room for one token of it too.
    if room < 1:
        return None
    return replace(sample, context=context, completion=_cut_completion(sample.completion, room))


def _cut_context(context: Context, limit: int | None, mode: TruncationMode) -> Context:
    if limit is None or len(context.token_ids) <= limit:
        return context
    ids = context.token_ids[-limit:] if mode == "keep_end" else context.token_ids[:limit]
    return replace(context, token_ids=ids)


def _cut_completion(completion: Completion, room: int) -> Completion:
    if len(completion.token_ids) <= room:
        return completion
    return replace(
        completion,
        token_ids=completion.token_ids[:room],
        trained=completion.trained[:room],
        logps=completion.logps[:room],
        finish_reason="length",
    )


def _distinct(samples: Sequence[Sample]) -> int:
    return len({(sample.context.token_ids, sample.completion.token_ids) for sample in samples})


def _within(judgements: Sequence[Judgement], samples: Sequence[Sample]) -> tuple[Judgement, ...]:
    """Judgements whose segments still exist, cut to what is left of them."""
    kept = []
    for judgement in judgements:
        target = judgement.target
        if isinstance(target, SegmentTarget):
            end = min(target.end, len(samples[target.sample].completion.token_ids))
            if target.start >= end:
                continue
            judgement = replace(judgement, target=replace(target, end=end))
        kept.append(judgement)
    return tuple(kept)
