"""Asking a judge, and reading what it says of an answer or of two."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from charter.constitution import Constitution
from charter.errors import UserError
from charter.interrupt import graceful
from charter.progress import progress
from charter.types import (
    Completion,
    Content,
    Context,
    Group,
    Judgement,
    Message,
    PairTarget,
    Sample,
    SampleTarget,
)

GROUPS_AT_ONCE = 64

Side = Literal["first", "second", "tie"]


class Judge(Protocol):
    """Anything that judges groups: rules, a model, a panel, a script."""

    def judge(self, groups: Sequence[Group]) -> list[list[Judgement]]:
        """What is said of each group."""
        ...


Open = Callable[[Constitution, Collection[str]], Judge]
"""Opens the judge for the named principles. Pairs must be judged in the order they are shown."""


@dataclass(frozen=True)
class Subject:
    """The judge that is examined.

    Attributes:
        name: its name in the card.
        open: see :data:`Open`.
        open_flipped: the same judge asked the opposite question, its readings turned back so that they
            mean the same; None = it cannot be asked.
        pairwise: it compares two answers, and has no verdict on one alone.
        own_models: names of models it may be partial to: itself and its family.
    """

    name: str
    open: Open
    open_flipped: Open | None = None
    pairwise: bool = False
    own_models: frozenset[str] = frozenset()

    @classmethod
    def of(
        cls, judge: Judge, name: str, *, pairwise: bool = False, own_models: Collection[str] = ()
    ) -> Subject:
        """A judge that is there already and takes every principle."""
        return cls(name, lambda _constitution, _only: judge, None, pairwise, frozenset(own_models))


@dataclass(frozen=True)
class Said:
    """What a judge said of one group under one principle, and what it did not say.

    Attributes:
        scores: of each sample the judge's score, higher is better; None = no verdict.
        passes: of each sample whether it passed; None = no verdict.
        side: of a group of two, the better one; None = no verdict.
        missing: why there is no verdict.
    """

    scores: tuple[float | None, ...]
    passes: tuple[bool | None, ...]
    side: Side | None
    missing: str = ""


def ask(judge: Judge, groups: Sequence[Group], principle: str, label: str) -> list[Said]:
    """What ``judge`` says of each group under ``principle``.

    Raises:
        UserError: it does not answer with one list of judgements a group.
        Interrupted: the person asked to stop.
    """
    said: list[Said] = []
    with graceful() as stop, progress(label, len(groups)) as advance:
        for start in range(0, len(groups), GROUPS_AT_ONCE):
            stop.check(
                "stopped while the judge was examined",
                fix="start again: answered calls are kept by the judge",
            )
            part = groups[start : start + GROUPS_AT_ONCE]
            answers = judge.judge(part)
            if len(answers) != len(part):
                raise UserError(f"the judge answered {len(answers)} of {len(part)} groups", where=label)
            said += [_read(group, answer, principle) for group, answer in zip(part, answers, strict=True)]
            advance(len(part))
    return said


def pair_group(context: Content, first: str, second: str, principle: str, id: str = "") -> Group:
    """Two answers to one conversation, in the order the judge is to see them."""
    samples = tuple(sample_of(context, text) for text in (first, second))
    return Group(samples, id=id, meta={"principle": principle})


def answer_group(context: Content, text: str, principle: str, id: str = "", model: str = "") -> Group:
    """One answer alone."""
    return Group((sample_of(context, text, model),), id=id, meta={"principle": principle})


def sample_of(context: Content, text: str, model: str = "") -> Sample:
    """An answer of ``model`` to a conversation."""
    content: Content = text if isinstance(context, str) else (Message("assistant", text),)
    return Sample(Context(context), Completion(content, sampled_by=model or "dataset"))


def missing(said: Sequence[Said]) -> dict[str, int]:
    """How often there was no verdict, by reason."""
    return dict(Counter(one.missing for one in said if one.missing))


def _read(group: Group, answer: Sequence[Judgement], principle: str) -> Said:
    about = [one for one in answer if one.principle in (principle, "")]
    scores: list[float | None] = [None] * len(group.samples)
    passes: list[bool | None] = [None] * len(group.samples)
    side: Side | None = None
    for one in about:
        if isinstance(one.target, SampleTarget) and one.value is not None:
            scores[one.target.sample] = _score(one)
            passes[one.target.sample] = one.value >= 0.5
    pairs = [one for one in about if isinstance(one.target, PairTarget)]
    if pairs:
        side = _side_of_pairs(pairs)
    elif len(scores) == 2 and scores[0] is not None and scores[1] is not None:
        side = "tie" if scores[0] == scores[1] else "first" if scores[0] > scores[1] else "second"
    silent = side is None if len(group.samples) == 2 else None in scores
    return Said(tuple(scores), tuple(passes), side, _why(about) if silent else "")


def _score(one: Judgement) -> float:
    """Sureness counts where the verdict itself is only yes or no."""
    assert one.value is not None
    if one.probability is None or one.value not in (0.0, 1.0):
        return one.value
    return one.probability if one.value == 1.0 else 1.0 - one.probability


def _side_of_pairs(pairs: Sequence[Judgement]) -> Side | None:
    """The better of two, from one comparison or from several of the same pair."""
    votes = 0.0
    judged = False
    for one in pairs:
        assert isinstance(one.target, PairTarget)
        if one.value is None:
            # A judge that finds both equally good has spoken; one that failed has not.
            judged |= one.verdict == "abstained"
            continue
        judged = True
        lean = one.value if one.probability is None else one.probability - 0.5
        better_first = one.target.better == 0
        votes += 0.0 if lean == 0 else (1.0 if (lean > 0) == better_first else -1.0)
    if not judged:
        return None
    return "tie" if votes == 0 else "first" if votes > 0 else "second"


def _why(about: Sequence[Judgement]) -> str:
    silent = next((one for one in about if one.value is None), None)
    if silent is None:
        return "no judgement"
    word = silent.verdict.replace("_", " ")
    return f"{word}: {silent.reason}" if silent.reason and silent.verdict == "error" else word
