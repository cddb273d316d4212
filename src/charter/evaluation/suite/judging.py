"""Verdicts of rules and judges under a constitution's principles, asked for all tests at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

from charter.constitution import Constitution, Principle
from charter.errors import UserError
from charter.evaluation.judge_card.asking import GROUPS_AT_ONCE, Judge
from charter.feedback.rules.constitution import ConstitutionFeedback
from charter.interrupt import graceful
from charter.progress import progress
from charter.types import Group, Judgement, SampleTarget

OpenJudge = Callable[[Constitution], Judge]
"""Opens a judge for a constitution, or for the part of one that is asked about."""

NO_JUDGE = "needs a judge"


class Reading(NamedTuple):
    """One verdict: passed, failed, or (None) none; why; and who spoke."""

    passed: bool | None
    why: str
    by: str = ""


def opener(judge: Judge | OpenJudge) -> OpenJudge:
    """A judge that is there already is the same whatever it is opened for."""
    if hasattr(judge, "judge"):
        found: Judge = judge
        return lambda _part: found
    return judge


class Verdicts:
    """Verdicts by principle, of its rules where it has some, else of a judge.

    Args:
        constitution: where the principles come from.
        judge: speaks on principles without rules; None = nobody does. Whoever gives it has gated it by
            its card.
    """

    def __init__(self, constitution: Constitution, judge: Judge | OpenJudge | None = None) -> None:
        self.constitution = constitution
        self._open = None if judge is None else opener(judge)
        self._known: dict[tuple[str, str], list[Reading]] = {}

    def prepare(self, wanted: Sequence[tuple[Principle, Group]], label: str = "judging") -> None:
        """Ask for verdicts, principle by principle.

        Raises:
            UserError: the judge does not answer with one list of judgements a group.
            Interrupted: the person asked to stop.
        """
        by_principle: dict[str, tuple[Principle, dict[str, Group]]] = {}
        for principle, group in wanted:
            if (principle.id, group.id) not in self._known:
                by_principle.setdefault(principle.id, (principle, {}))[1][group.id] = group
        total = sum(len(groups) for _, groups in by_principle.values())
        with graceful() as stop, progress(label, total) as advance:
            for principle, groups in by_principle.values():
                judge = self._judge_of(principle)
                asked = list(groups.values())
                for start in range(0, len(asked), GROUPS_AT_ONCE):
                    stop.check("stopped while answers were judged", fix="start again: answers are kept")
                    part = asked[start : start + GROUPS_AT_ONCE]
                    self._take(principle, part, _asked(judge, part, principle))
                    advance(len(part))

    def of(self, principle: Principle, group: Group) -> list[Reading]:
        """One reading a sample, asked for now where it has not been before."""
        self.prepare([(principle, group)])
        return self._known[principle.id, group.id]

    def _judge_of(self, principle: Principle) -> Judge | None:
        part = replace(self.constitution, principles=(principle,))
        if principle.rules is not None:
            return ConstitutionFeedback(part)
        return None if self._open is None else self._open(part)

    def _take(
        self, principle: Principle, groups: Sequence[Group], said: Sequence[Sequence[Judgement]] | None
    ) -> None:
        for at, group in enumerate(groups):
            if said is None:
                none = Reading(None, f"{NO_JUDGE}: no rule checks {principle.id!r}")
                self._known[principle.id, group.id] = [none] * len(group.samples)
            else:
                self._known[principle.id, group.id] = readings(group, said[at], principle.id)


def readings(group: Group, said: Sequence[Judgement], principle: str) -> list[Reading]:
    """What was said of each sample under ``principle``."""
    found = [Reading(None, "the judge said nothing of it")] * len(group.samples)
    for one in said:
        if one.principle == principle and isinstance(one.target, SampleTarget):
            by = "rules" if one.judge == "rule" else f"judge {one.judge}"
            if one.value is None:
                word = one.verdict.replace("_", " ")
                reason = f"{word}: {one.reason}" if one.reason else word
                found[one.target.sample] = Reading(None, reason, by)
            else:
                # A graded judge passes what it rates in the upper half.
                found[one.target.sample] = Reading(one.value >= 0.5, one.reason, by)
    return found


def _asked(
    judge: Judge | None, groups: Sequence[Group], principle: Principle
) -> list[list[Judgement]] | None:
    if judge is None:
        return None
    said = judge.judge(groups)
    if len(said) != len(groups):
        raise UserError(f"the judge answered {len(said)} of {len(groups)} groups", where=principle.id)
    return said
