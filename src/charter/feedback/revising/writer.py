"""Who writes answers, critiques and revisions: an engine, or a judge model; every text journalled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from charter.data.render import Template
from charter.engines.base import Engine, Sampling
from charter.engines.endings import StopTexts
from charter.errors import Interrupted, UserError
from charter.feedback.judging.model import Asking, JudgeModel, Question
from charter.feedback.revising.journal import Journal
from charter.interrupt import current
from charter.progress import progress
from charter.rundir import sha256_json
from charter.types import Context, Group, Message

Conversation = tuple[Message, ...]
AGAIN = "run the same command again to continue"
CHUNK = 32
"""Conversations asked at once; what an interruption can cost."""


@dataclass(frozen=True, slots=True)
class Written:
    """What was written.

    Attributes:
        text: without the white space around it.
        cut: a limit ended it, not the writer.
        error: why there is no text; "" = there is one.
        model: who wrote it.
    """

    text: str = ""
    cut: bool = False
    error: str = ""
    model: str = ""


@dataclass(frozen=True, slots=True)
class Writing:
    """How it is written.

    Attributes:
        temperature: 0 = the most probable tokens.
        max_tokens: most tokens of a text.
        seed: decides what is sampled.
        stop: texts that end it, and are cut off.
    """

    temperature: float = 1.0
    max_tokens: int = 256
    seed: int = 0
    stop: tuple[str, ...] = ()


class Writer(Protocol):
    """Continues conversations."""

    @property
    def name(self) -> str:
        """Names the model and its weights."""
        ...

    def write(
        self, conversations: Sequence[Conversation], writing: Writing, prompt_sha: str = ""
    ) -> list[Written]:
        """The next turn of each conversation, whose last turn is the user's.

        Raises:
            Interrupted: the person asked to stop.
        """
        ...


@dataclass(frozen=True)
class EngineWriter:
    """An engine that continues conversations.

    Attributes:
        engine: samples.
        name: names the model and its weights.
        template: of the engine's tokenizer; None = the engine reads the turns themselves (a script).
    """

    engine: Engine
    name: str
    template: Template | None = None

    def write(
        self, conversations: Sequence[Conversation], writing: Writing, prompt_sha: str = ""
    ) -> list[Written]:
        """See :meth:`Writer.write`; a conversation the engine refuses (too long) is an error of its own."""
        if not conversations:
            return []
        sampling = Sampling(
            temperature=writing.temperature,
            max_completion_length=writing.max_tokens,
            seed=writing.seed,
            stop=writing.stop,
        )
        contexts = [
            Context(turns, self.template.render_context(turns) if self.template else ())
            for turns in conversations
        ]
        try:
            groups = self.engine.generate(contexts, 1, sampling)
        except UserError as fault:
            if len(conversations) == 1:
                return [Written(error=fault.what, model=self.name)]
            return [made for turns in conversations for made in self.write([turns], writing, prompt_sha)]
        return [self._written(group) for group in groups]

    def _written(self, group: Group) -> Written:
        made = group.samples[0].completion
        return Written(made.text.strip(), made.finish_reason == "length", "", self.name)


@dataclass(frozen=True)
class JudgeWriter:
    """A judge model that continues conversations: a local model, an endpoint, or a script.

    Attributes:
        model: answers.
    """

    model: JudgeModel

    @property
    def name(self) -> str:
        """See :attr:`Writer.name`."""
        return self.model.name

    def write(
        self, conversations: Sequence[Conversation], writing: Writing, prompt_sha: str = ""
    ) -> list[Written]:
        """See :meth:`Writer.write`."""
        asking = Asking(1, writing.temperature, writing.max_tokens, writing.seed)
        questions = [Question(turns, prompt_sha) for turns in conversations]
        found = []
        for (reply,) in self.model.answer(questions, asking):
            text, stopped = StopTexts(None, writing.stop).cut(reply.text)
            cut = not stopped and reply.finish_reason == "length"
            found.append(Written(text.strip(), cut, reply.error, reply.model or self.name))
        return found


def journalled(
    writer: Writer,
    journal: Journal,
    conversations: Sequence[Conversation],
    writing: Writing,
    *,
    label: str,
    prompt_sha: str = "",
) -> list[Written]:
    """:meth:`Writer.write`, asking only what the journal does not know yet.

    Equal conversations are asked once. A failed call is not journalled: the next run asks again.

    Args:
        writer: who writes.
        journal: of this stage.
        conversations: what is continued.
        writing: how.
        label: for the progress bar, and of the journal's rows.
        prompt_sha: of the wording the last turn was made from.

    Raises:
        Interrupted: everything written before is in the journal.
    """
    keys = [_key(writer.name, turns, writing) for turns in conversations]
    todo = {key: turns for key, turns in zip(keys, conversations, strict=True) if journal.get(key) is None}
    failed: dict[str, Written] = {}
    if todo:
        distinct = len(set(keys))
        with progress(label, distinct, done=distinct - len(todo)) as advance:
            waiting = list(todo)
            for start in range(0, len(waiting), CHUNK):
                chunk = waiting[start : start + CHUNK]
                try:
                    written = writer.write([todo[key] for key in chunk], writing, prompt_sha)
                except Interrupted as stop:
                    raise Interrupted(_stopped(label), signum=stop.signum, fix=AGAIN) from None
                for key, made in zip(chunk, written, strict=True):
                    if made.error:
                        failed[key] = made
                    else:
                        journal.add(key, _row(made, label, prompt_sha))
                advance(len(chunk))
                current().check(_stopped(label), fix=AGAIN)
    return [failed.get(key) or _written(journal, key) for key in keys]


def _stopped(label: str) -> str:
    return f"{label} stopped, what was written is kept"


def _key(name: str, turns: Conversation, writing: Writing) -> str:
    said = [[turn.role, turn.content] for turn in turns]
    how = [writing.temperature, writing.max_tokens, writing.seed, list(writing.stop)]
    return sha256_json([name, said, how])


def _row(made: Written, label: str, prompt_sha: str) -> dict[str, object]:
    return {"stage": label, "prompt_sha": prompt_sha, "model": made.model, "text": made.text, "cut": made.cut}


def _written(journal: Journal, key: str) -> Written:
    row = journal.get(key)
    assert row is not None
    return Written(str(row["text"]), bool(row["cut"]), "", str(row["model"]))
