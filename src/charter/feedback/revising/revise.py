"""Constitutional AI, first half: answer, criticise under a principle, revise (2212.08073, section 3)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import Field

from charter.config import Config
from charter.constitution import Constitution, Principle
from charter.data.prepare import is_blank
from charter.errors import DataError
from charter.feedback.revising.draw import about, drawn, usable
from charter.feedback.revising.journal import Journal, journal_in
from charter.feedback.revising.near_duplicates import normalised
from charter.feedback.revising.prompts import Wordings, statement, titles_of, wordings
from charter.feedback.revising.record import (
    BAD_ANSWER,
    NO_PRINCIPLE,
    TEST_PROMPT,
    Outcome,
    Revised,
    Revisions,
    Step,
    counted,
    same_text,
    without_preface,
)
from charter.feedback.revising.writer import Conversation, Writer, Writing, Written, journalled
from charter.rundir import sha256_json
from charter.types import Content, Group, Message

STOP = ("\nHuman:", "\nUser:", "\n###", "\nCritique request", "\nRevision request")
"""Texts with which a model begins to write the next turn itself."""


class ReviseOptions(Config):
    """How prompts are answered and answers revised."""

    rounds: int = Field(1, ge=1, le=16)
    """Critiques and revisions of each answer; the paper takes four."""
    principles: tuple[str, ...] = ()
    """Ids of the principles to draw from; empty = all that are active."""
    seed: int = Field(0, ge=0)
    """Decides which principle is drawn where, and what is sampled."""
    temperature: float = Field(1.0, ge=0)
    """Of answers, critiques and revisions."""
    max_completion_length: int = Field(256, ge=1)
    """Most tokens of an answer and of a revision."""
    max_critique_length: int = Field(192, ge=1)
    """Most tokens of a critique."""
    few_shot: bool = True
    """Show worked examples of critique and revision before each request."""
    stop: tuple[str, ...] = STOP
    """Texts that end a reply and are cut off."""


def revise(
    prompts: Sequence[Group],
    constitution: Constitution,
    critic: Writer,
    *,
    answerer: Writer | None = None,
    options: ReviseOptions | None = None,
    journals: Path | None = None,
    words: Wordings | None = None,
) -> Revisions:
    """Answer prompts, then criticise and revise each answer under drawn principles.

    Each round draws a principle of its own, shows the prompt with the newest revision, asks for a
    critique and then for a revision. The last revision that differs from the answer, is not empty
    and was not cut off is what may be trained on.

    Args:
        prompts: groups of one sample. A completion that is there already is the first answer.
        constitution: where principles come from. Its test prompts are left out: they measure.
        critic: criticises and revises.
        answerer: writes first answers; None = the critic.
        options: see :class:`ReviseOptions`.
        journals: folder in which every reply is kept as it comes; None = nothing is kept.
        words: what is asked; None = the shipped wordings.

    Raises:
        ConfigError, ConstitutionError, DataError: before anything is asked.
        Interrupted: what was written is in the journals; the same call continues.
    """
    options = options or ReviseOptions()
    words = words or wordings()
    principles = usable(constitution, options.principles)
    asked = _asked(prompts, constitution, principles)
    run = _Run(
        critic,
        options,
        words,
        titles_of(constitution),
        journal_in(journals, "critiques"),
        journal_in(journals, "revisions"),
    )
    records = _answered(asked.prompts, answerer or critic, critic, options, journal_in(journals, "answers"))
    for number in range(1, options.rounds + 1):
        live = [index for index, record in enumerate(records) if not record.dropped]
        steps = run.round(number, [(records[i], asked.principles[i]) for i in live])
        for index, step in zip(live, steps, strict=True):
            records[index] = replace(records[index], steps=(*records[index].steps, step))
    shas = {name: words[name].sha for name in ("critique", "revision")}
    if options.few_shot:
        shas["examples"] = words.examples_sha
    return Revisions(tuple(records), counted(asked.counts, records), shas)


def turns_of(content: Content) -> Conversation:
    """A prompt as turns: a plain text is what the user says."""
    return (Message("user", content),) if isinstance(content, str) else content


@dataclass(frozen=True)
class _Asked:
    prompts: list[Group]
    principles: list[list[Principle]]
    counts: Counter[str]


def _asked(prompts: Sequence[Group], constitution: Constitution, principles: Sequence[Principle]) -> _Asked:
    """The prompts that are asked, and the principles each of them may be revised under."""
    tests = {normalised(text) for text in constitution.test_prompts()}
    found = _Asked([], [], Counter({"prompts": len(prompts)}))
    for group in prompts:
        if len(group.samples) != 1:
            raise DataError(
                f"{len(group.samples)} answers in a row, wanted a prompt", where=group.source or group.id
            )
        if normalised(group.samples[0].context.text) in tests:
            found.counts[TEST_PROMPT] += 1
            continue
        mine = about(principles, group)
        if not mine:
            found.counts[NO_PRINCIPLE] += 1
            continue
        found.prompts.append(group)
        found.principles.append(mine)
    return found


def _answered(
    prompts: Sequence[Group], answerer: Writer, critic: Writer, options: ReviseOptions, journal: Journal
) -> list[Revised]:
    """First answers: those that are there, and those that are written now."""
    given = [not is_blank(group.samples[0].completion) for group in prompts]
    turns = [turns_of(group.samples[0].context.content) for group in prompts]
    waiting = [asked for asked, there in zip(turns, given, strict=True) if not there]
    writing = Writing(options.temperature, options.max_completion_length, options.seed, options.stop)
    new = iter(journalled(answerer, journal, waiting, writing, label="answers"))
    records = []
    for group, asked, there in zip(prompts, turns, given, strict=True):
        made = _given(group) if there else next(new)
        why = "error" if made.error else "cut off" if made.cut else "" if made.text else "empty"
        records.append(
            Revised(
                group.id or group.source,
                asked,
                made.text,
                made.model or answerer.name,
                critic.name,
                (),
                BAD_ANSWER.get(why, ""),
                group.source,
                group.meta,
            )
        )
    return records


def _given(group: Group) -> Written:
    made = group.samples[0].completion
    return Written(made.text.strip(), made.finish_reason == "length", "", made.sampled_by)


@dataclass(frozen=True)
class _Run:
    """One critic with what it is asked."""

    critic: Writer
    options: ReviseOptions
    words: Wordings
    titles: Mapping[str, str]
    critiques: Journal
    revisions: Journal

    def round(self, number: int, live: Sequence[tuple[Revised, Sequence[Principle]]]) -> list[Step]:
        """The next step of every record."""
        principles = [self._principle(number, record, mine) for record, mine in live]
        said = [statement(one, self.titles) for one in principles]
        heads = [self._shown(record) for record, _ in live]
        first = [self.words["critique"].fill(principle=text) for text in said]
        talks = [(*head, Message("user", text)) for head, text in zip(heads, first, strict=True)]
        critiques = self._write("critique", talks, self.critiques, self.options.max_critique_length)
        second = [self.words["revision"].fill(principle=text) for text in said]
        ready = [index for index, made in enumerate(critiques) if made.text and not made.error]
        asked = [
            (*talks[i], Message("assistant", critiques[i].text), Message("user", second[i])) for i in ready
        ]
        made = dict(
            zip(
                ready,
                self._write("revision", asked, self.revisions, self.options.max_completion_length),
                strict=True,
            )
        )
        return [
            _step(
                Step(
                    number,
                    principle.id,
                    principle.sha,
                    first[index],
                    critiques[index].text,
                    critiques[index].cut,
                    second[index] if index in made else "",
                    prompt_shas=(self.words["critique"].sha, self.words["revision"].sha),
                ),
                live[index][0],
                critiques[index],
                made.get(index),
            )
            for index, principle in enumerate(principles)
        ]

    def _principle(self, number: int, record: Revised, mine: Sequence[Principle]) -> Principle:
        key = sha256_json([[turn.role, turn.content] for turn in record.turns])
        return drawn(mine, number, seed=self.options.seed, key=key)[-1]

    def _shown(self, record: Revised) -> Conversation:
        """The prompt and its newest answer, after the worked examples."""
        answer = Message("assistant", record.final or record.answer)
        if not self.options.few_shot:
            return (*record.turns, answer)
        system = record.turns[:1] if record.turns[0].role == "system" else ()
        return (*system, *self.words.example_turns(), *record.turns[len(system) :], answer)

    def _write(self, name: str, talks: Sequence[Conversation], journal: Journal, limit: int) -> list[Written]:
        options = self.options
        writing = Writing(options.temperature, limit, options.seed, options.stop)
        return journalled(
            self.critic, journal, talks, writing, label=f"{name}s", prompt_sha=self.words[name].sha
        )


def _step(step: Step, record: Revised, critique: Written, revision: Written | None) -> Step:
    """The step with what became of its revision."""
    if revision is None:
        return replace(step, outcome="error" if critique.error else "no critique", error=critique.error)
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
