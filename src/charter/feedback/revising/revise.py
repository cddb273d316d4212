"""Constitutional AI, first half: answer, criticise under a principle, revise (2212.08073, section 3)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from charter.constitution import Constitution, Principle
from charter.data.prepare import is_blank
from charter.errors import DataError
from charter.feedback.revising.draw import about, usable
from charter.feedback.revising.journal import Journal, journal_in
from charter.feedback.revising.near_duplicates import normalised
from charter.feedback.revising.options import ReviseOptions
from charter.feedback.revising.prompts import Wordings, titles_of, wordings
from charter.feedback.revising.record import (
    BAD_ANSWER,
    NO_PRINCIPLE,
    TEST_PROMPT,
    Revised,
    Revisions,
    counted,
)
from charter.feedback.revising.rounds import ModelRounds, Rounds
from charter.feedback.revising.rule_critic import RuleCritic
from charter.feedback.revising.rule_rounds import RuleRounds, rule_checked
from charter.feedback.revising.writer import Conversation, Writer, Writing, Written, journalled
from charter.types import Content, Group, Message


def revise(
    prompts: Sequence[Group],
    constitution: Constitution,
    critic: Writer,
    *,
    answerer: Writer | None = None,
    options: ReviseOptions | None = None,
    journals: Path | None = None,
    words: Wordings | None = None,
    by_rules: bool = False,
) -> Revisions:
    """Answer prompts, then criticise and revise each answer under drawn principles.

    Each round draws a principle of its own, shows the prompt with the newest revision, asks for a
    critique and then for a revision. The last revision that differs from the answer, is not empty
    and was not cut off is what may be trained on.

    ``by_rules``, nobody is asked for a critique: a round draws from the principles whose rules the
    newest answer breaks, and a revision counts only if it mends something and breaks nothing else.
    First answers that were cut off are revised too, as rules can tell that they were.

    Args:
        prompts: groups of one sample. A completion that is there already is the first answer.
        constitution: where principles come from. Its test prompts are left out: they measure.
        critic: criticises and revises.
        answerer: writes first answers; None = the critic.
        options: see :class:`ReviseOptions`.
        journals: folder in which every reply is kept as it comes; None = nothing is kept.
        words: what is asked; None = the shipped wordings.
        by_rules: the constitution's rules criticise, and ``critic`` only revises.

    Raises:
        ConfigError, ConstitutionError, DataError: before anything is asked.
        Interrupted: what was written is in the journals; the same call continues.
    """
    options = options or ReviseOptions()
    words = words or wordings()
    principles = usable(constitution, options.principles)
    rules = RuleCritic(constitution, options.principles) if by_rules else None
    asked = _asked(prompts, constitution, principles)
    records = [
        _checked(record, rules)
        for record in _answered(
            asked.prompts, answerer or critic, critic, rules, options, journal_in(journals, "answers")
        )
    ]
    rounds = _rounds(critic, rules, options, words, titles_of(constitution), journals)
    for number in range(1, options.rounds + 1):
        live = [index for index, record in enumerate(records) if not record.dropped]
        steps = rounds.round(number, [(records[i], asked.principles[i]) for i in live])
        for index, step in zip(live, steps, strict=True):
            if step is not None:
                records[index] = replace(records[index], steps=(*records[index].steps, step))
    return Revisions(tuple(records), counted(asked.counts, records), rounds.shas)


def _rounds(
    critic: Writer,
    rules: RuleCritic | None,
    options: ReviseOptions,
    words: Wordings,
    titles: Mapping[str, str],
    journals: Path | None,
) -> Rounds:
    revisions = journal_in(journals, "revisions")
    if rules is not None:
        return RuleRounds(critic, rules, options, words, revisions)
    return ModelRounds(critic, options, words, titles, journal_in(journals, "critiques"), revisions)


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
    prompts: Sequence[Group],
    answerer: Writer,
    critic: Writer,
    rules: RuleCritic | None,
    options: ReviseOptions,
    journal: Journal,
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
        why = "error" if made.error else "" if made.text else "empty"
        records.append(
            Revised(
                group.id or group.source,
                asked,
                made.text,
                made.model or answerer.name,
                critic.name,
                rules.name if rules else critic.name,
                (),
                BAD_ANSWER.get(why, ""),
                group.source,
                group.meta,
                made.cut,
            )
        )
    return records


def _checked(record: Revised, rules: RuleCritic | None) -> Revised:
    """The record, dropped where its answer is not to be revised; only rules see that one was cut off."""
    if rules is not None:
        return rule_checked(rules, record)
    cut = record.answer_cut and not record.dropped
    return replace(record, dropped=BAD_ANSWER["cut off"]) if cut else record


def _given(group: Group) -> Written:
    made = group.samples[0].completion
    return Written(made.text.strip(), made.finish_reason == "length", "", made.sampled_by)
