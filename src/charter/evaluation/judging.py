"""Rules judge the principles that have rules; a judge with a card judges those it may."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from charter.constitution import Constitution
from charter.errors import ConfigError, DataError
from charter.evaluation.answerer import lineage_family
from charter.evaluation.basis import Basis, bases_of, left_to_judges, reasons, usable
from charter.evaluation.judge_card.asking import Judge, Subject
from charter.evaluation.judge_card.card import JudgeCard
from charter.evaluation.judge_card.examine import examine
from charter.evaluation.judge_card.gate import Gated
from charter.evaluation.judge_card.labels import Labels
from charter.evaluation.judge_card.subjects import LONGEST, RULES, open_subject
from charter.feedback.constitution import ConstitutionFeedback
from charter.feedback.judging.spec import is_endpoint, parse_spec
from charter.types import Group, Judgement


@dataclass(frozen=True)
class Adjudicator:
    """A judge that may be asked, and how it is examined where it has no card yet.

    Attributes:
        name: as its card calls it.
        open: opens it for the principles it may be used for.
        subject: for its examination.
        family: of the model, where its name alone does not tell; "" = the judge's own word counts.
        prober: opens it without regard to its card, for statements that are no principle; None = it cannot.
    """

    name: str
    open: Callable[[Constitution, Collection[str]], Judge]
    subject: Subject
    family: str = ""
    prober: Callable[[Constitution], Judge] | None = None


def named_judge(
    spec: str,
    constitution: Constitution,
    *,
    card: JudgeCard | None = None,
    policy: str = "",
    base: Path | None = None,
    journal: Path | None = None,
) -> Adjudicator:
    """The judge that ``spec`` names, asked in the form its card was made with.

    Args:
        spec: a model, or ``endpoint:MODEL@URL``.
        constitution: what is judged under.
        card: the judge's.
        policy: the model that is measured, as it was named.
        base: folder that model folders are relative to.
        journal: file of an endpoint's replies.

    Raises:
        ConfigError: no judge of answers, a card of another judge, or a relative of the policy where the
            constitution forbids those.
        UserError: nothing by that name.
    """
    if spec in (RULES, LONGEST):
        raise ConfigError(
            f"{spec!r} is no judge of what rules leave open",
            where="judge",
            fix="name a model, or leave it out",
        )
    form = _form(spec, constitution, card)
    if form == "pairwise":
        raise ConfigError(
            "a judge that compares answers has no verdict on one alone",
            where="judge",
            fix="set another executor in the constitution's judge, or give a card made with another --form",
        )
    family = "" if is_endpoint(spec) else lineage_family(str(spec if base is None else base / spec))
    family = family or lineage_family(spec)
    own = lineage_family(policy) if policy else ""
    if constitution.judge.self_family == "forbid" and own and family == own:
        raise ConfigError(
            f"the judge is of the family of the model it would judge ({own}), which the constitution forbids",
            where="judge",
            fix="name a judge of another family, or set `self_family: allow` in the constitution's judge",
        )
    from charter.feedback.judging.open_judge import open_judge
    from charter.models.load import load

    # Examined principle by principle and then asked: the model is loaded once for all of it.
    where: dict[str, Any] = {"base": base, "journal": journal, "load_model": cache(load)}

    def opened(law: Constitution, only: Collection[str]) -> Judge:
        judge: Judge = open_judge(spec, law, form=form, only=only, **where)
        return judge

    def probing(law: Constitution) -> Judge:
        judge: Judge = open_judge(spec, law, form=form, rules_first=False, **where)
        return judge

    opened(constitution, ())  # a mistake in the name or the options is found now; nothing is loaded
    return Adjudicator(f"{spec} ({form})", opened, open_subject(spec, form=form, **where), family, probing)


def given_judge(judge: Judge, card: JudgeCard | None = None) -> Adjudicator:
    """A judge that is there already."""
    name = card.judge if card else str(getattr(judge, "name", type(judge).__name__))
    return Adjudicator(name, lambda _law, _only: judge, Subject.of(judge, name))


def check_card(card: JudgeCard, constitution: Constitution) -> None:
    """Refuse a card that is about none of the principles here.

    Raises:
        ConfigError: it is another constitution's.
    """
    shas = {one.id: one.sha for one in constitution.active}
    if not any(shas.get(one.principle) == one.sha for one in card.principles):
        raise ConfigError(
            f"the card of {card.judge} is about no principle of this constitution as it is now",
            where="card",
            fix="examine the judge again with `charter judge-card`",
        )


@dataclass(frozen=True)
class Court:
    """Who judges what.

    Attributes:
        constitution: what is judged under.
        bases: how far each principle's verdicts may be believed.
        name: of the judge; "" = rules alone.
        card: of the judge.
        judge: None = rules alone, or a judge that may be used for nothing.
        part: opens the judge for a part of the constitution, silent where its card is; None likewise.
        prober: opens it for statements that are no principle; None = it cannot, or may not judge this model.
    """

    constitution: Constitution
    bases: dict[str, Basis]
    name: str = ""
    card: JudgeCard | None = None
    judge: Judge | None = None
    part: Callable[[Constitution], Judge] | None = None
    prober: Callable[[Constitution], Judge] | None = None

    def judged(self, groups: Sequence[Group]) -> list[Group]:
        """The groups with one verdict for each answer and active principle.

        Raises:
            DataError: the judge does not answer with one list for each group.
        """
        by_rule = ConstitutionFeedback(self.constitution).judge(groups)
        said: Sequence[Sequence[Judgement]] = [()] * len(groups)
        asked = frozenset(usable(self.bases)) if self.judge is not None else frozenset[str]()
        if self.judge is not None and asked:
            said = self.judge.judge(groups)
            if len(said) != len(groups):
                raise DataError(f"the judge {self.name} answered {len(said)} of {len(groups)} groups")
        return [
            group.with_judgements(
                *(self._why(one) for one in rules if one.principle not in asked),
                *(one for one in answer if one.principle in asked),
            )
            for group, rules, answer in zip(groups, by_rule, said, strict=True)
        ]

    def _why(self, one: Judgement) -> Judgement:
        """A principle that nobody judges says why."""
        basis = self.bases.get(one.principle)
        if one.verdict != "not_measured" or basis is None or not basis.why:
            return one
        return replace(one, reason=basis.why, judge=basis.by or one.judge)


def court(
    constitution: Constitution,
    adjudicator: Adjudicator | None = None,
    *,
    card: JudgeCard | None = None,
    labels: Labels | None = None,
    family: str = "",
) -> Court:
    """Decide who may judge what; a judge without a card is examined first.

    Args:
        constitution: what is judged under.
        adjudicator: the judge; None = rules alone.
        card: its card; None = it is examined on the constitution's GOOD and BAD answers and ``labels``.
        labels: what people said of answers.
        family: of the model that is measured.
    """
    if adjudicator is None or not left_to_judges(constitution):
        return Court(constitution, bases_of(constitution))
    name = adjudicator.name
    card = card or examine(adjudicator.subject, constitution, labels=labels)
    bases = bases_of(constitution, name, card)
    allowed, why = usable(bases), reasons(bases)
    judge = adjudicator.open(constitution, allowed) if allowed else None
    if judge is not None and (barred := _relative(judge, adjudicator, constitution, family)):
        return Court(constitution, bases_of(constitution, name, card, refused=barred), name, card)
    if judge is None:
        return Court(constitution, bases, name, card)
    return Court(
        constitution,
        bases,
        name,
        card,
        Gated(Answered(judge, family), allowed, why),
        lambda law: Gated(Answered(adjudicator.open(law, _of(law, allowed)), family), allowed, why),
        _told(adjudicator.prober, family),
    )


def _told(
    prober: Callable[[Constitution], Judge] | None, family: str
) -> Callable[[Constitution], Judge] | None:
    return None if prober is None else lambda law: Answered(prober(law), family)


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


def _of(constitution: Constitution, ids: Sequence[str]) -> list[str]:
    """Those of ``ids`` that are principles of this part of the constitution."""
    here = {one.id for one in constitution.principles}
    return [id for id in ids if id in here]


def _relative(judge: Any, adjudicator: Adjudicator, constitution: Constitution, family: str) -> str:
    """Why the judge may not judge this model; "" = it may."""
    if not family:
        return ""
    panel = getattr(judge, "panel", None)
    if panel is not None:
        free = sum(panel.may_judge(one, family) for one in panel.judges)
        barred = free < panel.minimum
    else:
        barred = False
    own = adjudicator.family or str(getattr(judge, "family", ""))
    if constitution.judge.self_family == "forbid":
        barred |= bool(own) and own.casefold() == family.casefold()
    return (
        f"the judge is of the measured model's own family ({family}), which may not judge it"
        if barred
        else ""
    )


def _by_family(group: Group, family: str) -> Group:
    """The group as judges see it: who answered, by family, so that a panel can keep relatives out."""
    if not family:
        return group
    samples = tuple(
        replace(one, completion=replace(one.completion, sampled_by=family)) for one in group.samples
    )
    return replace(group, samples=samples)


def _form(spec: str, constitution: Constitution, card: JudgeCard | None) -> str:
    if card is None:
        return constitution.judge.executor
    name, bracket, form = card.judge.rpartition(" (")
    if not bracket or _bare(name) != _bare(spec):
        raise ConfigError(
            f"the card is of {card.judge}, the judge is {spec}",
            where="card",
            fix="give the card of this judge, or leave it out and the judge is examined",
        )
    return form.rstrip(")")


def _bare(spec: str) -> str:
    """A judge's name without how fast and how often it may be asked."""
    return f"endpoint:{parse_spec(spec)[0].name}" if is_endpoint(spec) else spec
