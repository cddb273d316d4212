"""``**Example**`` blocks: a conversation and answers labelled GOOD, BAD or OK."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, cast

from charter.constitution.document import Fence
from charter.errors import ConstitutionError
from charter.types import Message, Role

Label = Literal["good", "bad", "ok"]
Speaker = Literal["system", "developer", "user", "tool", "untrusted", "settings", "assistant"]

_TAG = re.compile(r"<(/?)(system|developer|user|tool|untrusted|settings|comparison|assistant)((?:\s[^>]*)?)>")
_LABEL = re.compile(r"\s*<!--\s*(GOOD|BAD|OK)\b\s*(?:\[#([^\]]*)\])?\s*[:,]?\s*(.*?)\s*-->", re.DOTALL)
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_OMISSION = "[...]"
# Chat templates know four roles; a developer speaks where the system does.
_ROLES: dict[str, Role] = {"developer": "system", "settings": "system", "untrusted": "user"}


def role_of(speaker: Speaker) -> Role:
    """The role a chat template knows a speaker by."""
    return _ROLES.get(speaker, cast(Role, speaker))


@dataclass(frozen=True, slots=True)
class Turn:
    """One message of an example. ``attributes`` is what else its tag said."""

    speaker: Speaker
    text: str
    line: int
    attributes: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """One labelled answer.

    Attributes:
        about: id of the principle that a ``BAD[#id]`` answer breaks, when it is another one.
    """

    label: Label
    text: str
    line: int
    reason: str = ""
    about: str = ""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Answers to the same conversation."""

    answers: tuple[Answer, ...]
    line: int

    def labelled(self, label: Label) -> tuple[Answer, ...]:
        """Answers with that label."""
        return tuple(answer for answer in self.answers if answer.label == label)

    def pairs(self) -> list[tuple[Answer, Answer]]:
        """Every (good, bad) pair."""
        return [(good, bad) for good in self.labelled("good") for bad in self.labelled("bad")]


@dataclass(frozen=True, slots=True)
class Example:
    """A conversation with one or more comparisons in it, in the order they happen."""

    title: str
    steps: tuple[Turn | Comparison, ...]
    line: int

    @property
    def comparisons(self) -> tuple[Comparison, ...]:
        """The comparisons alone."""
        return tuple(step for step in self.steps if isinstance(step, Comparison))

    def answers(self, label: Label) -> list[Answer]:
        """Every answer with that label."""
        return [answer for comparison in self.comparisons for answer in comparison.labelled(label)]

    def conversations(self) -> Iterator[tuple[tuple[Message, ...], Comparison]]:
        """Each comparison with the messages before it.

        An earlier comparison counts as its first good answer; one without is left out.
        """
        before: list[Message] = []
        for step in self.steps:
            if isinstance(step, Turn):
                before.append(Message(role_of(step.speaker), step.text))
                continue
            yield tuple(before), step
            if good := step.labelled("good"):
                before.append(Message("assistant", good[0].text))

    def prompts(self) -> list[str]:
        """What the user says."""
        return [step.text for step in self.steps if isinstance(step, Turn) and step.speaker == "user"]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, without line numbers."""
        return {"title": self.title, "steps": [_step_dict(step) for step in self.steps]}


def read_example(title: str, fence: Fence, line: int, path: str) -> Example:
    """Read the ``~~~xml`` block of an example.

    Raises:
        ConstitutionError: a tag that is not closed, text outside tags, an answer without a label.
    """
    return Example(title, tuple(_Reader(fence, path).steps(0, len(fence.text))), line)


class _Reader:
    """Walks the tags of one block; positions are offsets in its text."""

    def __init__(self, fence: Fence, path: str) -> None:
        self.text = fence.text
        self.fence = fence
        self.path = path

    def line(self, position: int) -> int:
        return self.fence.line + 1 + self.text.count("\n", 0, position)

    def error(self, what: str, position: int, fix: str | None = None) -> ConstitutionError:
        return ConstitutionError(what, where=f"{self.path}:{self.line(position)}", fix=fix)

    def elements(self, start: int, end: int) -> Iterator[tuple[str, str, int, int, int]]:
        """(tag, attributes, start of the tag, start and end of the inside) of each top element."""
        while tag := _TAG.search(self.text, start, end):
            self.no_text(start, tag.start())
            if tag[1]:
                raise self.error(f"{tag[0]} closes nothing", tag.start())
            close = self.text.find(f"</{tag[2]}>", tag.end(), end)
            if close < 0:
                raise self.error(f"{tag[0]} is never closed", tag.start(), fix=f"end it with </{tag[2]}>")
            yield tag[2], tag[3].strip(), tag.start(), tag.end(), close
            start = close + len(f"</{tag[2]}>")
        self.no_text(start, end)

    def no_text(self, start: int, end: int) -> None:
        """Only white space, comments and ``[...]`` may stand between messages."""
        between = _COMMENT.sub("", self.text[start:end]).replace(_OMISSION, "").strip()
        if between:
            at = self.text.index(between.split("\n")[0], start)
            raise self.error(
                f"text outside a message: {between.split(chr(10))[0][:40]!r}",
                at,
                fix="put it in <user>, <assistant> or another message tag",
            )

    def steps(self, start: int, end: int) -> Iterator[Turn | Comparison]:
        for tag, attributes, at, inner, close in self.elements(start, end):
            if tag == "comparison":
                yield self.comparison(at, inner, close)
            else:
                yield Turn(cast(Speaker, tag), _trim(self.text[inner:close]), self.line(at), attributes)

    def comparison(self, at: int, start: int, end: int) -> Comparison:
        answers = tuple(self.answer(*element) for element in self.elements(start, end))
        if not answers:
            raise self.error("comparison without answers", at)
        return Comparison(answers, self.line(at))

    def answer(self, tag: str, _attributes: str, at: int, start: int, end: int) -> Answer:
        if tag != "assistant":
            raise self.error(
                f"<{tag}> inside a comparison", at, fix="a comparison holds <assistant> answers only"
            )
        label = _LABEL.match(self.text, start, end)
        if label is None:
            raise self.error(
                "answer has no label", at, fix="begin it with <!-- GOOD: reason --> or <!-- BAD: reason -->"
            )
        text = _trim(self.text[label.end() : end])
        return Answer(cast(Label, label[1].lower()), text, self.line(at), label[3], label[2] or "")


def _trim(text: str) -> str:
    """Without the line breaks around the message; the first line keeps its indentation."""
    first, newline, rest = text.partition("\n")
    return rest.rstrip() if newline and not first.strip() else text.strip()


def _step_dict(step: Turn | Comparison) -> dict[str, Any]:
    if isinstance(step, Turn):
        found = {"speaker": step.speaker, "text": step.text}
        return {**found, "attributes": step.attributes} if step.attributes else found
    answers = []
    for answer in step.answers:
        plain = {"label": answer.label, "text": answer.text, "reason": answer.reason, "about": answer.about}
        answers.append({key: value for key, value in plain.items() if value})
    return {"comparison": answers}
