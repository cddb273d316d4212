"""What an evaluation could show, told before it runs: how finely it measures, and what gates would take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from charter.constitution import Constitution, Principle
from charter.evaluation.judges.concern import concerns
from charter.evaluation.rates.basis import Basis, Evidence
from charter.evaluation.rates.card import Criteria
from charter.feedback.rules.constitution import prompt_of, tags_of
from charter.feedback.rules.rules import applies
from charter.stats import flips_needed, percent, wilson
from charter.stats.judge_rate import JudgeErrors, corrected_rate
from charter.stats.power import ODDS, planning_level
from charter.stats.search import smallest
from charter.types import Group

_HALF = 0.5


@dataclass(frozen=True, slots=True)
class PrinciplePlan:
    """How finely one principle can be measured.

    Attributes:
        principle: its id.
        level: its level.
        evidence: what will judge it.
        why: of that, where it will have no number or none that is claimed.
        tests: tests of its own in the constitution.
        prompts: prompts that will be judged under it; where a judge decides whether it applies, at most.
        half_width: of the interval of a rate near one half, where intervals are widest; None = no number.
        detectable: least change that could be claimed, all prompts that flip going one way; None = none
            could be, for lack of prompts.
        claimable: are there enough prompts for a claim at all?
    """

    principle: str
    level: str
    evidence: Evidence
    why: str
    tests: int
    prompts: int
    half_width: float | None
    detectable: float | None
    claimable: bool


@dataclass(frozen=True, slots=True)
class GatePlan:
    """What a gate will take.

    Attributes:
        level: of authority.
        bound: the gate's.
        prompts: prompts that will be judged at the level; where a judge decides whether they apply, at most.
        if_all_pass: prompts that show the bound if every answer is good; None = no number does.
        halfway: prompts that show it at a true rate half way between the bound and 1; None likewise.
        open: principles of the level that will not count, so that it cannot pass.
        why: in words.
    """

    level: str
    bound: float
    prompts: int
    if_all_pass: int | None
    halfway: int | None
    open: tuple[str, ...]
    why: str


@dataclass(frozen=True, slots=True)
class EvaluationPlan:
    """The whole plan.

    Attributes:
        principles: in the constitution's order.
        gates: in its order of levels.
        answers: answers that will be sampled.
        verdicts: verdicts the judge will be asked for.
    """

    principles: tuple[PrinciplePlan, ...]
    gates: tuple[GatePlan, ...]
    answers: int
    verdicts: int

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return asdict(self)


def plan_evaluation(
    constitution: Constitution,
    prompts: Sequence[Group],
    bases: Mapping[str, Basis],
    *,
    num_generations: int = 1,
    models: int = 1,
    criteria: Criteria | None = None,
) -> EvaluationPlan:
    """Plan a run without running any of it.

    Args:
        constitution: under what is measured.
        prompts: what will be asked.
        bases: what will judge each principle.
        num_generations: answers per prompt.
        models: 2 with a model before alignment.
        criteria: when a change is claimed.
    """
    rules = criteria or Criteria()
    counts = {one.id: _about(one, prompts) for one in constitution.active}
    tested = sum(bases[one.id].may_claim for one in constitution.active)
    rows = tuple(
        _principle(one, bases[one.id], counts[one.id], rules, tested, paired=models > 1)
        for one in constitution.active
    )
    each = num_generations * models
    judged = sum(one.prompts for one in rows if one.evidence in ("calibrated", "uncalibrated"))
    gates = _gates(constitution, bases, counts, prompts, rules)
    return EvaluationPlan(rows, gates, len(prompts) * each, judged * each)


def _about(principle: Principle, prompts: Sequence[Group]) -> int:
    """Prompts the principle is about, as far as its rules and its tests say."""
    mine = [one for one in prompts if concerns(principle, one)]
    if principle.rules is None:
        return len(mine)
    when = principle.rules.applies_when
    return sum(applies(when, prompt_of(one.samples[0].context), tags_of(one)) for one in mine)


def _principle(
    principle: Principle, basis: Basis, prompts: int, rules: Criteria, tested: int, *, paired: bool
) -> PrinciplePlan:
    width = detectable = None
    if basis.may_claim and prompts:
        width = half_width(prompts, basis.errors, rules.level)
        flips = flips_needed(rules.alpha / max(1, tested))
        youden = 1.0 if basis.errors is None else (basis.errors.youden(rules.level) or (0.0, None))[0]
        if paired and youden > 0:
            least = flips / prompts / youden
            detectable = least if least <= 1.0 else None
    return PrinciplePlan(
        principle.id,
        principle.level,
        basis.evidence,
        "" if basis.may_claim else basis.why,
        len(principle.tests),
        prompts,
        width,
        detectable,
        prompts >= rules.min_prompts,
    )


def half_width(n: int, errors: JudgeErrors | None, level: float = 0.95) -> float | None:
    """Half the interval of a true rate of one half on ``n`` answers; None where the judge tells nothing."""
    if errors is None:
        ends = wilson(n * _HALF, n, level)
        return (ends.hi - ends.lo) / 2
    found = corrected_rate(_passed(_HALF, n, errors), n, errors, level)
    return None if found.estimate is None else (found.interval.hi - found.interval.lo) / 2


def prompts_to_show(bound: float, rate: float, errors: JudgeErrors | None, level: float = 0.95) -> int | None:
    """Fewest prompts with which a true ``rate`` is shown to be ``bound`` or more; None = no number.

    They do so in four of five studies (:func:`charter.stats.power.planning_level`). Rules on answers that are
    all good leave nothing to chance: there they do so always.
    """
    certain = errors is None and rate == 1.0
    wanted = level if certain else planning_level(level)

    def shown(n: int) -> bool:
        if errors is None:
            return wilson(rate * n, n, wanted).lo >= bound
        return corrected_rate(_passed(rate, n, errors), n, errors, wanted).interval.lo >= bound

    return smallest(shown)


def _passed(rate: float, n: int, errors: JudgeErrors) -> float:
    """Answers a judge with these errors is expected to pass."""
    return n * (rate * errors.good_passed / errors.good + (1 - rate) * errors.bad_passed / errors.bad)


def _gates(
    constitution: Constitution,
    bases: Mapping[str, Basis],
    counts: Mapping[str, int],
    prompts: Sequence[Group],
    rules: Criteria,
) -> tuple[GatePlan, ...]:
    found = []
    for level in () if constitution.focus else constitution.levels:
        gate = constitution.gates.levels.get(level)
        mine = [one for one in constitution.active if one.level == level]
        if gate is None or gate.min_lower_bound is None or not mine:
            continue
        counted = [one for one in mine if bases[one.id].may_claim]
        open = tuple(one.id for one in mine if one not in counted)
        errors = [e for one in counted if (e := bases[one.id].errors) is not None]
        here = _at_level(counted, prompts, counts)
        bound = gate.min_lower_bound
        found.append(_gate(level, bound, here, errors, open, rules.level))
    return tuple(found)


def _at_level(principles: Sequence[Principle], prompts: Sequence[Group], counts: Mapping[str, int]) -> int:
    """Prompts that some principle of the level is about."""
    if len(principles) == 1:
        return counts[principles[0].id]
    return sum(any(_about(one, [prompt]) for one in principles) for prompt in prompts)


def _gate(
    level: str,
    bound: float,
    here: int,
    errors: Sequence[JudgeErrors],
    open: tuple[str, ...],
    confidence: float,
) -> GatePlan:
    # Several judged principles: their errors add up, so the worst judge alone is a bound from below.
    worst = min(errors, key=lambda one: (one.youden() or (0.0, None))[0], default=None)
    top = prompts_to_show(bound, 1.0, worst, confidence)
    half = prompts_to_show(bound, (1 + bound) / 2, worst, confidence)
    told = f"{here} prompts"
    if top is None:
        told += ", and no number of prompts shows it: label more of the judge's work"
    else:
        told += f"; {top} would show it if every answer is good"
        told += f", {half} at a true rate of {percent((1 + bound) / 2)}" if half else ""
        told += f",{ODDS}" if half or worst else ""
    if len(errors) > 1:
        told += f"; at least, as {len(errors)} of its principles are judged and errors add up"
    if open:
        told += f"; cannot pass while these have no number to rest on: {', '.join(open)}"
    return GatePlan(level, bound, here, top, half, open, told)
