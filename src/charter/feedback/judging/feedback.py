"""Feedback from language models under a constitution: every answer, every principle, and who said so."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from charter.constitution import Constitution, Principle
from charter.errors import ConfigError, did_you_mean
from charter.feedback.judging.ask import Judge, Tally
from charter.feedback.judging.clause import clause_of
from charter.feedback.judging.family import family_of
from charter.feedback.judging.form import Item, Pair, PairForm, PointForm
from charter.feedback.judging.forms import form_of
from charter.feedback.judging.opinion import Opinion
from charter.feedback.judging.panel import Panel, SelfFamily
from charter.feedback.judging.view import Seen, View
from charter.feedback.judging.vote import How
from charter.feedback.rules.constitution import ConstitutionFeedback
from charter.types import Group, Judgement, PairTarget, Sample, SampleTarget, Target

NO_CARD = "the judge has not passed its card for this principle"
_SHA = 12


@dataclass(frozen=True)
class _Asked:
    """One thing that models are asked about: an answer, or two, under a principle."""

    group: int
    samples: tuple[int, ...]
    id: str
    principle: Principle = field(compare=False, repr=False)


class ModelJudge:
    """Judges groups by asking language models.

    Args:
        constitution: where the principles come from, and how they are judged.
        models: one judge, or a panel of several.
        form: how they are asked; None = as the front matter's ``executor``, ``scale``, ``pass_at``,
            ``order`` and ``seeds`` say.
        view: what they see.
        only: principles the judge may be used for, those it passed its card for; None = no card is asked.
        why_not: reason of the others, which are ``not_measured``.
        rules_first: a principle that has rules is judged by them, not by a model.
        self_family: see :class:`charter.feedback.judging.panel.Panel`; None = as the front matter says.
        panel_min: likewise.
        how: how a panel's opinions are combined.
        families: family of the model that wrote an answer, from ``sampled_by``; or one family for all.
        graded: ratings on [0, 1] as values, in place of pass and fail. Training can use them, adherence
            cannot.
        seed: decides what is sampled.

    Attributes:
        tally: what was asked and what came back, over all calls of :meth:`judge`.
        unknown_family: answers whose family nobody knows, so that none of the judges was kept out.

    Raises:
        ConfigError: ``only`` names an unknown principle, a panel that is too small, a rubric off the scale.
        ConstitutionError: a callable of the rules cannot be loaded.
    """

    def __init__(
        self,
        constitution: Constitution,
        models: Judge | Sequence[Judge],
        form: PointForm | PairForm | None = None,
        *,
        view: View | None = None,
        only: Collection[str] | None = None,
        why_not: str = NO_CARD,
        rules_first: bool = True,
        self_family: SelfFamily | None = None,
        panel_min: int | None = None,
        how: How = "majority",
        families: Mapping[str, str] | Callable[[str], str] | str = family_of,
        graded: bool = False,
        seed: int = 0,
    ) -> None:
        options = constitution.judge
        self.constitution = constitution
        self.form = form if form is not None else form_of(options)
        self.view = view or View()
        self.panel = Panel(
            tuple(models) if isinstance(models, Sequence) else (models,),
            options.self_family if self_family is None else self_family,
            options.panel_min if panel_min is None else panel_min,
            how,
        )
        self.only = None if only is None else frozenset(only)
        self.tally = Tally()
        self.unknown_family = 0
        self._why_not = why_not
        self._rules = ConstitutionFeedback(constitution)
        self._rules_first = rules_first
        self._families = families
        self._graded = graded
        self._seed = seed
        self._clauses = {one.id: clause_of(one, constitution) for one in constitution.active}
        self._check_rubrics()
        known = [principle.id for principle in constitution.principles]
        for id in self.only or ():
            if id not in known:
                raise ConfigError(f"no principle {id!r}", where="only", fix=did_you_mean(id, known))

    def _check_rubrics(self) -> None:
        """Refuse ratings that the form cannot give, before anything is asked."""
        for id, clause in self._clauses.items():
            off = [level for level in clause.levels if not 1 <= level <= getattr(self.form, "scale", level)]
            if off:
                raise ConfigError(
                    f"the rubric of {id!r} describes the rating {off[0]}, which is not on the judge's scale",
                    where=self.constitution.path,
                    fix="set `scale` in the front matter's judge, or rewrite the rubric",
                )

    @property
    def name(self) -> str:
        """``judge`` of its judgements: models, form and the sha of the prompt."""
        return f"{self.panel.name}/{self.form.name}@{self.form.prompt_sha[:_SHA]}"

    @property
    def pairwise(self) -> bool:
        """Whether answers are compared, and judgements target pairs."""
        return isinstance(self.form, PairForm)

    async def __call__(self, groups: Sequence[Group]) -> list[list[Judgement]]:
        """As :meth:`judge`."""
        return self.judge(groups)

    def judge(self, groups: Sequence[Group]) -> list[list[Judgement]]:
        """One judgement per group, sample and active principle, in that order; of pairs after them.

        A passed principle is worth 1.0, a broken one 0.0; ``probability`` is that of the verdict
        being right, where the judge gave one. With a pairwise form the principles that models judge
        have a judgement for each pair of samples instead, whose value is the margin. Without a value:
        ``not_applicable``, ``abstained`` (unsure, a split vote, a tie, orders that disagree),
        ``error`` (no reply, or one that is no verdict), ``not_measured`` (a definition, a principle
        the judge may not be used for, or every judge is a relative of the answerer).

        Raises:
            DataError: a group's ``tags`` are not a list of texts.
            ConfigError: a judge cannot be asked in this form.
            Interrupted: the person asked to stop.
        """
        ruled = self._rules.judge(groups)
        found: list[list[Judgement | None]] = []
        asked: list[_Asked] = []
        places: dict[_Asked, int] = {}
        for at, (group, by_rules) in enumerate(zip(groups, ruled, strict=True)):
            row: list[Judgement | None] = []
            for one, by_rule in zip(self._of_samples(at, group), by_rules, strict=True):
                settled = self._settled(one, by_rule, group)
                if settled is None:
                    places[one] = len(row)
                row.append(settled)
            found.append(row)
            if self.pairwise:
                asked += self._pairs(at, group, places)
        if not self.pairwise:
            asked = list(places)
        opinions = self._opinions(groups, asked)
        for one, opinion in zip(asked, opinions, strict=True):
            judgement = self._judgement(one, opinion)
            if one in places:
                found[one.group][places[one]] = judgement
            else:
                found[one.group].append(judgement)
        return [[one for one in row if one is not None] for row in found]

    # -- who is asked -----------------------------------------------------------

    def _of_samples(self, at: int, group: Group) -> list[_Asked]:
        """Every sample under every principle, in the order of the rules' judgements."""
        return [
            _Asked(at, (index,), principle.id, principle)
            for index in range(len(group.samples))
            for principle in self.constitution.active
        ]

    def _settled(self, asked: _Asked, by_rule: Judgement, group: Group) -> Judgement | None:
        """What is known without asking a model; None = a model must be asked."""
        principle = asked.principle
        if principle.rules is not None and (self._rules_first or by_rule.verdict == "not_applicable"):
            return by_rule
        if principle.type == "definition":
            return self._judgement(asked, Opinion("not_measured", reason="a definition is not judged"))
        if self.only is not None and principle.id not in self.only:
            return self._judgement(asked, Opinion("not_measured", reason=self._why_not))
        if self.pairwise and not _partners(group, asked.samples[0]):
            return self._judgement(
                asked, Opinion("not_measured", reason="there is no answer to compare it with")
            )
        return None

    def _pairs(self, at: int, group: Group, asked: Collection[_Asked]) -> list[_Asked]:
        """Every two samples of a group that answer the same conversation, under what models judge."""
        return [
            _Asked(at, (first, second), principle.id, principle)
            for first, second in itertools.combinations(range(len(group.samples)), 2)
            if second in _partners(group, first)
            for principle in self.constitution.active
            if _Asked(at, (first,), principle.id, principle) in asked
        ]

    def _opinions(self, groups: Sequence[Group], asked: Sequence[_Asked]) -> list[Opinion]:
        seen: dict[tuple[int, int], Seen] = {}
        families: dict[tuple[int, int], str] = {}
        for one in asked:
            for index in one.samples:
                key = one.group, index
                if key not in seen:
                    sample = groups[one.group].samples[index]
                    seen[key], families[key] = self.view.see(sample), self._family(sample)
        self.unknown_family += sum(not family for family in families.values())
        answerers = [{families[one.group, index] for index in one.samples} for one in asked]

        def ask(judge: Judge, wanted: Sequence[int]) -> list[Opinion]:
            return self._ask(judge, [asked[place] for place in wanted], seen)

        return self.panel.decide(answerers, ask)

    def _ask(
        self, judge: Judge, asked: Sequence[_Asked], seen: Mapping[tuple[int, int], Seen]
    ) -> list[Opinion]:
        shown = [[seen[one.group, index] for index in one.samples] for one in asked]
        clauses = [self._clauses[one.principle.id] for one in asked]
        if isinstance(self.form, PairForm):
            pairs = [Pair(clause, *two) for clause, two in zip(clauses, shown, strict=True)]
            return self.form.compare(judge, pairs, self.tally, self._seed)
        items = [Item(clause, *one) for clause, one in zip(clauses, shown, strict=True)]
        return self.form.opinions(judge, items, self.tally, self._seed)

    def _family(self, sample: Sample) -> str:
        by = sample.completion.sampled_by
        if isinstance(self._families, str):
            return self._families
        if callable(self._families):
            return self._families(by)
        return self._families.get(by, family_of(by))

    # -- what is said -----------------------------------------------------------

    def _judgement(self, asked: _Asked, opinion: Opinion) -> Judgement:
        target: Target
        value: float | None
        if len(asked.samples) == 2:
            first, second = asked.samples
            target = PairTarget(second, first) if opinion.passed is False else PairTarget(first, second)
            value = None if opinion.passed is None else 1.0 if opinion.sure is None else 2 * opinion.sure - 1
        else:
            target = SampleTarget(asked.samples[0])
            value = None if opinion.passed is None else float(opinion.passed)
            if value is not None and self._graded and opinion.score is not None:
                value = opinion.score
        return Judgement(
            target,
            value=value,
            probability=opinion.sure,
            verdict=opinion.verdict,
            principle=asked.principle.id,
            principle_sha=asked.principle.sha,
            judge=self.name,
            reason=opinion.reason,
            weight=asked.principle.weight,
        )


def _partners(group: Group, index: int) -> list[int]:
    """Samples that answer the same conversation as the one at ``index``."""
    content = group.samples[index].context.content
    return [
        other
        for other, sample in enumerate(group.samples)
        if other != index and sample.context.content == content
    ]
