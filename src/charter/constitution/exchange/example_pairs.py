"""The GOOD x BAD pairs of a constitution's examples, each with the conversation before it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from charter.constitution.constitution import Constitution
from charter.constitution.examples import Answer, Comparison, Example, Turn
from charter.constitution.exchange.imported import Remark
from charter.constitution.principle import Principle
from charter.types import Message


@dataclass(frozen=True, slots=True)
class ExamplePair:
    """One pair.

    Attributes:
        principle: the principle that the bad answer breaks.
        title: of the example.
        prompt: the conversation before both answers.
        number: its place among all pairs of the constitution, from 1.
    """

    principle: Principle
    title: str
    prompt: tuple[Message, ...]
    good: Answer
    bad: Answer
    number: int


@dataclass(frozen=True, slots=True)
class ExamplePairs:
    """All pairs, and what is not among them."""

    pairs: tuple[ExamplePair, ...]
    left_out: tuple[Remark, ...]


def example_pairs(constitution: Constitution) -> ExamplePairs:
    """Pairs of the active principles, in the order of the file."""
    pairs: list[ExamplePair] = []
    left_out: list[Remark] = []
    active = {principle.id: principle for principle in constitution.active}
    for principle in constitution.active:
        for example in principle.examples:
            left_out += _tag_attributes(example, constitution.path)
            for messages, comparison in example.conversations():
                left_out += _without(comparison, constitution.path)
                for good, bad in comparison.pairs():
                    broken = active.get(bad.about, principle)
                    pairs.append(ExamplePair(broken, example.title, messages, good, bad, len(pairs) + 1))
    retired = [principle for principle in constitution.principles if not principle.active]
    for principle in retired:
        if principle.pairs():
            what = f"{len(principle.pairs())} pairs of {principle.id!r}, which is retired"
            left_out.append(Remark(f"{constitution.path}:{principle.line}", what))
    return ExamplePairs(tuple(pairs), tuple(left_out))


def _without(comparison: Comparison, path: str) -> Iterator[Remark]:
    where = f"{path}:{comparison.line}"
    if not comparison.pairs():
        missing = "GOOD" if not comparison.labelled("good") else "BAD"
        yield Remark(where, f"a comparison without a {missing} answer")
    if neutral := comparison.labelled("ok"):
        yield Remark(where, f"{len(neutral)} OK answers: they are neither better nor worse")


def _tag_attributes(example: Example, path: str) -> Iterator[Remark]:
    for step in example.steps:
        if isinstance(step, Turn) and step.attributes:
            yield Remark(f"{path}:{step.line}", f"what the tag <{step.speaker} {step.attributes}> says")
