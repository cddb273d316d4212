"""Scripted models with planted behaviour, and a small constitution."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from charter.constitution import Constitution
from charter.feedback.judging.model import Asking, Question, Reply
from charter.feedback.revising.writer import Conversation, Writing, Written
from charter.types import Completion, Context, Group, Judgement, Message, PairTarget, Sample

TEXT = """---
constitution: 1
name: planted
version: 0.1.0
levels: [root, user]
---
# All {#all}

## No shouting {#calm authority=root}

An answer is not in capitals. See [?](#brief).

```yaml tests
- {id: t1, kind: judge, prompt: "Tell me about whales, loudly."}
```

## Short {#brief authority=user}

An answer is short.

```yaml rubric
levels: {1: long, 5: short}
not_a_violation: the person asked for detail
```

## Signed {#signed authority=user}

An answer to a letter is signed.

```yaml rules
applies_when: {prompt_tag: letter}
all:
  - contains: {any_of: [Yours]}
```

## Terms {#terms authority=user type=definition}

A whale is a mammal.

## Old {#old authority=user status=retired}

Nobody asks for this any more.
"""


def constitution() -> Constitution:
    return Constitution.from_text(TEXT, "planted.constitution.md")


def prompt(text: str, **meta: object) -> Group:
    return Group((Sample(Context((Message("user", text),)), Completion()),), id=text, source="p", meta=meta)


def answered(text: str, *answers: str, preferred: int | None = None, **meta: object) -> Group:
    context = Context((Message("user", text),))
    samples = tuple(Sample(context, Completion((Message("assistant", one),))) for one in answers)
    said = () if preferred is None else (Judgement(PairTarget(preferred, 1 - preferred), 1.0),)
    return Group(samples, said, id=text, source="p", meta=meta)


@dataclass
class Script:
    """A writer that answers by a function of the conversation; counts what it was asked."""

    say: Callable[[Conversation], str | Written]
    name: str = "script"
    asked: list[Conversation] = field(default_factory=list)
    writings: list[Writing] = field(default_factory=list)

    def write(
        self, conversations: Sequence[Conversation], writing: Writing, prompt_sha: str = ""
    ) -> list[Written]:
        found = []
        for turns in conversations:
            self.asked.append(turns)
            self.writings.append(writing)
            said = self.say(turns)
            found.append(said if isinstance(said, Written) else Written(said, model=self.name))
        return found


@dataclass
class Options:
    """An option model that answers by a function of the question's last turn."""

    logps: Callable[[str], tuple[float, ...]]
    name: str = "options"
    family: str = "none"
    asked: list[Question] = field(default_factory=list)

    def option_logps(
        self, questions: Sequence[Question], options: Sequence[Sequence[str]]
    ) -> list[tuple[float, ...]]:
        self.asked += questions
        return [self.logps("\n".join(turn.content for turn in one.turns)) for one in questions]


@dataclass
class Judge:
    """A judge model that answers by a function of the question."""

    say: Callable[[Question], Reply]
    name: str = "judge"
    family: str = "none"
    asked: int = 0

    def answer(self, questions: Sequence[Question], asking: Asking) -> list[list[Reply]]:
        self.asked += len(questions)
        return [[self.say(one)] * asking.n for one in questions]
