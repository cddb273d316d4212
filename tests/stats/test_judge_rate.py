from __future__ import annotations

import math
from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charter.stats import wilson
from charter.stats.judge_rate import JudgeErrors, corrected_rate, score_z

PERFECT = JudgeErrors(10**9, 10**9, 10**9, 0)


def test_the_estimate_solves_rogan_and_gladen() -> None:
    found = corrected_rate(150, 200, JudgeErrors(60, 54, 60, 12))
    assert found.raw == 0.75 and found.status == "identified"
    assert found.estimate == pytest.approx((0.75 - 0.2) / (0.9 - 0.2))
    assert found.interval.lo < found.estimate < found.interval.hi


@given(k=st.integers(0, 60), more=st.integers(0, 60), level=st.sampled_from([0.8, 0.95, 0.99]))
def test_a_faultless_judge_with_endless_labels_gives_wilson(k: int, more: int, level: float) -> None:
    if k + more == 0:
        return
    found = corrected_rate(k, k + more, PERFECT, level)
    assert found.interval == pytest.approx(wilson(k, k + more, level), abs=1e-5)


def test_the_score_is_that_of_the_fitted_rates() -> None:
    """Against a fit by brute force: the multinomial likelihood under the equation, on a grid."""
    passed, n, errors, theta = 130, 200, JudgeErrors(40, 34, 30, 9), 0.8
    q, f = np.meshgrid(np.linspace(0.5, 0.999, 800), np.linspace(0.001, 0.6, 800), indexing="ij")
    p = theta * q + (1 - theta) * f
    likely = (
        passed * np.log(p) + (n - passed) * np.log1p(-p)
        + errors.good_passed * np.log(q) + (errors.good - errors.good_passed) * np.log1p(-q)
        + errors.bad_passed * np.log(f) + (errors.bad - errors.bad_passed) * np.log1p(-f)
    )  # fmt: skip
    best = np.unravel_index(likely.argmax(), likely.shape)
    fp, fq, ff = p[best], q[best], f[best]
    misfit = (
        passed / n - theta * errors.good_passed / errors.good - (1 - theta) * errors.bad_passed / errors.bad
    )
    variance = (
        fp * (1 - fp) / n
        + theta**2 * fq * (1 - fq) / errors.good
        + (1 - theta) ** 2 * ff * (1 - ff) / errors.bad
    )
    assert score_z(theta, passed, n, errors) == pytest.approx(misfit / math.sqrt(variance), abs=0.01)


@given(
    k=st.integers(0, 50),
    good=st.integers(1, 20),
    right=st.integers(0, 20),
    bad=st.integers(1, 20),
    slipped=st.integers(0, 20),
)
def test_every_rate_that_is_not_rejected_is_inside(
    k: int, good: int, right: int, bad: int, slipped: int
) -> None:
    errors = JudgeErrors(good, min(right, good), bad, min(slipped, bad))
    found = corrected_rate(k, 50, errors)
    if found.status == "identified":
        for theta in (i / 20 for i in range(21)):
            if abs(score_z(theta, k, 50, errors)) < 1.95:
                assert found.interval.lo <= theta + 1e-6 and theta - 1e-6 <= found.interval.hi
        assert found.estimate is not None
        assert 0 <= found.interval.lo <= found.estimate <= found.interval.hi <= 1
        inside = wilson(found.estimate * 50, 50)
        assert found.interval.lo <= inside.lo + 1e-9 and found.interval.hi >= inside.hi - 1e-9
    else:
        assert found.estimate is None and found.interval == (0.0, 1.0) and found.why


def test_the_score_falls_as_the_rate_rises() -> None:
    errors = JudgeErrors(12, 10, 9, 2)
    scores = [score_z(theta / 50, 30, 50, errors) for theta in range(51)]
    assert all(a > b for a, b in pairwise(scores))


@given(k=st.integers(0, 60), right=st.integers(25, 30), slipped=st.integers(0, 8))
def test_turning_pass_and_fail_round_turns_the_answer_round(k: int, right: int, slipped: int) -> None:
    usual = corrected_rate(k, 60, JudgeErrors(30, right, 30, slipped))
    turned = corrected_rate(60 - k, 60, JudgeErrors(30, 30 - slipped, 30, 30 - right))
    assert usual.status == turned.status
    assert (usual.interval.lo, usual.interval.hi) == pytest.approx(
        (1 - turned.interval.hi, 1 - turned.interval.lo), abs=1e-5
    )


GRID = list(product((0.1, 0.5, 0.9), (0.7, 0.9), (0.7, 0.9), (100, 400), (30, 100)))


