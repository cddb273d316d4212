"""A critic that is no model: it says what rules find wrong with an answer, and tells when that is mended."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from charter.constitution import Constitution, Principle
from charter.errors import ConfigError
from charter.feedback.revising.draw import usable
from charter.feedback.revising.prompts import statement, titles_of
from charter.feedback.revising.record import Revised
from charter.feedback.rules.advice import advice
from charter.feedback.rules.constitution import ConstitutionFeedback, measured, prompt_of
from charter.types import Completion, Context, FinishReason, Group, Judgement, Message, Sample

RULES = "rules"
"""What this critic is called in recipes, on the command line and in every row it had a part in."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A principle that an answer breaks.

    Attributes:
        principle: which.
        critique: what the rules say of the answer.
        advice: what to ask of the writer, continuing "Say that again ...".
    """

    principle: Principle
    critique: str
    advice: str


@dataclass(frozen=True, slots=True)
class Found:
    """What the rules say of one answer.

    Attributes:
        passed: ids of the principles it keeps to.
        faults: those it breaks and that were asked about.
        broken: ids of all it breaks.
        failed: why a rule could not be applied; "" = all could.
    """

    passed: frozenset[str]
    faults: tuple[Fault, ...]
    broken: frozenset[str]
    failed: str = ""

    def better_than(self, before: Found) -> bool:
        """Whether something is mended and nothing newly broken; to escape a rule is not to mend."""
        return not self.failed and before.passed < self.passed and self.broken <= before.broken


class RuleCritic:
    """Finds faults by the rules of a constitution.

    Args:
        constitution: where the rules come from.
        only: ids of the principles whose faults are named; empty = all with rules. An answer must
            not get worse under any of the others.

    Raises:
        ConfigError: none of these principles has rules.
        ConstitutionError: a callable cannot be loaded.
    """

    name = RULES

    def __init__(self, constitution: Constitution, only: Collection[str] = ()) -> None:
        self._feedback = ConstitutionFeedback(constitution)
        self._titles = titles_of(constitution)
        asked = {one.id for one in usable(constitution, tuple(only))}
        self._named: Mapping[str, Principle] = {
            one.id: one for one in measured(constitution) if one.id in asked
        }
        if not self._named:
            raise ConfigError(
                "no principle asked about has rules, so the rules cannot criticise anything",
                where=f"{constitution.path}: critic: {RULES}",
                fix="give principles a ```yaml rules``` block, or name a model as the critic",
            )

    def find(self, record: Revised, text: str, cut: bool = False) -> Found:
        """What the rules say of ``text`` as an answer to the record's prompt.

        Args:
            record: for its prompt and tags.
            text: an answer.
            cut: the length limit ended it.
        """
        ended: FinishReason = "length" if cut else "stop"
        sample = Sample(Context(record.turns), Completion((Message("assistant", text),), finish_reason=ended))
        (said,) = self._feedback.judge([Group((sample,), (), record.id, record.source, record.meta)])
        failed = [f"{one.principle}: {one.reason}" for one in said if one.verdict == "error"]
        judged = [one for one in said if one.value is not None]
        return Found(
            frozenset(one.principle for one in judged if one.value),
            tuple(
                self._fault(one, sample) for one in judged if not one.value and one.principle in self._named
            ),
            frozenset(one.principle for one in judged if not one.value),
            failed[0] if failed else "",
        )

    def _fault(self, said: Judgement, sample: Sample) -> Fault:
        principle = self._named[said.principle]
        assert principle.rules is not None
        answer = sample.completion
        phrases = advice(
            principle.rules.rule,
            answer.text,
            answer.finish_reason,
            prompt_of(sample.context),
            self._feedback.base,
        )
        title = principle.title.rstrip(".")
        wanted = _listed(phrases) or f"so that this holds: {statement(principle, self._titles).rstrip('.')}"
        return Fault(principle, f"{title}: {said.reason}.", wanted)


def _listed(phrases: list[str]) -> str:
    *before, last = phrases or [""]
    return f"{', '.join(before)} and {last}" if before else last
