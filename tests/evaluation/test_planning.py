"""What a plan asks for decides in about four of five studies, before a run as after it."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from charter.evaluation.rates.planning import half_width, prompts_to_show
from charter.stats import mcnemar_exact, more_pairs_to_decide, more_prompts_for_gate, wilson
from charter.stats.judge_plan import judged_gate
from charter.stats.judge_rate import JudgeErrors
from charter.stats.power import planning_level


def power(n: int, rate: float, bound: float) -> float:
    """Chance that Wilson's interval of ``n`` answers lies at or above ``bound``, exactly."""
    least = next(k for k in range(n + 1) if wilson(k, n).lo >= bound)
    return float(binom.sf(least - 1, n, rate))


@pytest.mark.parametrize(
    ("bound", "rate"), [(0.5, 0.75), (0.8, 0.9), (0.8, 0.85), (0.9, 0.95), (0.95, 0.975), (0.98, 0.99)]
)
def test_a_gate_that_was_planned_for_is_decided_in_four_of_five_studies(bound: float, rate: float) -> None:
    n = prompts_to_show(bound, rate, None)
    assert n is not None
    # Over a few numbers, as the power of whole numbers of prompts goes up and down.
    mean = float(np.mean([power(n + more, rate, bound) for more in range(-n // 40, n // 40 + 1)]))
    assert 0.74 <= mean <= 0.88, (n, mean)


def test_answers_that_are_all_good_leave_nothing_to_chance() -> None:
    n = prompts_to_show(0.9, 1.0, None)
    assert n is not None and wilson(n, n).lo >= 0.9 > wilson(n - 1, n - 1).lo


@pytest.mark.parametrize(("labels", "bound", "rate"), [(400, 0.75, 0.9), (1000, 0.8, 0.9), (200, 0.6, 0.85)])
def test_a_judged_gate_that_was_planned_for_is_decided_as_often(
    labels: int, bound: float, rate: float
) -> None:
    """A card is made, the run is planned by it, and run: the luck of labels and of answers."""
    rng = np.random.default_rng(0)
    q1, q0, half = 0.9, 0.85, labels // 2
    decided = []
    plans: dict[tuple[int, int], int | None] = {}
    for _ in range(250):
        seen = int(rng.binomial(half, q1)), int(rng.binomial(half, 1 - q0))
        errors = JudgeErrors(half, seen[0], half, seen[1])
        if seen not in plans:
            plans[seen] = prompts_to_show(bound, rate, errors)
        n = plans[seen]
        if n is not None:
            passed = int(rng.binomial(n, rate * q1 + (1 - rate) * (1 - q0)))
            decided.append(judged_gate(passed, n, errors, bound) == "pass")
    assert len(decided) > 150
    assert 0.7 <= np.mean(decided) <= 0.9


def test_no_number_of_prompts_helps_where_the_judge_is_in_doubt() -> None:
    assert prompts_to_show(0.8, 0.82, JudgeErrors(15, 13, 15, 2)) is None
    assert prompts_to_show(0.8, 0.8, None) is None
    assert half_width(100, JudgeErrors(5, 3, 5, 2)) is None


def test_further_prompts_decide_a_gate_in_four_of_five_studies() -> None:
    rng = np.random.default_rng(1)
    decided = []
    for k, n, bound in ((52, 60, 0.8), (95, 100, 0.9), (30, 50, 0.5)):
        more = more_prompts_for_gate(k, n, bound, planning_level(0.95))
        assert more
        drawn = rng.binomial(n + more, k / n, 400)
        decided.append(float(np.mean([wilson(int(one), n + more).lo >= bound for one in drawn])))
    assert 0.74 <= np.mean(decided) <= 0.88, decided


@pytest.mark.parametrize(("up", "down", "n"), [(8, 2, 100), (14, 6, 120), (30, 18, 400), (5, 0, 60)])
def test_further_pairs_decide_a_change_in_four_of_five_studies(up: int, down: int, n: int) -> None:
    more = more_pairs_to_decide(down, up, n)
    assert more
    rng = np.random.default_rng(2)
    rates = (up / n, down / n, 1 - (up + down) / n)
    drawn = rng.multinomial(n + more, rates, 1500)
    share = float(np.mean([mcnemar_exact(int(b), int(a)) < 0.05 for a, b, _ in drawn]))
    assert 0.72 <= share <= 0.93, (more, share)
