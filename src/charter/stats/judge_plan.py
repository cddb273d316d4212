"""How many more answers, and how many more labels of the judge's work, decide a gate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from charter.stats.intervals import z_of
from charter.stats.judge_rate import JudgeErrors, corrected_rate, score_z
from charter.stats.power import Decision
from charter.stats.search import SEARCH_LIMIT, smallest

LABEL_COST = 10.0
"""A person's label costs about as much as this many judged answers."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What would decide a gate, if all rates stay as they are.

    Attributes:
        decision: what the data say now.
        answers: judged answers to add, labels unchanged; None when no number would do, as the doubt
            about the judge stays.
        labels: labels to add, answers unchanged, good and bad in their present shares; None likewise.
        both: the cheapest ``(answers, labels)`` to add; None when no number would do.
        why: in words, when nothing would do or nothing is known.
    """

    decision: Decision
    answers: int | None
    labels: int | None
    both: tuple[int, int] | None
    why: str = ""


def judged_gate(passed: float, n: float, errors: JudgeErrors, bound: float, level: float = 0.95) -> Decision:
    """Whether the corrected rate is at least ``bound``, as far as answers and labels can tell."""
    found = corrected_rate(passed, n, errors, level)
    if found.interval.lo >= bound:
        return "pass"
    return "fail" if found.interval.hi < bound else "undecided"


def plan_gate(
    passed: float,
    n: float,
    errors: JudgeErrors,
    bound: float,
    *,
    level: float = 0.95,
    label_cost: float = LABEL_COST,
) -> Plan:
    """What to add before :func:`judged_gate` decides.

    Args:
        passed: answers the judge passed.
        n: answers judged.
        errors: the judge on labelled answers.
        bound: the gate's.
        level: confidence level. At that of the gate half of all studies would decide, at its
            :func:`charter.stats.power.planning_level` four of five.
        label_cost: what a label costs, in judged answers.

    Raises:
        ValueError: a bound outside (0, 1) or a cost that is not positive.
    """
    if not 0.0 < bound < 1.0 or not label_cost > 0.0:
        raise ValueError(f"bound {bound!r} must lie between 0 and 1, and label_cost {label_cost!r} above 0")
    decision = judged_gate(passed, n, errors, bound, level)
    if decision != "undecided":
        return Plan(decision, 0, 0, (0, 0))
    if not (n and errors.good and errors.bad):
        return Plan(decision, None, None, None, "there are no answers, or one kind of label is missing")
    side = _side(passed / n, errors, bound)
    if side is None:
        return Plan(decision, None, None, None, "at these rates no number of answers and labels decides")

    def decided(answers: float, labels: float) -> bool:
        return _decided(passed, n, errors, bound, level, answers, labels, side)

    alone = smallest(lambda more: decided(more, 0))
    labels = smallest(lambda more: decided(0, more))
    both = _cheapest(decided, label_cost, None if labels is None else (0, labels))
    why = "" if both else f"more than {SEARCH_LIMIT:,} answers and labels would be needed"
    return Plan(decision, alone, labels, both, why)


def _side(raw: float, errors: JudgeErrors, bound: float) -> Decision | None:
    """What endless answers and labels with the present rates would decide."""
    passed, slipped = errors.good_passed / errors.good, errors.bad_passed / errors.bad
    if passed <= slipped:
        return None
    gap = (raw - slipped) - bound * (passed - slipped)
    return None if gap == 0 else "pass" if gap > 0 else "fail"


def _decided(
    passed: float,
    n: float,
    errors: JudgeErrors,
    bound: float,
    level: float,
    answers: float,
    labels: float,
    side: Decision,
) -> bool:
    """Whether :func:`judged_gate` says ``side`` with more data; its interval is the last thing looked for."""
    grown, total = _grown(errors, 1 + labels / errors.n), n + answers
    score = score_z(bound, passed / n * total, total, grown)
    if score * (1 if side == "pass" else -1) <= z_of(level):
        return False
    return judged_gate(passed / n * total, total, grown, bound, level) == side


def _grown(errors: JudgeErrors, by: float) -> JudgeErrors:
    return JudgeErrors(
        errors.good * by, errors.good_passed * by, errors.bad * by, min(errors.bad, errors.bad_passed) * by
    )


def _cheapest(
    decided: Callable[[float, float], bool], label_cost: float, best: tuple[int, int] | None
) -> tuple[int, int] | None:
    """The least ``answers + label_cost * labels``, over numbers of labels a quarter apart, and ``best``."""
    labels = 0
    while labels <= SEARCH_LIMIT:
        # Enough labels alone cost more than the best so far: nothing further can be cheaper.
        if best is not None and labels * label_cost >= best[0] + best[1] * label_cost:
            return best
        found = 0 if decided(0, labels) else smallest(lambda more, now=labels: decided(more, now))  # type: ignore[misc]
        if found is not None and (
            best is None or found + labels * label_cost < best[0] + best[1] * label_cost
        ):
            best = (found, labels)
        labels = max(labels + 1, labels * 5 // 4)
    return best
