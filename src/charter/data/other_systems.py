"""Answers of other systems that a data set's prompts bring along, beside those the policy samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from charter.data.render import Template
from charter.errors import DataError, did_you_mean
from charter.types import Completion, Group, Sample


def answers_of_systems(group: Group, column: str) -> dict[str, str]:
    """System and answer, from the column of a prompt that holds them; systems without an answer left out.

    Raises:
        DataError: the column is missing, or is no mapping of names to texts, or names no answer.
    """
    if column not in group.meta:
        raise DataError(
            f"the prompt has no column {column!r}", where=group.source, fix=did_you_mean(column, group.meta)
        )
    given = group.meta[column]
    if not isinstance(given, Mapping):
        raise DataError(f"{column!r} must name systems and their answers", where=group.source)
    found = {str(system): answer for system, answer in given.items() if answer is not None}
    for system, answer in found.items():
        if not isinstance(answer, str) or not answer.strip():
            raise DataError(f"the answer of {system!r} in {column!r} is not a text", where=group.source)
        if system == "policy":
            raise DataError(
                f"a system in {column!r} is called 'policy'", where=group.source, fix="give it another name"
            )
    if not found:
        raise DataError(f"{column!r} names no answer", where=group.source)
    return found


def samples_of_systems(prompt: Group, column: str, template: Template) -> tuple[Sample, ...]:
    """Those answers as samples, rendered as the template writes them, after the prompt as it was cut."""
    context = prompt.samples[0].context
    found = answers_of_systems(prompt, column)
    asked = tuple(
        Sample(context, Completion(answer, finish_reason="stop", sampled_by=system))
        for system, answer in found.items()
    )
    rendered = template.render(replace(prompt, samples=asked))
    return tuple(replace(sample, context=context) for sample in rendered.samples)


def check_systems(prompts: Sequence[Group], column: str) -> None:
    """Refuse prompts without such answers, before a model samples.

    Raises:
        DataError: see :func:`answers_of_systems`.
    """
    for prompt in prompts:
        answers_of_systems(prompt, column)
