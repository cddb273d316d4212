"""One round of critique and revision: who criticises, what is asked, what becomes of the revision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from charter.constitution import Principle
from charter.constitution.exchange.critique_requests import own_requests
from charter.feedback.revising.draw import drawn
from charter.feedback.revising.journal import Journal
from charter.feedback.revising.options import ReviseOptions
from charter.feedback.revising.prompts import Wordings, statement
from charter.feedback.revising.record import Outcome, Revised, Step, same_text, without_preface
from charter.feedback.revising.writer import Conversation, Writer, Writing, Written, journalled
from charter.rundir import sha256_json
from charter.types import Message

Live = Sequence[tuple[Revised, Sequence[Principle]]]
"""Records that go on, each with the principles it may be revised under."""


class Rounds(Protocol):
    """Makes the next step of records."""

    @property
    def shas(self) -> Mapping[str, str]:
        """Of the wordings used, by name."""
        ...

    def round(self, number: int, live: Live) -> list[Step | None]:
        """The next step of every record; None where there is nothing left to mend.

        Args:
            number: of the round, 1-based.
            live: records with their principles.
        """
        ...


@dataclass(frozen=True)
class ModelRounds:
    """Rounds in which a model criticises and revises (2212.08073, section 3.1).

    Attributes:
        critic: criticises and revises.
        options: see :class:`ReviseOptions`.
        words: what it is asked.
        titles: of principles by id, for links between them.
        critiques: journal of what it found.
        revisions: journal of what it wrote.
    """

    critic: Writer
    options: ReviseOptions
    words: Wordings
    titles: Mapping[str, str]
    critiques: Journal
    revisions: Journal

    @property
    def shas(self) -> Mapping[str, str]:
        """See :attr:`Rounds.shas`."""
        shas = {name: self.words[name].sha for name in ("critique", "revision")}
        return {**shas, "examples": self.words.examples_sha} if self.options.few_shot else shas

    def round(self, number: int, live: Live) -> list[Step | None]:
        """See :meth:`Rounds.round`."""
        principles = [self._principle(number, record, mine) for record, mine in live]
        requests = [self._requests(one) for one in principles]
        heads = [self._shown(record) for record, _ in live]
        first = [critique for critique, _ in requests]
        talks = [(*head, Message("user", text)) for head, text in zip(heads, first, strict=True)]
        critiques = self._write(number, "critique", talks, self.critiques, self.options.max_critique_length)
        second = [revision for _, revision in requests]
        ready = [index for index, made in enumerate(critiques) if made.text and not made.error]
        asked = [
            (*talks[i], Message("assistant", critiques[i].text), Message("user", second[i])) for i in ready
        ]
        made = dict(
            zip(
                ready,
                self._write(number, "revision", asked, self.revisions, self.options.max_completion_length),
                strict=True,
            )
        )
        return [
            self._step(number, principle, record, critique, made.get(index), requests[index])
            for index, (principle, (record, _), critique) in enumerate(
                zip(principles, live, critiques, strict=True)
            )
        ]

    def _step(
        self,
        number: int,
        principle: Principle,
        record: Revised,
        critique: Written,
        revision: Written | None,
        requests: tuple[str, str],
    ) -> Step:
        own = own_requests(principle) is not None
        step = Step(
            number,
            principle.id,
            principle.sha,
            requests[0],
            critique.text,
            critique.cut,
            requests[1] if revision else "",
            prompt_shas=("", "") if own else (self.words["critique"].sha, self.words["revision"].sha),
        )
        if revision is None:
            return replace(step, outcome="error" if critique.error else "no critique", error=critique.error)
        return with_revision(step, record, revision)

    def _requests(self, principle: Principle) -> tuple[str, str]:
        """For a critique and a revision: the principle's own where it brings them."""
        said = statement(principle, self.titles)
        asked = [self.words[name].fill(principle=said) for name in ("critique", "revision")]
        return own_requests(principle) or (asked[0], asked[1])

    def _principle(self, number: int, record: Revised, mine: Sequence[Principle]) -> Principle:
        return drawn(mine, number, seed=self.options.seed, key=key_of(record))[-1]

    def _shown(self, record: Revised) -> Conversation:
        """The prompt and its newest answer, after the worked examples."""
        answer = Message("assistant", record.final or record.answer)
        if not self.options.few_shot:
            return (*record.turns, answer)
        system = record.turns[:1] if record.turns[0].role == "system" else ()
        return (*system, *self.words.example_turns(), *record.turns[len(system) :], answer)

    def _write(
        self, number: int, name: str, talks: Sequence[Conversation], journal: Journal, limit: int
    ) -> list[Written]:
        options = self.options
        writing = Writing(options.temperature, limit, options.seed, options.stop)
        return journalled(
            self.critic,
            journal,
            talks,
            writing,
            label=f"{name}s, round {number}",
            prompt_sha=self.words[name].sha,
        )


def key_of(record: Revised) -> str:
    """What principles are drawn for: the prompt's turns."""
    return sha256_json([[turn.role, turn.content] for turn in record.turns])


def with_revision(step: Step, record: Revised, revision: Written) -> Step:
    """The step with what was written, and what became of it.

    Args:
        step: with principle and critique.
        record: with the answer and the steps before.
        revision: the reply.
    """
    text = without_preface(revision.text)
    return replace(
        step,
        revision=revision.text,
        text=text,
        outcome=_outcome(record, revision, text),
        error=revision.error,
    )


def _outcome(record: Revised, revision: Written, text: str) -> Outcome:
    if revision.error:
        return "error"
    if revision.cut:
        return "cut off"
    if not text:
        return "empty"
    known = (record.answer, *(step.text for step in record.used))
    return "unchanged" if any(same_text(text, one) for one in known) else "used"
