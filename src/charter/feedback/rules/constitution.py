"""Feedback from a constitution: every answer judged under every principle that rules can check."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from charter.constitution import Constitution, Principle
from charter.constitution.rules import Callable
from charter.errors import ConstitutionError, DataError
from charter.feedback.rules.callables import load
from charter.feedback.rules.outcome import RuleError
from charter.feedback.rules.rules import applies, evaluate
from charter.types import Context, Group, Judgement, Sample, SampleTarget, Verdict

JUDGE = "rule"


class ConstitutionFeedback:
    """Judges groups by the rules of a constitution.

    Args:
        constitution: where the principles come from.

    Raises:
        ConstitutionError: a callable cannot be loaded, at the line that names it.
    """

    def __init__(self, constitution: Constitution) -> None:
        self.constitution = constitution
        self.base = Path(constitution.path).parent.absolute()
        for principle in constitution.active:
            _load_callables(principle, constitution.path, self.base)

    async def __call__(self, groups: Sequence[Group]) -> list[list[Judgement]]:
        """As :meth:`judge`."""
        return self.judge(groups)

    def judge(self, groups: Sequence[Group]) -> list[list[Judgement]]:
        """One judgement per group, sample and active principle, in that order.

        A passed rule is worth 1.0, a failed one 0.0. Verdicts without a value:
        ``not_applicable`` (the principle is not about this prompt), ``abstained``,
        ``error`` (a callable broke), ``not_measured`` (the principle has no rules).

        Raises:
            DataError: a group's ``tags`` are not a list of texts.
        """
        return [self._judge_group(group) for group in groups]

    def _judge_group(self, group: Group) -> list[Judgement]:
        tags = tags_of(group)
        return [
            self._judge_sample(principle, sample, index, tags)
            for index, sample in enumerate(group.samples)
            for principle in self.constitution.active
        ]

    def _judge_sample(
        self, principle: Principle, sample: Sample, index: int, tags: frozenset[str]
    ) -> Judgement:
        prompt = prompt_of(sample.context)
        if principle.rules is None:
            return _judgement(principle, index, "not_measured", "no rule checks this principle")
        if not applies(principle.rules.applies_when, prompt, tags):
            return _judgement(principle, index, "not_applicable", "the principle is not about this prompt")
        completion = sample.completion
        try:
            outcome = evaluate(
                principle.rules.rule, completion.text, completion.finish_reason, prompt, self.base
            )
        except RuleError as error:
            return _judgement(principle, index, "error", str(error))
        if outcome.passed is None:
            return _judgement(principle, index, "abstained", outcome.reason)
        return _judgement(principle, index, "judged", outcome.reason, value=float(outcome.passed))


def measured(constitution: Constitution) -> list[Principle]:
    """Active principles that rules check."""
    return [principle for principle in constitution.active if principle.rules is not None]


def not_measured(constitution: Constitution) -> list[Principle]:
    """Active principles that no rule checks."""
    return [principle for principle in constitution.active if principle.rules is None]


def prompt_of(context: Context) -> str:
    """What was asked: the last user turn, or the whole of a plain context."""
    if not isinstance(context.content, str):
        for message in reversed(context.content):
            if message.role == "user":
                return message.content
    return context.text


def tags_of(group: Group) -> frozenset[str]:
    """The tags of a group's prompt, from ``meta["tags"]``.

    Raises:
        DataError: they are not a list of texts.
    """
    tags: Any = group.meta.get("tags")
    if tags is None:
        return frozenset()
    if isinstance(tags, str) or not all(isinstance(tag, str) for tag in tags):
        raise DataError(
            f"tags must be a list of texts, got {tags!r}",
            where=group.source or group.id or None,
            fix='write "tags": ["name", ...]',
        )
    return frozenset(tags)


def _judgement(
    principle: Principle, index: int, verdict: Verdict, reason: str, value: float | None = None
) -> Judgement:
    return Judgement(
        SampleTarget(index),
        value=value,
        verdict=verdict,
        principle=principle.id,
        principle_sha=principle.sha,
        judge=JUDGE,
        reason=reason,
        weight=principle.weight,
    )


def _load_callables(principle: Principle, path: str, base: Path) -> None:
    for check in principle.rules.checks() if principle.rules else []:
        if isinstance(check.config, Callable):
            try:
                load(check.config.target, base, check.file_sha)
            except RuleError as error:
                raise ConstitutionError(str(error), where=f"{path}:{check.line}") from None
