from __future__ import annotations

import random
from collections import Counter
from collections.abc import Hashable, Sequence
from itertools import combinations
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charter.stats.best_of_n import best_of_n
from charter.stats.pass_at_k import maj_at_k, mean_maj_at_k, mean_pass_at_k, pass_at_k


def share_won(votes: Sequence[str | None], right: set[str]) -> float:
    """The chance that the most frequent answer is right, by counting."""
    counts = Counter(vote for vote in votes if vote is not None)
    if not counts:
        return 0.0
    first = [answer for answer, count in counts.items() if count == max(counts.values())]
    return fmean(answer in right for answer in first)


@pytest.mark.parametrize("n", range(1, 8))
def test_pass_at_k_is_the_mean_over_all_subsets(n: int) -> None:
    for correct in range(n + 1):
        marks = [1] * correct + [0] * (n - correct)
        for k in range(1, n + 1):
            expected = fmean(any(chosen) for chosen in combinations(marks, k))
            assert pass_at_k(n, correct, k) == pytest.approx(expected)
            assert pass_at_k(n, correct, k) == pytest.approx(best_of_n(marks, k))


def test_pass_at_k_of_the_paper() -> None:
    """The estimator of 2107.03374, figure 3: 1 - prod(1 - k / arange(n - c + 1, n + 1))."""
    n, correct, k = 200, 13, 100
    product = 1.0
    for i in range(n - correct + 1, n + 1):
        product *= 1 - k / i
    assert pass_at_k(n, correct, k) == pytest.approx(1 - product, rel=1e-12)
    assert pass_at_k(2000, 1, 1000) == pytest.approx(0.5)  # no overflow


@given(st.lists(st.sampled_from(["a", "b", "c", "d", None]), min_size=1, max_size=9), st.data())
def test_maj_at_k_is_the_mean_over_all_subsets(answers: list[str | None], data: st.DataObject) -> None:
    right = data.draw(st.sets(st.sampled_from("abcd")))
    k = data.draw(st.integers(1, len(answers)))
    expected = fmean(share_won(chosen, right) for chosen in combinations(answers, k))
    assert maj_at_k(answers, lambda answer: answer in right, k) == pytest.approx(expected)


def test_maj_at_k_of_many_answers_agrees_with_resampling() -> None:
    rng = random.Random(0)
    answers: list[str | None] = [rng.choice(["1", "2", "2", "3", None, str(i)]) for i in range(40)]
    drawn = fmean(share_won(rng.sample(answers, 15), {"2"}) for _ in range(20_000))
    assert maj_at_k(answers, lambda answer: answer == "2", 15) == pytest.approx(drawn, abs=0.012)


def test_large_numbers_do_not_overflow() -> None:
    assert maj_at_k(["a"] * 700 + ["b"] * 700, lambda answer: answer == "a", 1399) == pytest.approx(0.5)


def test_ties_share_and_silence_is_no_vote() -> None:
    asked: list[Hashable] = []

    def right(answer: Hashable) -> bool:
        asked.append(answer)
        return answer == "7"

    assert maj_at_k(["7", "8"], right, 2) == 0.5
    assert maj_at_k(["7", "8", "8", "7", "9"], right, 5) == 0.5
    assert maj_at_k(["7", None, None, None], right, 4) == 1.0  # one vote is the majority of one
    assert maj_at_k([None, None], right, 2) == 0.0
    assert maj_at_k(["7", "8", None], right, 1) == pytest.approx(1 / 3)
    assert None not in asked and len(asked) == 2 + 3 + 1 + 2


def test_maj_at_1_is_pass_at_1() -> None:
    answers = ["a", "b", "b", None, "c", "a"]
    assert maj_at_k(answers, lambda a: a == "b", 1) == pytest.approx(pass_at_k(6, 2, 1))


def test_intervals_resample_prompts() -> None:
    counts = [(8, right) for right in (0, 0, 1, 2, 3, 5, 8, 8, 8, 0, 1, 4)] + [(2, 2)]
    found = mean_pass_at_k(counts, 4, seed=3)
    assert found == mean_pass_at_k(counts, 4, seed=3)
    assert (found.k, found.prompts, found.left_out) == (4, 12, 1)
    assert found.value == pytest.approx(fmean(pass_at_k(n, c, 4) for n, c in counts[:-1]))
    assert 0 < found.interval.lo < found.value < found.interval.hi < 1
    wider = mean_pass_at_k(counts, 4, level=0.99, seed=3)
    assert wider.interval.lo < found.interval.lo and wider.interval.hi > found.interval.hi


def test_prompts_that_are_all_alike_still_have_an_interval() -> None:
    none = mean_pass_at_k([(4, 0)] * 20, 2)
    assert none.value == 0.0 and none.interval.lo == 0.0 and 0.1 < none.interval.hi < 0.2
    every = mean_maj_at_k([(["x"] * 3, lambda a: a == "x")] * 20, 3)
    assert every.value == 1.0 and every.interval.hi == 1.0 and 0.8 < every.interval.lo < 0.9


def test_the_interval_covers_as_often_as_it_says() -> None:
    rng = random.Random(1)
    covered = 0
    for trial in range(150):
        chances = [rng.choice((0.05, 0.3, 0.9)) for _ in range(40)]
        counts = [(6, sum(rng.random() < p for _ in range(6))) for p in chances]
        truth = fmean(1 - (1 - p) ** 2 for p in (0.05, 0.3, 0.9))
        interval = mean_pass_at_k(counts, 2, resamples=500, seed=trial).interval
        covered += interval.lo <= truth <= interval.hi
    assert covered >= 132  # 88% of 150, where 95% is aimed at


def test_mean_maj_at_k() -> None:
    prompts = [
        (["a", "a", "b"], lambda a: a == "a"),
        (["a", "b", "b"], lambda a: a == "a"),
        (["a"], lambda a: True),
    ]
    found = mean_maj_at_k(prompts, 3)
    assert (found.value, found.prompts, found.left_out) == (0.5, 2, 1)


def test_what_cannot_be_estimated() -> None:
    with pytest.raises(ValueError, match="3 answers cannot be drawn from 2"):
        pass_at_k(2, 1, 3)
    with pytest.raises(ValueError, match="0 answers"):
        maj_at_k(["a"], lambda a: True, 0)
    with pytest.raises(ValueError, match="5 right answers of 4"):
        pass_at_k(4, 5, 2)
    with pytest.raises(ValueError, match="no prompt has 9 answers"):
        mean_pass_at_k([(8, 1)], 9)
