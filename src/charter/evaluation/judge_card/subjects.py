"""From what a person writes to the judge that is examined."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

from charter.constitution import Constitution
from charter.evaluation.judge_card.asking import Judge, Subject
from charter.evaluation.judge_card.flipped import TurnedBack, opposite
from charter.evaluation.reward_bench.style import length
from charter.types import Group, Judgement, PairTarget

LONGEST = "longest"
"""The judge that reads nothing: the longer answer is better. No other may do worse."""

RULES = "rules"


class Longest:
    """Prefers the longer of two answers, whatever the principle."""

    def judge(self, groups: Sequence[Group]) -> list[list[Judgement]]:
        """One judgement a pair; equal lengths are a tie."""
        return [_longer(group) for group in groups]


def open_subject(
    spec: str,
    *,
    form: str | None = None,
    own_models: Collection[str] = (),
    overrides: dict[str, Any] | None = None,
    **options: Any,
) -> Subject:
    """The judge that ``spec`` names: ``rules``, ``longest``, or a model.

    A model is asked in the order in which answers are shown, also where the constitution wants both orders,
    and about its own family's answers: its pull to a place and to its own models are to be seen, not averted.

    Args:
        spec: see :func:`charter.feedback.judging.open_judge.open_judge`.
        form: how a model is asked; None = as the constitution says.
        own_models: names in the ``model`` column of the labels that are the judge's own.
        overrides: fields of the front matter's ``judge``.
        options: likewise of ``open_judge``.
    """
    own = frozenset({spec, *own_models})
    if spec == LONGEST:
        return Subject(spec, lambda _constitution, _only: Longest(), None, True, own)
    if spec == RULES:
        return Subject(spec, _rules, None, False, own)
    how = {"order": "given", "self_family": "allow", "panel_min": 1, **(overrides or {})}

    def opened(constitution: Constitution, only: Collection[str], **more: Any) -> Any:
        from charter.feedback.judging.open_judge import open_judge

        return open_judge(
            spec, constitution, form=form, only=only, rules_first=False, overrides=how, **{**options, **more}
        )

    def flipped(constitution: Constitution, only: Collection[str]) -> Judge:
        from charter.feedback.judging.per_principle import PerPrinciple

        judge = opened(constitution, only)
        if isinstance(judge.form, PerPrinciple):
            judge.form = replace(judge.form, flipped=True)
            return _as_judge(judge)
        return TurnedBack(_as_judge(opened(opposite(constitution), only)))

    return Subject(_named(spec, form), opened, flipped, form == "pairwise", own)


def _named(spec: str, form: str | None) -> str:
    return f"{spec} ({form})" if form else spec


def _as_judge(judge: Any) -> Judge:
    found: Judge = judge
    return found


def _rules(constitution: Constitution, _only: Collection[str]) -> Judge:
    from charter.feedback.rules.constitution import ConstitutionFeedback

    return ConstitutionFeedback(constitution)


def _longer(group: Group) -> list[Judgement]:
    if len(group.samples) != 2:
        return []
    lengths = [length(sample.completion.text) for sample in group.samples]
    better = int(lengths[1] > lengths[0])
    value = 0.0 if lengths[0] == lengths[1] else 1.0
    return [Judgement(PairTarget(better, 1 - better), value, judge=LONGEST)]
