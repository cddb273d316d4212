"""Who judges what: rules the principles that have rules, a judge with a card those it may."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from charter.constitution import Constitution
from charter.errors import DataError
from charter.evaluation.judge_card.asking import Judge
from charter.evaluation.judge_card.card import JudgeCard
from charter.evaluation.judges.concern import concerns
from charter.evaluation.rates.basis import Basis, usable
from charter.feedback.rules.constitution import ConstitutionFeedback
from charter.types import Group, Judgement

OTHERS_TEST = "a test of other principles; this one does not say when it applies"


@dataclass(frozen=True)
class Adjudication:
    """Who judges what.

    Attributes:
        constitution: what is judged under.
        bases: how far each principle's verdicts may be believed.
        name: of the judge; "" = rules alone.
        card: of the judge, or of the panel as a whole.
        judge: None = rules alone, or a judge that may be used for nothing.
        part: opens the judge for a part of the constitution, silent where its card is; None likewise.
        prober: opens it for statements that are no principle; None = it cannot, or may not judge this model.
        members: cards of a panel's judges; () = one judge.
    """

    constitution: Constitution
    bases: dict[str, Basis]
    name: str = ""
    card: JudgeCard | None = None
    judge: Judge | None = None
    part: Callable[[Constitution], Judge] | None = None
    prober: Callable[[Constitution], Judge] | None = None
    members: tuple[JudgeCard, ...] = ()

    def judged(self, groups: Sequence[Group]) -> list[Group]:
        """The groups with one verdict for each answer and active principle.

        Raises:
            DataError: the judge does not answer with one list for each group.
        """
        by_rule = ConstitutionFeedback(self.constitution).judge(groups)
        wanted = [self._wanted(group) for group in groups]
        said = self._said(groups, wanted)
        return [
            group.with_judgements(
                *(self._ruled(one, group) for one in rules if one.principle not in asked),
                *(one for one in answer if one.principle in asked),
            )
            for group, rules, answer, asked in zip(groups, by_rule, said, wanted, strict=True)
        ]

    def _wanted(self, group: Group) -> tuple[str, ...]:
        """Principles that the judge is asked about here."""
        asked = set(usable(self.bases)) if self.judge is not None else set()
        return tuple(one.id for one in self.constitution.active if one.id in asked and concerns(one, group))

    def _said(self, groups: Sequence[Group], wanted: Sequence[tuple[str, ...]]) -> list[Sequence[Judgement]]:
        """What the judge says of each group, asked for all groups at once that want the same principles."""
        found: list[Sequence[Judgement]] = [()] * len(groups)
        every = tuple(one.id for one in self.constitution.active if one.id in usable(self.bases))
        for ids in dict.fromkeys(one for one in wanted if one):
            judge = self.judge if ids == every or self.part is None else self.part(self._of(ids))
            assert judge is not None
            places = [place for place, one in enumerate(wanted) if one == ids]
            answers = judge.judge([groups[place] for place in places])
            if len(answers) != len(places):
                raise DataError(f"the judge {self.name} answered {len(answers)} of {len(places)} groups")
            for place, answer in zip(places, answers, strict=True):
                found[place] = answer
        return found

    def _of(self, ids: Sequence[str]) -> Constitution:
        """The part of the constitution that has these principles alone."""
        kept = tuple(one for one in self.constitution.principles if one.id in ids)
        return replace(self.constitution, principles=kept)

    def _ruled(self, one: Judgement, group: Group) -> Judgement:
        """A rule's verdict; a principle that is not judged here says why."""
        basis = self.bases.get(one.principle)
        if basis is None:
            return one
        if basis.measures and not concerns(self.constitution.principle(one.principle), group):
            return replace(one, value=None, probability=None, verdict="not_applicable", reason=OTHERS_TEST)
        if one.verdict != "not_measured" or not basis.why:
            return one
        return replace(one, reason=basis.why, judge=basis.by or one.judge)


class Answered:
    """A judge that is told of which family the model is that answered, so that relatives can be kept out.

    Args:
        judge: any judge.
        family: of the model that answers; "" = not known, and nothing is told.
    """

    def __init__(self, judge: Judge, family: str) -> None:
        self.inner, self.family = judge, family

    def judge(self, groups: Sequence[Group]) -> list[list[Judgement]]:
        """What the judge says of the same groups."""
        return self.inner.judge([_by_family(group, self.family) for group in groups])


def told(
    prober: Callable[[Constitution], Judge] | None, family: str
) -> Callable[[Constitution], Judge] | None:
    """What opens a prober that is told the family."""
    return None if prober is None else lambda law: Answered(prober(law), family)


def part_of(constitution: Constitution, ids: Sequence[str]) -> list[str]:
    """Those of ``ids`` that are principles of this part of the constitution."""
    here = {one.id for one in constitution.principles}
    return [id for id in ids if id in here]


def own_family(family: str) -> str:
    """Why a judge of the measured model's family does not judge it."""
    return f"the judge is of the measured model's own family ({family}), which may not judge it"


def _by_family(group: Group, family: str) -> Group:
    """The group as judges see it: who answered, by family, so that a panel can keep relatives out."""
    if not family:
        return group
    samples = tuple(
        replace(one, completion=replace(one.completion, sampled_by=family)) for one in group.samples
    )
    return replace(group, samples=samples)
