"""Values that come in clusters: what they are worth, and that intervals made of it cover."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charter.stats import newcombe_paired, wilson
from charter.stats.clustered import by_cluster, effective_cells, effective_counts, effective_number
from charter.stats.judge_rate import JudgeErrors, corrected_rate


def planted(
    rng: np.random.Generator, prompts: int, answers: int, share: float, alike: float
) -> list[list[float]]:
    """Verdicts of which those on one prompt have an intraclass correlation of ``alike``."""
    size = 1 / alike - 1
    chances = rng.beta(share * size, (1 - share) * size, prompts)
    found: list[list[float]] = (rng.random((prompts, answers)) < chances[:, None]).astype(float).tolist()
    return found


def test_answers_that_share_prompts_are_worth_fewer() -> None:
    assert effective_counts([[1.0], [0.0], [1.0]]) == (2.0, 3.0)
    k, n = effective_counts([[1.0] * 5, [0.0] * 5] * 10)
    assert (k / n, n) == (0.5, 20.0)
    rng = np.random.default_rng(0)
    alone = [[float(x) for x in row] for row in rng.random((200, 5)) < 0.6]
    assert effective_counts(alone)[1] > 700
    assert effective_counts([[1.0, 1.0]] * 4) == (4.0, 4.0)
    assert effective_counts([]) == (0.0, 0.0)
    with pytest.raises(ValueError, match="at least one verdict"):
        effective_counts([[], [1.0]])
    with pytest.raises(ValueError, match="at least one value"):
        effective_number([[]])


def test_the_design_effect_is_recovered() -> None:
    """Kish: n / (1 + (m - 1) rho) of the n answers, m to a prompt."""
    rng = np.random.default_rng(1)
    found = [effective_number(planted(rng, 400, 4, 0.7, 0.3)) for _ in range(30)]
    assert np.mean(found) == pytest.approx(1600 / (1 + 3 * 0.3), rel=0.05)
    few = [effective_number(planted(rng, 8, 4, 0.7, 0.3)) for _ in range(300)]
    assert np.median(few) < 32 / (1 + 3 * 0.3)  # eight prompts say little of how alike answers are


@given(
    clusters=st.lists(
        st.lists(st.sampled_from([-1.0, 0.0, 1.0]), min_size=1, max_size=5), min_size=1, max_size=12
    )
)
def test_never_more_than_there_are_nor_fewer_than_clusters(clusters: list[list[float]]) -> None:
    n = effective_number(clusters)
    assert len(clusters) <= n <= sum(map(len, clusters))
    if all(len(cluster) == 1 for cluster in clusters):
        assert n == len(clusters)


@given(clusters=st.lists(st.lists(st.sampled_from([0.0, 1.0]), min_size=1, max_size=5), max_size=12))
def test_counts_are_possible(clusters: list[list[float]]) -> None:
    k, n = effective_counts(clusters)
    assert 0 <= k <= n
    wilson(k, n)
    JudgeErrors.of(clusters, clusters)


def test_cells_by_hand() -> None:
    """Two conversations: one of two rows that went up, one of a row that did not."""
    cells, n = effective_cells(
        [("a", "up"), ("a", "up"), ("b", "none")], {"up": 1.0, "none": 0.0, "down": -1}
    )
    assert n == 2.0 and cells == {"up": 1.0, "none": 1.0, "down": 0.0}
    alone, many = effective_cells([(i, i % 3 == 0) for i in range(30)], {True: 1.0, False: 0.0})
    assert (alone[True], alone[False], many) == (10.0, 20.0, 30.0)


def test_values_by_cluster() -> None:
    assert by_cluster([("a", 1.0), ("b", 0.0), ("a", 0.5)]) == [[1.0, 0.5], [0.0]]


@pytest.mark.parametrize(("prompts", "answers", "alike"), [(15, 4, 0.7), (40, 3, 0.4)])
def test_intervals_of_clustered_labels_cover(prompts: int, answers: int, alike: float) -> None:
    """Counted as independent, labels of a few prompts give intervals that are far too narrow."""
    rng = np.random.default_rng(2)
    q1, q0, rate, n = 0.85, 0.8, 0.7, 400
    held = dict.fromkeys(("sensitivity", "alone", "rate", "rate_alone"), 0)
    runs = 400
    for _ in range(runs):
        good, bad = (planted(rng, prompts, answers, share, alike) for share in (q1, 1 - q0))
        errors, size = JudgeErrors.of(good, bad), prompts * answers
        alone = JudgeErrors(size, sum(map(sum, good)), size, sum(map(sum, bad)))
        assert errors.labels == alone.labels == 2 * size and errors.n <= alone.n
        passed = int(rng.binomial(n, rate * q1 + (1 - rate) * (1 - q0)))
        for one, names in ((errors, ("sensitivity", "rate")), (alone, ("alone", "rate_alone"))):
            ends = one.sensitivity_interval()
            held[names[0]] += ends.lo <= q1 <= ends.hi
            found = corrected_rate(passed, n, one).interval
            held[names[1]] += found.lo <= rate <= found.hi
    # Of 15 prompts the spread is itself a guess: 93% there, 95% with 40.
    assert held["sensitivity"] >= 0.905 * runs and held["rate"] >= 0.92 * runs
    assert held["alone"] <= 0.87 * runs and held["rate_alone"] <= 0.91 * runs


def test_intervals_of_clustered_changes_cover() -> None:
    """Pairs of one comparison flip together: 25 comparisons of four pairs, a pull of 20 points."""
    rng = np.random.default_rng(3)
    value = {"first": 1.0, "second": -1.0, "": 0.0}
    held = alone = 0
    for _ in range(300):
        drawn = rng.choice(["first", "second", ""], p=[0.25, 0.05, 0.7], size=25).repeat(4).tolist()
        rows = [(at // 4, kind) for at, kind in enumerate(drawn)]
        cells, n = effective_cells(rows, value)
        assert n == pytest.approx(25, abs=1)
        ends = newcombe_paired(0, cells["second"], cells["first"], cells[""])
        raw = newcombe_paired(0, drawn.count("second"), drawn.count("first"), drawn.count(""))
        held += ends.lo <= 0.2 <= ends.hi
        alone += raw.lo <= 0.2 <= raw.hi
    assert held >= 276 and alone < 240
