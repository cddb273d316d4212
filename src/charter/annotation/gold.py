"""Tests of raters that cost nothing: the constitution's own GOOD and BAD answers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from charter.annotation.options import Mode
from charter.annotation.task import Task
from charter.constitution import Comparison, Principle
from charter.types import Content, Message


def gold_tasks(
    principles: Iterable[Principle], modes: Sequence[Mode], *, scale: int, overall: bool
) -> list[Task]:
    """Pairs of a GOOD and a BAD answer, and ratings of single ones, whose right label is known.

    The right value is a sign (a pair: the first or the second is better) or an end of the scale
    (a rating); how strongly somebody feels it is theirs: see :func:`charter.label.is_right`. Rankings hold
    every labelled answer of a comparison: GOOD above BAD. Edits and marks have no one right value, and so
    no gold.

    Args:
        principles: those in force that have examples.
        modes: of the campaign.
        scale: the highest rating.
        overall: ask for the answer as a whole too, where ordinary items do.
    """
    found: dict[str, Task] = {}
    for principle in principles:
        for example in principle.examples:
            for turns, compared in example.conversations():
                for task in _of(compared, _prompt(turns), principle, modes, scale):
                    found.setdefault(task.id, task)
    if overall:
        for task in list(found.values()):
            if task.mode != "rating":
                whole = _whole(task)
                found.setdefault(whole.id, whole)
    return list(found.values())


def _of(
    compared: Comparison, prompt: Content, principle: Principle, modes: Sequence[Mode], scale: int
) -> Iterable[Task]:
    own = [answer for answer in compared.answers if answer.about in ("", principle.id) and answer.text]
    good = [answer.text for answer in own if answer.label == "good"]
    bad = [answer.text for answer in own if answer.label == "bad"]
    if "pair" in modes:
        for number, (better, worse) in enumerate((a, b) for a in good for b in bad if a != b):
            # Stored in turns one way and the other: "always the first" must not be right.
            first = number % 2 == 0
            answers = (better, worse) if first else (worse, better)
            yield _task("pair", prompt, answers, principle, 1 if first else -1)
    if "ranking" in modes and good and bad and len(good) + len(bad) > 2:
        listed = (*bad, *good)
        ranks = [2] * len(bad) + [1] * len(good)
        if len(set(listed)) == len(listed):
            yield _task("ranking", prompt, listed, principle, ranks)
    if "rating" in modes:
        for text, right in [*((text, scale) for text in good), *((text, 1) for text in bad)]:
            yield _task("rating", prompt, (text,), principle, right)


def _task(mode: Mode, prompt: Content, answers: tuple[str, ...], principle: Principle, gold: object) -> Task:
    return Task(
        mode,
        prompt,
        answers,
        ("constitution",) * len(answers),
        principle=principle.id,
        principle_sha=principle.sha,
        level=principle.level,
        source="constitution",
        gold=gold,
    )


def _whole(task: Task) -> Task:
    return Task(
        task.mode,
        task.prompt,
        task.answers,
        task.models,
        source=task.source,
        gold=task.gold,
        meta={"about": task.principle},
    )


def _prompt(turns: tuple[Message, ...]) -> Content:
    if len(turns) == 1 and turns[0].role == "user":
        return turns[0].content
    return turns
