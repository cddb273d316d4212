"""Asks an engine conversations that are already under way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from charter.data.render import Template
from charter.engines.base import Engine, Sampling
from charter.progress import progress
from charter.types import Context, Message

Turns = tuple[Message, ...]

_DROPPED = "the engine gave no answer"
_TOO_LONG = "the conversation is too long for the model"


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer.

    Attributes:
        text: of it.
        cut: it reached the limit of tokens.
    """

    text: str
    cut: bool = False


class Asker:
    """Asks conversations, each once: what was asked before is remembered.

    Args:
        engine: who answers.
        template: renders conversations for its model; None = an engine that reads words.
        sampling: how tokens are chosen.

    Attributes:
        missing: answers that are not there, by reason.
    """

    def __init__(self, engine: Engine, template: Template | None, sampling: Sampling) -> None:
        self.engine, self.template, self.sampling = engine, template, sampling
        self.missing: Counter[str] = Counter()
        self._known: dict[Turns, Answer] = {}

    def ask(self, conversations: Sequence[Turns | None], label: str) -> list[Answer | None]:
        """An answer to each conversation; None where it is None, too long, or not answered."""
        wanted = list(dict.fromkeys(one for one in conversations if one and one not in self._known))
        contexts = {one: context for one in wanted if (context := self.context(one)) is not None}
        if contexts:
            with progress(label, len(contexts)) as advance:
                groups = self.engine.generate(list(contexts.values()), 1, self.sampling, on_progress=advance)
            for turns, group in zip(contexts, groups, strict=True):
                if group.samples:
                    made = group.samples[0].completion
                    self._known[turns] = Answer(made.text.strip(), made.finish_reason == "length")
        found = [None if one is None else self._known.get(one) for one in conversations]
        for one, answer in zip(conversations, found, strict=True):
            if one is not None and answer is None:
                self.missing[_DROPPED if one in contexts else _TOO_LONG] += 1
        return found

    def context(self, turns: Turns) -> Context | None:
        """The rendered context; None where it leaves no room for an answer."""
        if self.template is None:
            return Context(turns)
        ids = self.template.render_context(turns)
        most = getattr(self.engine, "max_length", None)
        return Context(turns, ids) if most is None or len(ids) < most else None

    def ask_user(self, texts: Sequence[str], label: str) -> list[Answer | None]:
        """An answer to each first message of a user."""
        return self.ask([user(text) for text in texts], label)


def user(text: str) -> Turns:
    """A conversation of one user turn."""
    return (Message("user", text),)


def then(before: Turns, answer: Answer | None, said: str) -> Turns | None:
    """The conversation with ``answer`` and a further turn of the user; None where there was no answer.

    An empty answer cannot be followed up either: templates do not show a turn without words alike.
    """
    if answer is None or not answer.text:
        return None
    return (*before, Message("assistant", answer.text), Message("user", said))


def with_answer(turns: Turns, answer: Answer | None) -> Turns:
    """The conversation and its answer, for a transcript."""
    return turns if answer is None else (*turns, Message("assistant", answer.text))
