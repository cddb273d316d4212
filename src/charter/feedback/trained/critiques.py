"""Critiques sampled from the model that judges: reasons before a verdict, or before a score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from charter.data.critique_rows import COLUMNS
from charter.data.questions import CRITIQUE, about_answer
from charter.data.render import Template
from charter.engines.base import Engine, Sampling
from charter.errors import DataError
from charter.types import Content, Context, Group, PairTarget

BLANK = "No comment."
"""In place of a critique that came out blank, which would turn the reply into the form without any."""
_ASKING = Sampling(max_completion_length=256)


def critiques(
    engine: Engine,
    template: Template,
    contexts: Sequence[Context],
    n: int = 1,
    sampling: Sampling = _ASKING,
    *,
    until: str = "",
) -> list[list[str]]:
    """``n`` critiques of every context, each cut before the text ``until``."""
    asked = [replace(context, token_ids=template.render_context(context.content)) for context in contexts]
    if until:
        sampling = sampling.model_copy(update={"stop": (*sampling.stop, until)})
    groups = engine.generate(asked, n, sampling)
    return [[sample.completion.text.strip() for sample in group.samples] for group in groups]


def self_critiques(
    groups: Sequence[Group],
    engine: Engine,
    template: Template,
    sampling: Sampling = _ASKING,
    *,
    question: str = CRITIQUE,
) -> list[dict[str, Any]]:
    """Preference rows with critiques the model writes itself: the data of CLoud's second stage.

    Stage 1 trains ``sft`` or ``cloud`` on critiques from people or a stronger model. Stage 2 lets
    the trained model write the critiques of the same pairs, with this function, and trains
    ``cloud`` on them: the reward then learns to read what it will be given (2408.11791, section 3).
    A critique that came out blank is written as "No comment.".

    Args:
        groups: pairs, as :func:`charter.data.formats.load_groups` reads preference rows.
        engine: samples from the model of stage 1.
        template: of the same model.
        sampling: how critiques are sampled.
        question: the request for a critique, as in the option ``question``.

    Returns:
        one row a pair: ``prompt``, ``chosen``, ``rejected``, ``chosen_critique``, ``rejected_critique``.
    """
    contexts = critique_questions(groups, question)
    return critique_rows(groups, [of[0] for of in critiques(engine, template, contexts, 1, sampling)])


def critique_questions(groups: Sequence[Group], question: str = CRITIQUE) -> list[Context]:
    """The request for a critique of each answer of each pair, the better one first."""
    return [
        about_answer(prompt, side, question)
        for prompt, *both in (_sides(group) for group in groups)
        for side in both
    ]


def critique_rows(groups: Sequence[Group], texts: Sequence[str]) -> list[dict[str, Any]]:
    """Preference rows with the critiques that :func:`critique_questions` asked for, in its order."""
    written = iter(texts)
    rows = []
    for group in groups:
        prompt, chosen, rejected = _sides(group)
        said = [next(written) or BLANK for _ in COLUMNS]
        rows.append(
            {
                "prompt": _plain(prompt),
                "chosen": _plain(chosen),
                "rejected": _plain(rejected),
                **dict(zip(COLUMNS, said, strict=True)),
            }
        )
    return rows


def _sides(group: Group) -> tuple[Content, Content, Content]:
    pairs = [said.target for said in group.judgements if isinstance(said.target, PairTarget)]
    if len(pairs) != 1:
        raise DataError(f"{len(pairs)} comparisons in a row, wanted one", where=group.source or group.id)
    better, worse = group.samples[pairs[0].better], group.samples[pairs[0].worse]
    return better.context.content, better.completion.content, worse.completion.content


def _plain(content: Content) -> str | list[dict[str, str]]:
    if isinstance(content, str):
        return content
    return [{"role": turn.role, "content": turn.content} for turn in content]