def test_nominal_95_percent_intervals_cover_93_to_97_percent() -> None:
    """48 cells of 400 studies. Of one cell the simulation's own error is a point; of all, under 0.2."""
    covered = [_coverage(seed, *cell) for seed, cell in enumerate(GRID)]
    assert 0.94 <= sum(covered) / len(covered) <= 0.965
    assert min(covered) > 0.915
    few = [c for c, cell in zip(covered, GRID, strict=True) if cell[-1] == 30]
    many = [c for c, cell in zip(covered, GRID, strict=True) if cell[-1] == 100]
    assert 0.94 <= sum(few) / len(few) <= 0.97 and 0.94 <= sum(many) / len(many) <= 0.96
    assert max(many) < 0.985


def _coverage(seed: int, rate: float, q1: float, q0: float, n: int, labels: int, runs: int = 400) -> float:
    """By the score itself, as its interval holds what it does not reject; rounding and floors aside."""
    rng = np.random.default_rng(seed)
    half = labels // 2
    chance = rate * q1 + (1 - rate) * (1 - q0)
    held, seen = 0, {}
    for _ in range(runs):
        drawn = rng.binomial(n, chance), rng.binomial(half, q1), rng.binomial(half, 1 - q0)
        if drawn not in seen:
            errors = JudgeErrors(half, int(drawn[1]), half, int(drawn[2]))
            seen[drawn] = abs(score_z(rate, int(drawn[0]), n, errors)) <= 1.959964
        held += seen[drawn]
    return held / runs


def test_the_interval_holds_what_the_score_does_not_reject() -> None:
    rng = np.random.default_rng(5)
    agree = 0
    for _ in range(60):
        errors = JudgeErrors(30, int(rng.binomial(30, 0.9)), 30, int(rng.binomial(30, 0.2)))
        passed = int(rng.binomial(100, 0.69))
        found = corrected_rate(passed, 100, errors)
        inside = found.interval.lo <= 0.7 <= found.interval.hi
        agree += inside == (abs(score_z(0.7, passed, 100, errors)) <= 1.959964)
    assert agree == 60


def test_raw_intervals_do_not_cover_at_all() -> None:
    """What the correction is for: true rate 0.95, judge 0.9 and 0.8, 200 answers, 120 labels."""
    rng = np.random.default_rng(0)
    raw = fixed = 0
    for _ in range(200):
        passed = int(rng.binomial(200, 0.95 * 0.9 + 0.05 * 0.2))
        errors = JudgeErrors(60, int(rng.binomial(60, 0.9)), 60, int(rng.binomial(60, 0.2)))
        found = corrected_rate(passed, 200, errors)
        raw += found.raw_interval.lo <= 0.95 <= found.raw_interval.hi
        fixed += found.interval.lo <= 0.95 <= found.interval.hi
    assert raw < 20 and fixed > 184


def test_a_judge_no_better_than_chance_identifies_nothing() -> None:
    found = corrected_rate(90, 100, JudgeErrors(20, 12, 20, 9))
    assert found.status == "not_identified" and "chance" in found.why
    backwards = corrected_rate(90, 100, JudgeErrors(20, 2, 20, 19))
    assert backwards.status == "not_identified"


def test_labels_that_do_not_fit_the_answers_are_disbelieved() -> None:
    found = corrected_rate(198, 200, JudgeErrors(100, 70, 100, 10))
    assert found.status == "contradicted" and "label some of them" in found.why
    assert corrected_rate(1, 200, JudgeErrors(100, 90, 100, 30)).status == "contradicted"


def test_where_the_test_leaves_next_to_nothing_the_interval_is_wilsons() -> None:
    found = corrected_rate(50, 50, JudgeErrors(15, 14, 15, 3))
    assert found.estimate == 1.0
    assert found.interval == pytest.approx(wilson(50, 50))


def test_nothing_judged_or_no_label_is_said_so() -> None:
    assert corrected_rate(0, 0, PERFECT).status == "no_data"
    assert "good labels" in corrected_rate(1, 2, JudgeErrors(0, 0, 5, 1)).why
    assert "bad labels" in corrected_rate(1, 2, JudgeErrors(5, 4, 0, 0)).why


def test_judge_errors() -> None:
    errors = JudgeErrors(30, 27, 20, 3)
    assert errors.sensitivity == 0.9 and errors.specificity == pytest.approx(0.85) and errors.n == 50
    assert errors.specificity_interval() == wilson(17, 20)
    youden = errors.youden()
    assert youden is not None and youden[0] == pytest.approx(0.75) and youden[1].lo > 0.4
    nothing = JudgeErrors(0, 0, 0, 0)
    assert nothing.sensitivity is None and nothing.specificity is None and nothing.youden() is None
    with pytest.raises(ValueError, match="impossible"):
        JudgeErrors(3, 4, 1, 0)
    with pytest.raises(ValueError, match="of 4 answers"):
        corrected_rate(5, 4, errors)
