"""Rows for models that write a critique and then score (CLoud, 2408.11791)."""

from __future__ import annotations

from dataclasses import replace

from charter.catalogue.generative import CLoudOptions
from charter.data.formats import LoadedData
from charter.data.questions import about_answer, reply
from charter.errors import DataError
from charter.types import Group, Judgement, PairTarget, Sample, SampleTarget

COLUMNS = ("chosen_critique", "rejected_critique")
"""Columns with the critique of each answer of a preference row."""


def cloud_rows(loaded: LoadedData, options: CLoudOptions) -> LoadedData:
    """Each answer of a pair moves into the context, and its critique becomes the completion.

    The reward is read at the end of the critique; the critique's tokens carry the language-model loss.

    Raises:
        DataError: a row is no single pair, or lacks a critique.
    """
    return replace(loaded, groups=tuple(_with_critiques(group, options.question) for group in loaded.groups))


def _with_critiques(group: Group, ask: str) -> Group:
    pairs = [said.target for said in group.judgements if isinstance(said.target, PairTarget)]
    if pairs != [PairTarget(0, 1)] or len(group.samples) != 2:
        raise DataError(
            "a row of critiques compares two answers", where=group.source, fix="give chosen and rejected"
        )
    # The language-model loss reads weights of samples, and the row's is said of the pair.
    weighed = tuple(
        Judgement(SampleTarget(index), 1.0, weight=said.weight)
        for said in group.judgements
        if isinstance(said.target, PairTarget)
        for index in (0, 1)
    )
    return replace(
        group,
        samples=tuple(
            critiqued(sample, critique_in(group, column), ask)
            for sample, column in zip(group.samples, COLUMNS, strict=True)
        ),
        judgements=(*(s for s in group.judgements if isinstance(s.target, PairTarget)), *weighed),
    )


def critiqued(sample: Sample, critique: str, ask: str) -> Sample:
    """The critique of one answer, under the prompt, the answer and the request for it."""
    context = about_answer(sample.context.content, sample.completion.content, ask)
    text = critique.strip()
    return Sample(context, reply(context, f"\n{text}" if isinstance(context.content, str) else text))


def critique_in(group: Group, column: str) -> str:
    """The critique in one column of a row.

    Raises:
        DataError: it is missing or blank.
    """
    found = group.meta.get(column)
    if not isinstance(found, str) or not found.strip():
        raise DataError(
            f"column {column!r} holds no critique",
            where=group.source,
            fix="write one, or let the model write them: charter critiques PAIRS --model MODEL --out ROWS",
        )
    return found
