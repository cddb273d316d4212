"""A conversation with one good and one bad answer, as an example of a principle."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from charter.constitution.examples import Answer, Comparison, Example, Label, Speaker, Turn
from charter.constitution.exchange import escape
from charter.constitution.exchange.builder import Builder


def example(
    builder: Builder,
    where: str,
    title: str,
    turns: Sequence[tuple[str, str]],
    answers: Sequence[tuple[Label, str]],
) -> Example:
    """An example in words that are safe in the file.

    Args:
        turns: (speaker, text) of each message before the answers.
        answers: (label, text) of each answer.
    """
    steps: list[Turn | Comparison] = [
        Turn(
            cast(Speaker, speaker),
            builder.safe(where, f"{speaker} turn", text, escape.message(text, speaker)),
            0,
        )
        for speaker, text in turns
    ]
    compared = tuple(
        Answer(label, builder.safe(where, f"{label} answer", text, escape.answer(text)), 0)
        for label, text in answers
    )
    steps.append(Comparison(compared, 0))
    return Example(builder.safe(where, "example title", title, escape.one_line(title)), tuple(steps), 0)
