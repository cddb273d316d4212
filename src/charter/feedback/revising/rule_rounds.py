"""Rounds in which rules criticise and a model revises: it is asked to mend what they find wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from charter.feedback.revising.draw import drawn
from charter.feedback.revising.journal import Journal
from charter.feedback.revising.options import ReviseOptions
from charter.feedback.revising.prompts import Wordings
from charter.feedback.revising.record import NO_FAULT, RULE_FAILED, Revised, Step
from charter.feedback.revising.rounds import Live, key_of, with_revision
from charter.feedback.revising.rule_critic import Fault, RuleCritic
from charter.feedback.revising.writer import Writer, Writing, Written, journalled
from charter.types import Message

WORDING = "rule_revision"


@dataclass(frozen=True)
class RuleRounds:
    """See :class:`charter.feedback.revising.rounds.Rounds`.

    Attributes:
        writer: revises.
        rules: criticise.
        options: how it is revised.
        words: what is asked.
        revisions: journal of what was written.
    """

    writer: Writer
    rules: RuleCritic
    options: ReviseOptions
    words: Wordings
    revisions: Journal

    @property
    def shas(self) -> Mapping[str, str]:
        """See :attr:`Rounds.shas`."""
        return {WORDING: self.words[WORDING].sha}

    def round(self, number: int, live: Live) -> list[Step | None]:
        """See :meth:`Rounds.round`."""
        faults = [self._fault(number, record) for record, _ in live]
        ready = [index for index, fault in enumerate(faults) if fault is not None]
        steps: list[Step | None] = [None] * len(live)
        asked = {index: self._request(fault) for index, fault in enumerate(faults) if fault is not None}
        talks = [
            (*record.turns, Message("assistant", _newest(record)[0]), Message("user", asked[index]))
            for index, (record, _) in enumerate(live)
            if index in asked
        ]
        for index, made in zip(ready, self._write(number, talks), strict=True):
            fault = faults[index]
            assert fault is not None
            steps[index] = self._step(number, live[index][0], fault, asked[index], made)
        return steps

    def _fault(self, number: int, record: Revised) -> Fault | None:
        """One of those the newest answer has; another each round, as far as there are others."""
        faults = {one.principle.id: one for one in self.rules.find(record, *_newest(record)).faults}
        order = drawn(
            [one.principle for one in faults.values()], number, seed=self.options.seed, key=key_of(record)
        )
        return faults[order[-1].id] if order else None

    def _request(self, fault: Fault) -> str:
        return self.words[WORDING].fill(advice=fault.advice)

    def _write(self, number: int, talks: list[tuple[Message, ...]]) -> list[Written]:
        """A seed of its own for each round: the same request may come again, and gets another try."""
        options = self.options
        writing = Writing(
            options.temperature, options.max_completion_length, options.seed + number - 1, options.stop
        )
        return journalled(
            self.writer,
            self.revisions,
            talks,
            writing,
            label=f"revisions, round {number}",
            prompt_sha=self.words[WORDING].sha,
        )

    def _step(self, number: int, record: Revised, fault: Fault, request: str, made: Written) -> Step:
        principle, sha = fault.principle, self.words[WORDING].sha
        step = Step(
            number,
            principle.id,
            principle.sha,
            critique_request="",
            critique=fault.critique,
            revision_request=request,
            prompt_shas=("", sha),
        )
        step = with_revision(step, record, made)
        if step.outcome != "used":
            return step
        before = self.rules.find(record, *_newest(record))
        after = self.rules.find(record, step.text)
        if after.failed:
            return replace(step, outcome="error", error=after.failed)
        return step if after.better_than(before) else replace(step, outcome="no better")


def rule_checked(rules: RuleCritic, record: Revised) -> Revised:
    """The record, dropped where its first answer gives the rules nothing to mend."""
    if record.dropped:
        return record
    found = rules.find(record, record.answer, record.answer_cut)
    if found.failed:
        return replace(record, dropped=RULE_FAILED)
    return record if found.faults else replace(record, dropped=NO_FAULT)


def _newest(record: Revised) -> tuple[str, bool]:
    """The newest answer, and whether the length limit ended it."""
    return (record.answer, record.answer_cut) if record.final is None else (record.final, False)
