"""The way in: ask a model everything a constitution tests, and measure each kind by its own measure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from charter.constitution import Constitution, Principle
from charter.constitution.cases import Conflict
from charter.data.render import Template
from charter.engines.base import Engine, Mixture, Sampling
from charter.errors import UserError
from charter.evaluation.judge_card.asking import Judge
from charter.evaluation.suite.ask import Asker, ask
from charter.evaluation.suite.journal import Journal
from charter.evaluation.suite.judging import OpenJudge, Verdicts
from charter.evaluation.suite.measure import MEASURES
from charter.evaluation.suite.measure.compliance import ANCHORS, DOES_IT
from charter.evaluation.suite.measure.conflict import in_play
from charter.evaluation.suite.measure.tools import Tools
from charter.evaluation.suite.plan import Plan, plan_tests
from charter.evaluation.suite.probe import Prober
from charter.evaluation.suite.report import TestReport
from charter.evaluation.suite.result import TestResult
from charter.evaluation.suite.settings import SuiteOptions
from charter.evaluation.suite.tables.conflicts import conflicts
from charter.evaluation.suite.tables.consistency import consistency
from charter.evaluation.suite.tables.enforcement import enforcement
from charter.evaluation.suite.tables.pluralism import pluralism
from charter.evaluation.suite.transcript import Had
from charter.types import Group

_DEFAULT = SuiteOptions()


def run_tests(
    constitution: Constitution,
    engine: Engine,
    *,
    sampling: Sampling,
    template: Template | None = None,
    judge: Judge | OpenJudge | None = None,
    prober: OpenJudge | None = None,
    others: Sequence[Judge | OpenJudge] = (),
    seeds: int = 3,
    options: SuiteOptions = _DEFAULT,
    only: Collection[str] = (),
    kinds: Collection[str] = (),
    policy: str | Mixture = "policy",
    journal: Path | None = None,
    identity: str = "",
) -> TestReport:
    """Ask the tests of a constitution and measure every kind.

    Args:
        constitution: whose tests.
        engine: who answers.
        sampling: how. Greedy sampling gives one answer to each conversation, so that what needs several
            (consistency over seeds, distributions) is missing, with the reason.
        template: of the model that answers; None = the engine needs no token ids.
        judge: speaks on the principles that have no rules: a judge, or what opens one for a part of the
            constitution. Whoever gives it gates it by its card (:meth:`JudgeCard.gated`).
        prober: opens a judge for statements of our own (did it refuse, which stance, which viewpoints).
            Not gated by a card: it is examined by answers of which the truth is known, and not used where
            it misses them.
        others: further judges, to see how far judges disagree on conflicts.
        seeds: answers to each conversation.
        options: how tests are asked and decided.
        only: ids of principles; none = all.
        kinds: kinds of tests; none = all.
        policy: whom the engine asks.
        journal: file of conversations; an interrupted run goes on from it.
        identity: of the model's weights; answers of another are not taken from the journal.

    Raises:
        UserError: fewer than one seed, no tests, an unknown principle or kind, or no test can be asked.
        Interrupted: the person asked to stop.
    """
    if seeds < 1:
        raise UserError(f"a test needs at least one answer, not {seeds}", where="seeds")
    many = 1 if sampling.greedy else options.distribution_samples
    plan = plan_tests(
        constitution,
        samples=1 if sampling.greedy else seeds,
        samples_of={"distribution": many},
        template=template,
        only=only,
        kinds=kinds,
        max_length=options.max_length,
        max_completion_length=sampling.max_completion_length,
    )
    if not plan.tests and not plan.unasked:
        raise UserError("there are no tests to ask", where=constitution.path, fix="add a `yaml tests` block")
    asker = Asker(engine, sampling, template=template, policy=policy, max_length=options.max_length)
    kept = Journal(journal, sampling, policy, identity)
    had = ask(plan, asker, kept, batch_size=options.batch_size)
    tools = Tools(
        constitution,
        Verdicts(constitution, judge),
        Prober(constitution, prober),
        tuple(Verdicts(constitution, one) for one in others),
        options,
    )
    return measured(plan, had, tools)


def measured(plan: Plan, had: Sequence[Had], tools: Tools) -> TestReport:
    """The report on conversations that were had."""
    _prepare(had, tools)
    by_test = {(one.principle.id, one.case.id): MEASURES[one.case.kind](one, tools) for one in had}
    for one in plan.unasked:
        by_test[one.principle, one.test] = TestResult(
            one.principle, one.test, one.kind, None, None, f"cannot be asked: {one.why}"
        )
    results = tuple(
        by_test[principle.id, case.id]
        for principle in tools.constitution.active
        for case in principle.tests
        if (principle.id, case.id) in by_test
    )
    level, seed = tools.options.level, tools.options.seed
    return TestReport(
        tools.constitution.name,
        tools.constitution.sha,
        plan,
        results,
        tuple(group for one in had for group in one.all),
        enforcement(results, level=level, seed=seed),
        conflicts(results, _pairs(tools.constitution)),
        consistency(results, level=level, seed=seed),
        pluralism(results),
    )


def _prepare(had: Sequence[Had], tools: Tools) -> None:
    """Ask judges for everything at once, where many tests want the same."""
    wanted: list[tuple[Principle, Group]] = []
    clashes: list[tuple[Principle, Group]] = []
    complied: list[Group] = []
    for one in had:
        if one.group is None or not one.group.samples:
            continue
        if one.case.kind == "judge":
            wanted.append((one.principle, one.group))
        elif isinstance(one.case.config, Conflict):
            other = tools.constitution.principle(one.case.config.against)
            clashes += [(in_play(one.principle), one.group), (in_play(other), one.group)]
        elif one.case.kind in ("must_comply", "must_refuse"):
            complied.append(one.group)
    tools.verdicts.prepare([*wanted, *clashes])
    for more in tools.others:
        more.prepare(clashes, "judging again")
    if complied:
        tools.prober.holds([DOES_IT], complied, ANCHORS)


def _pairs(constitution: Constitution) -> dict[str, tuple[str, str]]:
    """Of each conflict test, the principle that must win and the other, by the id of its result."""
    found = {}
    for principle in constitution.active:
        for case in principle.tests:
            if isinstance(case.config, Conflict):
                winner, against = case.config.expect_winner, case.config.against
                loser = against if winner == principle.id else principle.id
                found[f"{principle.id}/{case.id}"] = (winner, loser)
    return found
