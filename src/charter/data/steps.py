"""Answers whose steps are labelled: the steps' place in the text, then in the tokens.

Each step is tokenised apart and followed by the tokens of a separator; the label lives on the
separator's last token. So a step has the same ids whatever stands around it, in training and
in judging (Lightman et al. 2023, 2305.20050; the tokenisation is that of TRL's PRM trainer).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import accumulate

from charter.catalogue.process import ProcessRewardOptions
from charter.data.formats import LoadedData
from charter.data.step_tokens import segments_of
from charter.errors import DataError
from charter.progress import say
from charter.types import Completion, Context, Group, Judgement, Sample, SegmentTarget

RIGHT = 0.5
"""A step whose label is below this is an error."""


def split_steps(text: str, separator: str) -> list[str]:
    """The steps of an answer, without blank ones."""
    return [step for step in text.split(separator) if step.strip()]


def stepped(context: Context, steps: Sequence[str], separator: str) -> Sample:
    """A sample of so many steps, each followed by the separator."""
    return Sample(context, Completion("".join(step + separator for step in steps)))


def spans(steps: Sequence[str], separator: str) -> list[tuple[int, int]]:
    """Where each step of :func:`stepped` stands in the text, without its separator."""
    ends = accumulate(len(step) + len(separator) for step in steps)
    return [
        (end - len(separator) - len(step), end - len(separator))
        for step, end in zip(steps, ends, strict=True)
    ]


def separated(loaded: LoadedData, options: ProcessRewardOptions) -> LoadedData:
    """The data with the separator after every step, and only the labels that are trained on."""
    groups = []
    unlabelled = 0
    for group in loaded.groups:
        made = _separated(group, options)
        if any(said.verdict == "judged" for said in made.judgements):
            groups.append(made)
        else:
            unlabelled += 1
    if not groups:
        raise DataError("no row has a labelled step to train on", where=loaded.name or None)
    counts = {**loaded.counts, "rows left out: the steps trained on have no label": unlabelled}
    return replace(loaded, groups=tuple(groups), counts=counts)


def labelled_ends(groups: Sequence[Group], options: ProcessRewardOptions) -> Sequence[Group]:
    """Rendered groups cut to ``max_completion_length``, without labels whose separator was cut off."""
    kept, lost = [], 0
    for group in groups:
        cut = _cut(group, options.max_completion_length)
        whole = tuple(said for said in cut.judgements if _is_whole(said, cut))
        lost += sum(said.verdict == "judged" for said in group.judgements)
        lost -= sum(said.verdict == "judged" for said in whole)
        if any(said.verdict == "judged" for said in whole):
            kept.append(replace(cut, judgements=whole))
    if lost:
        say(f"data: {lost} step labels cut off, {len(groups) - len(kept)} rows dropped for having none left")
    if not kept:
        raise DataError(
            "no labelled step is left after truncation", fix="raise max_length or max_completion_length"
        )
    return kept


def _separated(group: Group, options: ProcessRewardOptions) -> Group:
    (sample,) = group.samples
    text = sample.completion.text
    said = list(segments_of(group, 0))
    steps = [text[target.start : target.end] for _, target in said]
    places = spans(steps, options.step_separator)
    judgements = [
        replace(judgement, target=SegmentTarget(0, *place))
        for (judgement, _), place in zip(said, places, strict=True)
    ]
    trained = stepped(sample.context, steps, options.step_separator)
    return replace(group, samples=(trained,), judgements=tuple(_selected(judgements, options)))


def _selected(judgements: Sequence[Judgement], options: ProcessRewardOptions) -> Iterator[Judgement]:
    """Judgements with the labels that are not trained on taken away."""
    wrong = False
    for number, said in enumerate(judgements, start=1):
        skipped = wrong and options.until_first_error
        skipped |= options.train_on_last_step_only and number < len(judgements)
        wrong |= said.value is not None and said.value < RIGHT
        yield replace(said, value=None, verdict="not_measured") if skipped else said


def _cut(group: Group, limit: int | None) -> Group:
    if limit is None:
        return group
    samples = []
    for sample in group.samples:
        completion = sample.completion
        if len(completion.token_ids) > limit:
            completion = replace(
                completion,
                token_ids=completion.token_ids[:limit],
                trained=completion.trained[:limit],
                logps=completion.logps[:limit],
                finish_reason="length",
            )
        samples.append(replace(sample, completion=completion))
    return replace(group, samples=tuple(samples))


def _is_whole(said: Judgement, group: Group) -> bool:
    """Whether a label still stands on the token it was given to."""
    target = said.target
    if not isinstance(target, SegmentTarget) or said.verdict != "judged":
        return True
    trained = group.samples[target.sample].completion.trained
    return target.end <= len(trained) and trained[target.end - 1]


def token_spans(
    ids: Sequence[int], decode: Callable[[Sequence[int]], str], places: Sequence[tuple[int, int]]
) -> list[tuple[int, int]]:
    """The tokens of ``ids`` that cover each stretch of characters of their text.

    A token that reaches across the border of a stretch belongs to it.
    """
    whole = decode(ids)
    # A character whose tokens are not all there decodes to a mark of its own, which is no part of the text.
    ends = [_shared(decode(ids[: count + 1]), whole) for count in range(len(ids))]

    def reached(length: int) -> int:
        """The first token with which so many characters are complete."""
        return next((i for i, at in enumerate(ends) if at >= length), len(ids) - 1)

    found = []
    for start, end in places:
        before = reached(start)
        first = 0 if start == 0 else before + (ends[before] == start)
        found.append((first, max(reached(end), first) + 1))
    return found


def _shared(text: str, whole: str) -> int:
    """How many characters two texts begin with alike."""
    return next((i for i, (a, b) in enumerate(zip(text, whole, strict=False)) if a != b), len(text))
