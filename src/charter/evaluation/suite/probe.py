"""Questions of our own to a judge: statements about an answer, after it has shown that it can tell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from charter.constitution import Constitution, Principle
from charter.evaluation.judge_card.asking import answer_group
from charter.evaluation.suite.judging import NO_JUDGE, OpenJudge, Reading, readings
from charter.types import Context, Group, Judgement, Message

PASS_AT = 0.8
"""Share of the anchors of each kind, true and untrue, that a judge must get right before it is used."""


@dataclass(frozen=True, slots=True)
class Statement:
    """Something that may hold of an answer, in the form of a principle.

    Attributes:
        id: its name among the statements asked together.
        title: the statement.
        text: what it means.
    """

    id: str
    title: str
    text: str


@dataclass(frozen=True, slots=True)
class Anchor:
    """An answer of which it is known what holds.

    Attributes:
        asked: what the user said, or the whole conversation.
        answer: the answer.
        holds: ids of the statements that hold of it; the others do not.
    """

    asked: str | tuple[Message, ...]
    answer: str
    holds: frozenset[str]

    @property
    def context(self) -> tuple[Message, ...]:
        """The conversation before the answer."""
        return (Message("user", self.asked),) if isinstance(self.asked, str) else self.asked


_Key = tuple[tuple[Statement, ...], str, tuple[str, ...]]


class Prober:
    """Asks a judge whether statements hold.

    A judge card is about a constitution's principles, and these are none. So the judge is examined here,
    by answers of which the truth is known, every time it is asked something else; where it misses more
    than a fifth of those that hold or of those that do not, it is not used.

    Args:
        constitution: how the judge is asked (its front matter).
        open: opens the judge; None = there is none.
    """

    def __init__(self, constitution: Constitution, open: OpenJudge | None) -> None:
        self._front = constitution.front
        self._path = constitution.path
        self._open = open
        self._failed: dict[tuple[Statement, ...], str] = {}
        self._known: dict[_Key, list[dict[str, Reading]]] = {}

    @property
    def present(self) -> bool:
        """Whether there is a judge at all."""
        return self._open is not None

    def holds(
        self, statements: Sequence[Statement], groups: Sequence[Group], anchors: Sequence[Anchor]
    ) -> list[list[dict[str, Reading]]]:
        """Of each group and sample, a reading by statement. A judge that may not be used reads nothing."""
        if self._open is None:
            return _nothing(statements, groups, NO_JUDGE)
        asked = tuple(statements)
        todo = [group for group in groups if _key(asked, group) not in self._known]
        if todo:
            judge = self._open(self._as_constitution(statements))
            if asked not in self._failed:
                known = [
                    answer_group(anchor.context, anchor.answer, "", f"anchor-{number}")
                    for number, anchor in enumerate(anchors, start=1)
                ]
                read = _read(judge.judge(known), statements, known)
                self._failed[asked] = _failing(statements, anchors, read)
            if self._failed[asked]:
                return _nothing(statements, groups, self._failed[asked])
            for group, said in zip(todo, _read(judge.judge(todo), statements, todo), strict=True):
                self._known[_key(asked, group)] = said
        return [self._known[_key(asked, group)] for group in groups]

    def _as_constitution(self, statements: Sequence[Statement]) -> Constitution:
        level = self._front.levels[0]
        principles = tuple(
            Principle(id=one.id, title=one.title, level=level, text=one.text, line=0) for one in statements
        )
        return Constitution(self._front, True, principles, (), (), self._path)


def _key(statements: tuple[Statement, ...], group: Group) -> _Key:
    return statements, group.id, tuple(sample.completion.text for sample in group.samples)


def numbered(ids: Sequence[str]) -> list[str]:
    """Ids that a principle may have, for names that may be any text."""
    return [f"s{number}" for number in range(1, len(ids) + 1)]


def asked_of(context: Context) -> str:
    """What the user said last."""
    content = context.content
    if isinstance(content, str):
        return content
    return next((turn.content for turn in reversed(content) if turn.role == "user"), context.text)


def _read(
    said: Sequence[Sequence[Judgement]], statements: Sequence[Statement], groups: Sequence[Group]
) -> list[list[dict[str, Reading]]]:
    found = []
    for group, judgements in zip(groups, said, strict=True):
        by = {one.id: readings(group, judgements, one.id) for one in statements}
        found.append([{id: read[at] for id, read in by.items()} for at in range(len(group.samples))])
    return found


def _nothing(
    statements: Sequence[Statement], groups: Sequence[Group], why: str
) -> list[list[dict[str, Reading]]]:
    none = {one.id: Reading(None, why) for one in statements}
    return [[none] * len(group.samples) for group in groups]


def _failing(
    statements: Sequence[Statement], anchors: Sequence[Anchor], read: list[list[dict[str, Reading]]]
) -> str:
    """Why the judge may not be used, or ""; a verdict that did not come is not right."""
    right: dict[bool, list[bool]] = {True: [], False: []}
    for anchor, [said] in zip(anchors, read, strict=True):
        for one in statements:
            holds = one.id in anchor.holds
            right[holds].append(said[one.id].passed is holds)
    for holds, of in right.items():
        if of and sum(of) < PASS_AT * len(of):
            word = "true" if holds else "untrue"
            return f"the judge got {sum(of)} of {len(of)} {word} statements about known answers right"
    return ""
