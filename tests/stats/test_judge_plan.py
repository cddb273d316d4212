from __future__ import annotations

import pytest

from charter.stats.judge_plan import judged_gate, plan_gate
from charter.stats.judge_rate import JudgeErrors

SMALL = JudgeErrors(15, 14, 15, 2)


def grown(errors: JudgeErrors, by: float) -> JudgeErrors:
    return JudgeErrors(errors.good * by, errors.good_passed * by, errors.bad * by, errors.bad_passed * by)


def test_a_gate_that_is_decided_needs_nothing() -> None:
    assert plan_gate(190, 200, SMALL, 0.5).decision == "pass"
    plan = plan_gate(60, 200, SMALL, 0.8)
    assert (plan.decision, plan.answers, plan.labels, plan.both) == ("fail", 0, 0, (0, 0))


def test_what_the_plan_names_decides_and_one_less_does_not() -> None:
    passed, n, bound = 700, 1000, 0.6
    plan = plan_gate(passed, n, SMALL, bound)
    assert plan.decision == "undecided" and plan.both is not None and plan.labels
    more = plan.labels
    assert judged_gate(passed, n, grown(SMALL, 1 + more / SMALL.n), bound) == "pass"
    assert judged_gate(passed, n, grown(SMALL, 1 + (more - 1) / SMALL.n), bound) == "undecided"
    answers, labels = plan.both
    total = n + answers
    assert judged_gate(passed / n * total, total, grown(SMALL, 1 + labels / SMALL.n), bound) == "pass"
    assert answers + 10 * labels <= 10 * plan.labels


def test_answers_alone_do_not_help_where_the_doubt_is_about_the_judge() -> None:
    plan = plan_gate(7_000, 10_000, SMALL, 0.6)
    assert plan.answers is None and plan.labels


def test_labels_alone_do_not_help_where_the_doubt_is_about_the_model() -> None:
    plan = plan_gate(20, 25, grown(SMALL, 1000), 0.7)
    assert plan.labels is None and plan.answers


def test_a_rate_on_its_bound_is_never_decided() -> None:
    plan = plan_gate(70, 100, JudgeErrors(100, 90, 100, 10), 0.75)
    assert plan.decision == "undecided" and plan.both is None and plan.why


def test_a_judge_that_says_nothing_cannot_be_planned_with() -> None:
    assert "no number" in plan_gate(80, 100, JudgeErrors(20, 10, 20, 10), 0.6).why
    assert "missing" in plan_gate(0, 0, SMALL, 0.6).why
    with pytest.raises(ValueError, match="bound"):
        plan_gate(1, 2, SMALL, 1.0)
