"""Measure a policy against a constitution on held-out prompts, beside its reference where it has one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from charter.constitution import Constitution
from charter.engines.base import Engine, Sampling
from charter.engines.local import LocalEngine
from charter.evaluation.answers import shown
from charter.evaluation.answers.sides import answered, speakers
from charter.evaluation.health.health import health_rows
from charter.evaluation.judge_card.asking import Judge
from charter.evaluation.judge_card.card import JudgeCard
from charter.evaluation.judge_card.labels import Labels
from charter.evaluation.judges.adjudication import Adjudication
from charter.evaluation.judges.answer_labels import match_labels
from charter.evaluation.judges.answerer import lineage_family
from charter.evaluation.judges.concern import asked_about
from charter.evaluation.judges.judging import JudgeOrPanel, adjudicate, adjudicating
from charter.evaluation.keep import Keep
from charter.evaluation.rates.adherence import AdherenceCard, Criteria, Gate, PrincipleInfo, adherence
from charter.evaluation.rates.basis import Basis, with_labels
from charter.models.pairing import Reference
from charter.models.policy import Policy
from charter.types import Group, Judgement

if TYPE_CHECKING:
    from charter.evaluation.suite import TestReport


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What was found.

    Attributes:
        card: adherence per principle, per level and over all, with intervals and tests.
        health: one row per measure that must stand beside adherence.
        flags: what is wrong with the model, in words; empty = nothing.
        after: the policy's judged answers.
        before: the reference's judged answers, or None.
        judge: name of the judge that was asked what rules leave open; "" = none.
        judge_card: of that judge, or of the panel as a whole; None = none.
        members: cards of a panel's judges; () = one judge.
        bases: what stands behind each principle's verdicts.
        labels_elsewhere: people's labels that are of no answer here.
        tests: the constitution's own tests of every kind; None = not measured.
        sampling: how the answers were made.
        unasked: why some of the constitution's tests were not asked, by id.
    """

    card: AdherenceCard
    health: tuple[Mapping[str, Any], ...]
    flags: tuple[str, ...]
    after: tuple[Group, ...]
    before: tuple[Group, ...] | None
    judge: str = ""
    judge_card: JudgeCard | None = None
    bases: Mapping[str, Basis] = field(default_factory=dict)
    labels_elsewhere: int = 0
    tests: TestReport | None = None
    members: tuple[JudgeCard, ...] = ()
    sampling: Mapping[str, Any] = field(default_factory=dict)
    unasked: Mapping[str, str] = field(default_factory=dict)

    @property
    def exit_code(self) -> int:
        """1 where a gate fails or the model is flagged, else 6 where a gate is undecided, else 0."""
        return 1 if self.flags else self.card.exit_code


