"""Which tokens of a row are trained: the completion, the assistant's turns, or everything."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from charter.catalogue.options import TrainOptions
from charter.catalogue.supervised import SpanOptions
from charter.data.formats import LoadedData
from charter.errors import ConfigError, DataError
from charter.types import Completion, Context, Group, Sample


def checked(loaded: LoadedData, options: SpanOptions) -> LoadedData:
    """The rows, if the options mean something for them.

    Where the assistant's turns of the prompt are trained too, the completion begins at
    the first of them.

    Raises:
        ConfigError: an option that these rows cannot obey.
        DataError: a row that cannot.
    """
    whole_row = options.completion_only_loss is False
    if options.completion_only_loss and loaded.kind in ("messages", "text"):
        raise ConfigError(
            f"completion_only_loss needs rows with a prompt and a completion, and these have {loaded.kind}",
            where=loaded.name or None,
            fix="leave it out: conversations train the assistant's turns, a text column is trained whole",
        )
    if options.assistant_only_loss is False and not whole_row and loaded.kind == "messages":
        raise ConfigError(
            "assistant_only_loss: false trains every turn of a completion, and these rows are conversations "
            "without one",
            where=loaded.name or None,
            fix="say completion_only_loss: false to train whole conversations",
        )
    loaded = _say_unweighted(loaded)
    if not options.assistant_only_loss:
        return loaded
    for group in loaded.groups:
        if any(isinstance(sample.context.content, str) for sample in group.samples):
            raise DataError(
                "assistant_only_loss needs conversations, and this row is plain text",
                where=group.source,
                fix="write it as turns, or leave assistant_only_loss out",
            )
    return replace(loaded, groups=tuple(map(_from_first_answer, loaded.groups))) if whole_row else loaded


UNWEIGHTED = "rows whose column weight is not read: every token counts the same"


def _say_unweighted(loaded: LoadedData) -> LoadedData:
    """Count rows that say how much they weigh, which these losses do not ask."""
    count = sum("weight" in group.meta for group in loaded.groups)
    return replace(loaded, counts={**loaded.counts, UNWEIGHTED: count}) if count else loaded


def marked(groups: Sequence[Group], options: SpanOptions) -> Sequence[Group]:
    """The rendered groups with the tokens marked that the options want trained."""
    if options.completion_only_loss is False and not options.assistant_only_loss:
        return whole(groups, options)
    if options.assistant_only_loss is False:
        return [_each(group, _all_of_completion) for group in groups]
    return groups


def whole(groups: Sequence[Group], options: TrainOptions) -> Sequence[Group]:
    """The rendered groups with every token trained, those of the prompts too."""
    return [_each(group, _all_of_sample) for group in groups]


def _from_first_answer(group: Group) -> Group:
    samples = []
    for sample in group.samples:
        turns, answer = sample.context.content, sample.completion.content
        first = next((i for i, turn in enumerate(turns) if getattr(turn, "role", "") == "assistant"), None)
        if first is not None and not isinstance(turns, str) and not isinstance(answer, str):
            if sample.completion.token_ids:
                raise DataError(
                    "the prompt of a sampled answer holds answers, which have no token ids to train on",
                    where=group.source,
                    fix="leave assistant_only_loss out",
                )
            sample = replace(
                sample,
                context=Context(turns[:first]),
                completion=replace(sample.completion, content=(*turns[first:], *answer)),
            )
        samples.append(sample)
    return replace(group, samples=tuple(samples))


def _each(group: Group, change: Callable[[Sample], Sample]) -> Group:
    return replace(group, samples=tuple(change(sample) for sample in group.samples))


def _all_of_completion(sample: Sample) -> Sample:
    # Nothing predicts a sample's very first token.
    first = bool(sample.context.token_ids)
    trained = (first,) + (True,) * (len(sample.completion.token_ids) - 1)
    return replace(sample, completion=replace(sample.completion, trained=trained))


def _all_of_sample(sample: Sample) -> Sample:
    ids = sample.context.token_ids + sample.completion.token_ids
    completion = Completion(
        content=sample.completion.content,
        token_ids=ids,
        trained=(False,) + (True,) * (len(ids) - 1),
        finish_reason=sample.completion.finish_reason,
        sampled_by=sample.completion.sampled_by,
    )
    return replace(sample, context=Context(""), completion=completion)
