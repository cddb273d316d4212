"""From characters to tokens: rendering answers whose steps are judged."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from charter.errors import DataError
from charter.types import Content, Group, Judgement, Sample, SegmentTarget

Encode = Callable[[str], list[int]]
RenderContext = Callable[[Content, str], tuple[int, ...]]


def segments_of(group: Group, sample: int) -> Iterator[tuple[Judgement, SegmentTarget]]:
    """Judgements about segments of one sample, in order of their place."""
    found = [
        (said, said.target)
        for said in group.judgements
        if isinstance(said.target, SegmentTarget) and said.target.sample == sample
    ]
    return iter(sorted(found, key=lambda pair: (pair[1].start, pair[1].end)))


def has_steps_in_text(group: Group) -> bool:
    """Whether segments are judged of a completion that has no token ids yet."""
    return any(
        isinstance(said.target, SegmentTarget) and not group.samples[said.target.sample].completion.token_ids
        for said in group.judgements
    )


def render_steps(group: Group, context: RenderContext, encode: Encode) -> Group:
    """``group`` with token ids: each step tokenised apart, then what separates it from the next.

    A segment in characters becomes one in tokens that ends with its separator. Trained is the
    last token of each judged segment: it alone carries a label. No end-of-sequence token is
    added, as the last separator ends the answer.

    Raises:
        DataError: two segments overlap, or hold no token.
    """
    samples, judgements = [], []
    for index, sample in enumerate(group.samples):
        rendered, said = _sample(group, index, sample, encode)
        ids = sample.context.token_ids or context(sample.context.content, group.source)
        samples.append(replace(rendered, context=replace(sample.context, token_ids=ids)))
        judgements += said
    others = [said for said in group.judgements if not isinstance(said.target, SegmentTarget)]
    return replace(group, samples=tuple(samples), judgements=(*others, *judgements))


def _sample(group: Group, index: int, sample: Sample, encode: Encode) -> tuple[Sample, list[Judgement]]:
    text = sample.completion.text
    segments = list(segments_of(group, index))
    starts = [target.start for _, target in segments]
    ids = list(encode(text[: starts[0]])) if segments and starts[0] else []
    said = []
    for (judgement, target), until in zip(segments, [*starts[1:], len(text)], strict=True):
        if target.end > until:
            raise DataError("two judged steps overlap", where=group.source)
        first = len(ids)
        ids += encode(text[target.start : target.end])
        if len(ids) == first:
            raise DataError("a judged step holds no token", where=group.source)
        if until > target.end:
            ids += encode(text[target.end : until])
        said.append(replace(judgement, target=SegmentTarget(index, first, len(ids))))
    ends = {one.target.end - 1 for one in said if one.verdict == "judged"}  # type: ignore[union-attr]
    trained = tuple(at in ends for at in range(len(ids)))
    completion = replace(sample.completion, token_ids=tuple(ids), trained=trained)
    return replace(sample, completion=completion), said
