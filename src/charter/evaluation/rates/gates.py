"""Gates: is adherence at a level above its bound, below it, or undecided?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from charter.errors import UserError
from charter.evaluation.rates.change import Rate
from charter.stats import percent
from charter.stats.judge_plan import Plan
from charter.stats.power import ODDS, Decision, more_prompts_for_gate, planning_level

EXIT_CODES: dict[Decision, int] = {"pass": 0, "fail": 1, "undecided": 6}

HowRated = Literal["exact", "corrected", "joint"]
"""How a level was rated. ``exact``: rules alone. ``corrected``: one judged principle. ``joint``: several
principles of which some are judged, corrected together."""


@dataclass(frozen=True, slots=True)
class Gate:
    """The share of prompts that pass every principle of ``level`` must be at least ``min_lower_bound``.

    Raises:
        UserError: the bound is not above 0 and below 1. A bound of 1 can never be
            shown by any number of prompts.
    """

    level: str
    min_lower_bound: float

    def __post_init__(self) -> None:
        if not 0.0 < self.min_lower_bound < 1.0:
            raise UserError(
                f"min_lower_bound is {self.min_lower_bound!r}; it must be above 0 and below 1",
                where=f"gate {self.level!r}",
                fix="use for example 0.95: no finite number of prompts shows 1",
            )


@dataclass(frozen=True, slots=True)
class GateResult:
    """What the data say about a gate.

    Attributes:
        level: the level of authority.
        min_lower_bound: the bound.
        rate: share of prompts that pass all measured principles of the level; None
            when no prompt was measured.
        n_prompts: prompts behind it.
        result: ``pass`` when the interval lies above the bound, ``fail`` when it
            lies below, else ``undecided``.
        more: further prompts that would decide at the present rate; None when no
            number would, or it is not for lack of prompts.
        why: the result in words.
        more_labels: further labels of the judge's work that would decide; None likewise.
        both: the cheapest prompts and labels together; None when no number would do.
        how: how the rate was found.
    """

    level: str
    min_lower_bound: float
    rate: Rate | None
    n_prompts: int
    result: Decision
    more: int | None
    why: str
    more_labels: int | None = None
    both: tuple[int, int] | None = None
    how: HowRated = "exact"

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return asdict(self)


def decide(
    gate: Gate,
    rate: Rate | None,
    n_prompts: int,
    unmeasured: Sequence[str],
    level: float,
    plan: Plan | None = None,
    *,
    how: HowRated = "exact",
    missing: int = 0,
    worst: Rate | None = None,
) -> GateResult:
    """Judge a gate on the aligned model's rate at its level.

    A level with principles that were not measured can fail but not pass: what
    was not looked at is not adherence. For the same reason a gate passes only if it
    also would with every missing verdict counted as a failure.

    Args:
        gate: the gate.
        rate: the rate at its level, None when nothing was measured.
        n_prompts: prompts behind the rate.
        unmeasured: ids of principles of the level that were not measured.
        level: confidence level of the rate's interval.
        plan: what would decide where a judge's errors are corrected; None = planned for by prompts.
        how: how the rate was found.
        missing: prompts with an answer that lacks a verdict.
        worst: the rate with those answers counted as failures; None when there are none.
    """

    def result(
        decision: Decision,
        why: str,
        more: int | None = 0,
        labels: int | None = None,
        both: tuple[int, int] | None = None,
    ) -> GateResult:
        return GateResult(
            gate.level, gate.min_lower_bound, rate, n_prompts, decision, more, why, labels, both, how
        )

    bound = f"{100 * gate.min_lower_bound:g}%"
    if rate is None and missing:
        why = f"No prompt of level {gate.level} has every verdict: {missing} lack one."
        return result("undecided", why, None)
    if rate is None:
        return result("undecided", f"No principle of level {gate.level} was measured.", None)
    seen = f"{percent(rate.rate)} of {n_prompts} prompts, interval {percent(rate.lo)} to {percent(rate.hi)}"
    if how != "exact":
        seen += ", corrected for the judge's errors"
    if missing:
        seen += f"; {missing} prompts with a verdict missing"
    if rate.hi < gate.min_lower_bound:
        return result("fail", f"{seen}: all of it below {bound}.")
    if unmeasured:
        return result("undecided", f"{seen}, but not measured: {', '.join(unmeasured)}.", None)
    if rate.lo >= gate.min_lower_bound and worst is not None and worst.lo < gate.min_lower_bound:
        ends = f"{percent(worst.rate)}, interval {percent(worst.lo)} to {percent(worst.hi)}"
        told = f"{seen}: all of it at or above {bound}, but not with those counted as failures ({ends})"
        return result("undecided", f"{told}: get the missing verdicts.", None)
    if rate.lo >= gate.min_lower_bound:
        return result("pass", f"{seen}: all of it at or above {bound}.")
    if plan is not None:
        told = f"{seen} straddles {bound}; {_planned(plan)}."
        return result("undecided", told, plan.answers or None, plan.labels or None, plan.both)
    # With several samples per prompt a prompt counts as one trial: the plan errs on the large side.
    passed, wanted = round(rate.rate * n_prompts), planning_level(level)
    more = more_prompts_for_gate(passed, n_prompts, gate.min_lower_bound, wanted) or None
    told = (
        f"about {more} more prompts would decide{ODDS}"
        if more
        else "the rate is too close to the bound to plan for"
    )
    return result("undecided", f"{seen} straddles {bound}; {told}.", more)


def _planned(plan: Plan) -> str:
    """What would decide, in words: prompts alone, labels alone, or both."""
    if plan.both is None or plan.decision != "undecided":
        return plan.why or "the rate is too close to the bound to plan for"
    told = []
    if plan.answers:
        told.append(f"about {plan.answers} more prompts")
    if plan.labels:
        told.append(f"about {plan.labels} more labels of the judge's work")
    prompts, labels = plan.both
    if prompts and labels:
        told.append(f"{prompts} more prompts with {labels} more labels")
    return f"{', or '.join(told)} would decide{ODDS}"


def exit_code(results: Sequence[GateResult]) -> int:
    """0 when every gate passes (or there is none), 1 when one fails, else 6."""
    decisions = {gate.result for gate in results}
    worst: Decision = "fail" if "fail" in decisions else "undecided" if "undecided" in decisions else "pass"
    return EXIT_CODES[worst]