def evaluate(
    policy: Policy,
    constitution: Constitution,
    prompts: Sequence[Group],
    *,
    reference: Reference | None,
    sampling: Sampling,
    num_generations: int = 1,
    unrelated_text: str = "",
    criteria: Criteria | None = None,
    around: Callable[[Engine], Engine] | None = None,
    judge: JudgeOrPanel | Judge | None = None,
    card: JudgeCard | None = None,
    labels: Labels | None = None,
    measure_tests: bool = False,
    seeds: int = 3,
    keep: Keep | None = None,
    unasked: Mapping[str, str] | None = None,
) -> Evaluation:
    """Answer, judge, compare, and look for harm.

    Principles that have rules are judged by them. The others go to ``judge``, where its card lets it: a
    judge that failed its card for a principle gives no number there.

    Args:
        policy: the model in question.
        constitution: what is judged under.
        prompts: rendered held-out prompts with ids and tags; of the constitution's own tests (see
            :mod:`charter.evaluation.answers.own_tests`) each principle is judged on those that are about it.
        reference: the model before alignment; None measures the policy alone.
        sampling: how answers are sampled; greedy by default elsewhere.
        num_generations: answers per prompt.
        unrelated_text: prose for perplexity drift; empty = not measured.
        criteria: when a change is claimed.
        around: what the policy is asked through (a system prompt, examples); the reference never is.
        judge: of the principles that rules leave open; None = they stay untested.
        card: what a single judge is worth; None = as it says itself, or it is examined first.
        labels: what people said of answers: they calibrate a judge that has no card, and labels of the very
            answers that are measured correct their rates.
        measure_tests: measure the constitution's own tests of every kind as well.
        seeds: answers to each conversation of a test, where answers are not greedy.
        keep: where answers are kept, so that a stopped evaluation goes on from there; None = nowhere.
        unasked: why further tests of the constitution are not among ``prompts``, by id.

    Raises:
        Interrupted: the person asked to stop; with ``keep`` nothing that was done is lost.
    """
    family = lineage_family(str(policy.path)) if policy.name == "" else lineage_family(policy.name)
    adjudication = adjudicate(
        constitution, adjudicating(judge, card), card=card, labels=labels, family=family
    )
    who = speakers(policy, reference, around, keep, _engine)
    sides = answered(who, prompts, num_generations, sampling)
    after = adjudication.judged(sides.after)
    before = None if sides.before is None else adjudication.judged(sides.before)
    matched = match_labels(labels, after, before)
    bases = with_labels(asked_about(adjudication.bases, constitution.active, after), matched.labels)
    found = adherence(
        after,
        principle_infos(constitution),
        before=before,
        gates=gates_of(constitution),
        criteria=criteria,
        bases=bases,
        levels=constitution.levels,
    )
    # Under another context the policy's distribution is not the one the KL is computed from: not measured.
    sampled_by = who.policy if around is None else None
    had = [one for one in prompts if one.id not in sides.unasked]
    health = tuple(health_rows(policy, reference, sampled_by, after, before, had, sampling, unrelated_text))
    flags = [str(row["why"]) for row in health if row["flag"]] + _regressions(found, constitution)
    tests = _tests(constitution, who.asked, policy, sampling, adjudication, seeds) if measure_tests else None
    return Evaluation(
        found,
        health,
        tuple(flags),
        tuple(after),
        None if before is None else tuple(before),
        adjudication.name,
        adjudication.card,
        bases,
        matched.elsewhere,
        tests,
        adjudication.members,
        {**sampling.model_dump(mode="json"), "num_generations": num_generations},
        {**(unasked or {}), **sides.unasked},
    )


def _tests(
    constitution: Constitution,
    engine: Engine,
    policy: Policy,
    sampling: Sampling,
    adjudication: Adjudication,
    seeds: int,
) -> TestReport:
    """The constitution's own tests, each kind by its own measure."""
    from charter.evaluation.suite import run_tests

    return run_tests(
        constitution,
        engine,
        sampling=sampling,
        template=policy.template,
        judge=adjudication.part,
        prober=adjudication.prober,
        seeds=seeds,
    )


def principle_infos(constitution: Constitution) -> list[PrincipleInfo]:
    """The active principles, as adherence wants them."""
    return [PrincipleInfo(p.id, p.title, p.level, p.sha, p.weight) for p in constitution.active]


def gates_of(constitution: Constitution) -> list[Gate]:
    """The bounds the constitution sets per level; none where only some principles are in question."""
    if constitution.focus:
        return []
    levels = {p.level for p in constitution.active}
    return [
        Gate(level, gate.min_lower_bound)
        for level, gate in constitution.gates.levels.items()
        if level in levels and gate.min_lower_bound is not None
    ]


def _regressions(card: AdherenceCard, constitution: Constitution) -> list[str]:
    """Principles that fell further than the constitution's regression gate allows."""
    gate = constitution.gates.regression
    if gate is None:
        return []
    flags = []
    for row in card.principles:
        # Of a judge's verdicts only a corrected change says what the model does.
        change = row.corrected_change if row.judged else row.change
        if change is not None and -change.diff > gate.max_drop and change.p < gate.alpha:
            flags.append(
                f"{row.principle} fell by {-change.diff:.0%} (p = {change.p:.2g}); "
                f"the constitution allows {gate.max_drop:.0%}"
            )
    return flags


def judged(groups: Sequence[Group], said: Sequence[Sequence[Judgement]]) -> list[Group]:
    """Groups with the judgements made on them."""
    return [g.with_judgements(*j) for g, j in zip(groups, said, strict=True)]


def _engine(model: Any, policy: Policy, name: str) -> Engine:
    return LocalEngine(
        model, policy.tokenizer, name=name, compute_dtype=policy.compute_dtype, version=policy.version
    )


def examples(evaluation: Evaluation, count: int = 3) -> list[dict[str, Any]]:
    """See :func:`charter.evaluation.answers.shown.examples`."""
    return shown.examples(evaluation.after, evaluation.before, count)
