"""How a survey's question is put to a model, and how its reply is read."""

from __future__ import annotations

import re
import string
from collections.abc import Sequence
from dataclasses import dataclass

from charter.data.survey import Question
from charter.errors import ConfigError
from charter.types import Message

STEER = "Answer as this group of people would: {group}."
"""Steering prompt; ``{group}`` is the group's name."""

_FORM = "{head}Question: {question}\n{options}\n\nAnswer with one letter."
_EXAMPLES = "This is how they answered other questions.\n\n{examples}\n\n"
_LETTER = re.compile(r"\s*\(?([A-Z])(?:[).:]|\s|\Z)")


@dataclass(frozen=True, slots=True)
class Asked:
    """A question as it is put.

    Attributes:
        question: of the survey.
        steer: what stands before it; "" = nothing.
        examples: questions with the shares of the people who chose each option.
    """

    question: Question
    steer: str = ""
    examples: tuple[tuple[Question, tuple[float, ...]], ...] = ()


def check_steer(steer: str) -> str:
    """The steering prompt, if it names the group.

    Raises:
        ConfigError: it does not, or holds other braces.
    """
    try:
        named = steer.format(group="\0")
    except (KeyError, IndexError, ValueError):
        named = ""
    if "\0" not in named:
        raise ConfigError(
            f"the steering prompt {steer!r} does not name the group",
            where="--steer",
            fix="write {group} where its name goes, and no other braces",
        )
    return steer


def letters(question: Question) -> list[str]:
    """Names of the options in the order they are shown."""
    return list(string.ascii_uppercase[: len(question.options)])


def turns_of(asked: Asked, order: Sequence[int]) -> tuple[Message, ...]:
    """The conversation a model answers with one letter.

    Args:
        asked: what is asked.
        order: index of the option at each place.
    """
    question = asked.question
    shown = "\n".join(
        f"{letter}. {question.options[index]}" for letter, index in zip(letters(question), order, strict=True)
    )
    head = f"{asked.steer}\n\n" if asked.steer else ""
    if asked.examples:
        head += _EXAMPLES.format(examples="\n".join(_example(*one) for one in asked.examples))
    return (Message("user", _FORM.format(head=head, question=question.text, options=shown)),)


def orders_of(question: Question) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The options as they stand, and turned round."""
    there = tuple(range(len(question.options)))
    return there, there[::-1]


def read_reply(reply: str, question: Question, order: Sequence[int]) -> int | None:
    """Index of the option a reply names, by its letter or its whole text; None = none, or several."""
    found = _LETTER.match(reply)
    if found is not None and (place := ord(found.group(1)) - ord("A")) < len(order):
        return order[place]
    said = reply.strip().rstrip(".").casefold()
    same = [index for index, option in enumerate(question.options) if option.casefold() == said]
    return same[0] if len(same) == 1 else None


def _example(question: Question, shares: Sequence[float]) -> str:
    spread = ", ".join(
        f"{option}: {share:.0%}" for option, share in zip(question.options, shares, strict=True)
    )
    return f"{question.text} {spread}"
