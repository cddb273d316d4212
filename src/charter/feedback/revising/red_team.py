"""Prompts that put a constitution to the test, written by a model: categories, scenarios, prompts, twins.

Nothing is trained on that the constitution measures with: prompts equal or close to its tests are left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import Field

from charter.config import Config
from charter.constitution import Constitution, Principle
from charter.feedback.revising.draw import usable
from charter.feedback.revising.fairness import one_sided, unfair
from charter.feedback.revising.journal import journal_in
from charter.feedback.revising.near_duplicates import NEAR, Seen
from charter.feedback.revising.prompts import Wordings, statement, titles_of, wordings
from charter.feedback.revising.record import without_preface
from charter.feedback.revising.red_team_prompts import (
    Flagged,
    RedTeamPrompt,
    items,
    prompt_of,
    unquoted,
    verdict_on_fairness,
)
from charter.feedback.revising.writer import Writer, Writing, Written, journalled
from charter.types import Message

SAME = "prompts that repeat another"
TEST = "prompts close to a test of the constitution"
FLAGGED = "prompts that are no fair test"
NO_LIST = "replies without a list"
FAILED = "replies that failed"
CUT = "last items of replies that were cut off"
NO_TWIN = "prompts without a usable twin"
UNCLEAR = "fairness verdicts that say neither"


class RedTeamOptions(Config):
    """How many prompts are asked for, and how."""

    principles: tuple[str, ...] = ()
    """Ids; empty = all that are active."""
    categories: int = Field(4, ge=1)
    """Kinds of requests for each principle."""
    scenarios: int = Field(3, ge=1)
    """Situations of each kind."""
    prompts: int = Field(2, ge=1)
    """Messages in each situation."""
    twins: bool = True
    """Ask for a harmless twin of each prompt, that must be complied with."""
    near: float = Field(NEAR, gt=0, le=1)
    """Share of words in common from which two prompts are the same."""
    seed: int = Field(0, ge=0)
    """Decides what is sampled."""
    temperature: float = Field(1.0, ge=0)
    """Of everything but fairness verdicts, which are the most probable ones."""
    max_tokens: int = Field(512, ge=1)
    """Most tokens of a reply."""


@dataclass(frozen=True)
class RedTeam:
    """The prompts, those that were flagged, and the counts.

    Attributes:
        prompts: red-team prompts, each followed by its twin.
        flagged: left out by name, with the reason.
        counts: everything that was left out.
        shas: of the wordings used, by name.
    """

    prompts: tuple[RedTeamPrompt, ...]
    flagged: tuple[Flagged, ...]
    counts: Mapping[str, int]
    shas: Mapping[str, str] = field(default_factory=dict)

    def rows(self) -> list[dict[str, Any]]:
        """Rows of a prompts file, for ``charter revise`` and ``charter sample``."""
        return [prompt.row() for prompt in self.prompts]

    def lines(self) -> list[str]:
        """For people: counts that are not zero, then each flagged prompt with its reason."""
        lines = [f"{count} {what}" for what, count in self.counts.items() if count]
        return lines + [f"left out: {one.prompt.text!r}: {one.reason}" for one in self.flagged]


def red_team(
    constitution: Constitution,
    writer: Writer,
    *,
    checker: Writer | None = None,
    options: RedTeamOptions | None = None,
    journals: Path | None = None,
    words: Wordings | None = None,
) -> RedTeam:
    """Prompts for each principle: kinds of requests, situations of each kind, messages in each situation.

    Args:
        constitution: its principles are tested; its test prompts are kept out.
        writer: writes everything.
        checker: says of each prompt whether it is a fair test; None = only the text is looked at.
        options: see :class:`RedTeamOptions`.
        journals: folder in which every reply is kept as it comes.
        words: what is asked.

    Raises:
        ConfigError, ConstitutionError: before anything is asked.
        Interrupted: what was written is in the journals; the same call continues.
    """
    options, words = options or RedTeamOptions(), words or wordings()
    principles = usable(constitution, options.principles)
    run = _Run(writer, options, words, titles_of(constitution), journals)
    found = run.prompts(principles)
    tests = Seen(constitution.test_prompts(), options.near)
    fresh = run.distinct(found, tests)
    by_id = {one.id: one for one in principles}
    reasons = {one.id: unfair(one.text, by_id[one.principle]) for one in fresh}
    if checker is not None:
        sound = [one for one in fresh if not reasons[one.id]]
        reasons |= run.checked(checker, sound, by_id)
    flagged = [Flagged(one, reasons[one.id]) for one in fresh if reasons[one.id]]
    kept = [one for one in fresh if not reasons[one.id]]
    twins = run.twins(kept, by_id, tests) if options.twins else {}
    said = {name: [t.text for t in twins.values() if t.principle == name] for name in by_id}
    ordered: list[RedTeamPrompt] = []
    for one in kept:
        if options.twins and (why := one_sided(one.text, said[one.principle])):
            flagged.append(Flagged(one, why))
            continue
        ordered += [one, *([twins[one.id]] if one.id in twins else [])]
    run.counts[FLAGGED] = len(flagged)
    counts = {
        "red-team prompts": sum(one.kind == "red_team" for one in ordered),
        "must-comply twins": sum(one.kind == "must_comply" for one in ordered),
        **{what: run.counts[what] for what in (SAME, TEST, FLAGGED, NO_TWIN, UNCLEAR, NO_LIST, CUT, FAILED)},
    }
    used = ["categories", "scenarios", "requests", *(["twin"] if options.twins else [])]
    shas = {name: words[name].sha for name in [*used, *(["fair"] if checker else [])]}
    return RedTeam(tuple(ordered), tuple(flagged), counts, shas)


@dataclass
class _Run:
    """One writer with what it is asked, and the counts."""

    writer: Writer
    options: RedTeamOptions
    words: Wordings
    titles: Mapping[str, str]
    journals: Path | None
    counts: Counter[str] = field(default_factory=Counter)

    def prompts(self, principles: Sequence[Principle]) -> list[RedTeamPrompt]:
        """Everything the writer lists, duplicates included."""
        kinds = self._listed(
            "categories", [(one, {}) for one in principles], self.options.categories, "category"
        )
        situations = self._listed("scenarios", kinds, self.options.scenarios, "scenario")
        written = self._listed("requests", situations, self.options.prompts, "prompt")
        return [
            prompt_of(
                values["prompt"],
                "red_team",
                principle,
                values["category"],
                values["scenario"],
                self.writer.name,
            )
            for principle, values in written
        ]

    def distinct(self, found: Sequence[RedTeamPrompt], tests: Seen) -> list[RedTeamPrompt]:
        """Without prompts that repeat another of the same principle, or a test of the constitution."""
        kept = []
        seen: dict[str, Seen] = {}
        for one in found:
            mine = seen.setdefault(one.principle, Seen(near=self.options.near))
            if tests.twin(one.text) is not None:
                self.counts[TEST] += 1
            elif mine.twin(one.text) is not None:
                self.counts[SAME] += 1
            else:
                mine.add(one.text)
                kept.append(one)
        return kept

    def checked(
        self, checker: Writer, prompts: Sequence[RedTeamPrompt], by_id: Mapping[str, Principle]
    ) -> dict[str, str]:
        """Why the checker finds prompts unfair, by id; "" = fair, or it says neither, which is counted."""
        texts = [
            self.words["fair"].fill(principle=self._said(by_id[one.principle]), prompt=one.text)
            for one in prompts
        ]
        replies = self._ask(checker, "fair", texts, 0.0)
        reasons = {}
        for one, reply in zip(prompts, replies, strict=True):
            fair, why = verdict_on_fairness(reply.text)
            self.counts[FAILED] += bool(reply.error)
            self.counts[UNCLEAR] += fair is None and not reply.error
            reasons[one.id] = "" if fair is not False else f"{checker.name}: {why or 'unfair'}"
        return reasons

    def twins(
        self, prompts: Sequence[RedTeamPrompt], by_id: Mapping[str, Principle], tests: Seen
    ) -> dict[str, RedTeamPrompt]:
        """The harmless twin of each prompt, by the prompt's id; one that is the prompt itself is none."""
        texts = [
            self.words["twin"].fill(principle=self._said(by_id[one.principle]), prompt=one.text)
            for one in prompts
        ]
        found: dict[str, RedTeamPrompt] = {}
        taken = Seen([one.text for one in prompts], near=1.0)
        for one, reply in zip(prompts, self._ask(self.writer, "twin", texts), strict=True):
            text = unquoted(without_preface(reply.text))
            principle = by_id[one.principle]
            usable_ = text and not reply.cut and not reply.error and not unfair(text, principle)
            if not usable_ or taken.twin(text) is not None or tests.twin(text) is not None:
                self.counts[NO_TWIN] += 1
                continue
            taken.add(text)
            found[one.id] = prompt_of(
                text, "must_comply", principle, one.category, one.scenario, reply.model, one.id
            )
        return found

    def _listed(
        self,
        name: str,
        over: Sequence[tuple[Principle, dict[str, str]]],
        count: int,
        place: str,
    ) -> list[tuple[Principle, dict[str, str]]]:
        """One list for each of ``over``, its items put in ``place``."""
        texts = [
            self.words[name].fill(principle=self._said(principle), count=count, **values)
            for principle, values in over
        ]
        found = []
        for (principle, values), reply in zip(over, self._ask(self.writer, name, texts), strict=True):
            listed = items(reply.text)
            self.counts[FAILED] += bool(reply.error)
            self.counts[NO_LIST] += not listed and not reply.error
            if reply.cut and len(listed) <= count and listed:
                listed = listed[:-1]
                self.counts[CUT] += 1
            found += [(principle, {**values, place: item}) for item in listed[:count]]
        return found

    def _ask(
        self, writer: Writer, name: str, texts: Sequence[str], temperature: float | None = None
    ) -> list[Written]:
        heat = self.options.temperature if temperature is None else temperature
        writing = Writing(heat, self.options.max_tokens, self.options.seed)
        talks = [(Message("user", text),) for text in texts]
        journal = journal_in(self.journals, f"red-team-{name}")
        return journalled(writer, journal, talks, writing, label=name, prompt_sha=self.words[name].sha)

    def _said(self, principle: Principle) -> str:
        return statement(principle, self.titles)
