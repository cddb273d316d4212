"""Which tokens of a judge's reply are the verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from charter.catalogue.options import TrainOptions
from charter.data.questions import Question, verdict_reply
from charter.data.render import Template
from charter.errors import DataError
from charter.progress import say
from charter.types import Context, Group, Sample


def verdict_group(template: Template, context: Context, question: Question, reasons: str = "") -> Group:
    """Both verdicts on one question, rendered as in training; only the verdicts' tokens are scored.

    Sample 0 ends with the positive verdict, sample 1 with the negative one. The tokens the two
    replies begin with alike, and the end of the turn, are not part of the verdict.

    Raises:
        DataError: the two verdicts cannot be told apart by their tokens.
    """
    samples = tuple(
        Sample(context, verdict_reply(context, question, word, reasons)) for word in question.words
    )
    group = template.render(Group(samples))
    ids = [sample.completion.token_ids for sample in group.samples]
    shared = next((i for i, (a, b) in enumerate(zip(*ids, strict=False)) if a != b), min(map(len, ids)))
    if any(len(one) - 1 <= shared for one in ids):
        raise DataError(f"the verdicts {question.positive!r} and {question.negative!r} share their tokens")
    marked = tuple(_scored(sample, shared, len(sample.completion.token_ids) - 1) for sample in group.samples)
    return replace(group, samples=marked)


def verdict_only(groups: Sequence[Group], options: TrainOptions) -> Sequence[Group]:
    """Rendered questions whose one-word verdict is trained without the end of the turn after it.

    So the loss of a question is ``-log p(verdict)`` as published. After reasons the end is trained
    too, because those replies are sampled.
    """
    made = [_without_end(group) for group in groups]
    _warn_of_long_verdicts(made)
    return made


def _scored(sample: Sample, start: int, end: int) -> Sample:
    count = len(sample.completion.token_ids)
    trained = tuple(start <= at < end for at in range(count))
    return replace(sample, completion=replace(sample.completion, trained=trained))


def _is_bare(group: Group) -> bool:
    return "verdict" in group.meta and not group.meta.get("reasons")


def _without_end(group: Group) -> Group:
    (sample,) = group.samples
    cut = sample.completion.finish_reason == "length"  # the end is gone already
    if not _is_bare(group) or cut:
        return group
    return replace(group, samples=(_scored(sample, 0, len(sample.completion.token_ids) - 1),))


def _warn_of_long_verdicts(groups: Sequence[Group]) -> None:
    lengths = {
        group.meta["verdict"]: sum(group.samples[0].completion.trained) for group in groups if _is_bare(group)
    }
    long = [f"{word!r} ({count})" for word, count in sorted(lengths.items()) if count > 1]
    if long:
        say(f"verdicts of several tokens, each of which counts as one in the mean: {', '.join(long)}")
