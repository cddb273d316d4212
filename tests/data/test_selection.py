"""Choosing among a prompt's samples: invariances, ties, missing rewards, too few samples."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charter.data.selection.best import best_of_n, top_k
from charter.data.selection.in_context import icdpo_scores
from charter.data.selection.known import first_of_equals, known, only
from charter.data.selection.missing_eos import with_missing_eos_penalty
from charter.data.selection.pairs import Pairs, best_worst, rs_dpo_pairs
from charter.data.selection.ranked_pairs import ranked_pairs, sample_rank
from charter.data.selection.rest import rest_em_keep, rest_keep
from charter.data.selection.revision import compare_revision, edit_distance
from charter.data.selection.rso import rso_accept, rso_acceptance, rso_pairs
from charter.data.selection.systems import cpo_pair
from charter.data.selection.win_rates import win_rates, win_rates_of_rewards
from charter.errors import DataError

NAN = math.nan
# Multiples of 1/4: shifts and differences of these are exact, so ties stay ties.
REWARDS = st.lists(st.one_of(st.just(NAN), st.integers(-20, 20).map(lambda x: x / 4)), max_size=12)
SHIFT = st.integers(-1000, 1000).map(float)

CHOICES: dict[str, Callable[[list[float]], object]] = {
    "best_of_n": best_of_n,
    "top_k": lambda r: top_k(r, 3),
    "best_worst": best_worst,
    "rs_dpo": lambda r: rs_dpo_pairs(r, tau=0.5, eta=0.7),
    "sample_rank": lambda r: sample_rank(r, 3),
    "rso_accept": lambda r: rso_accept(r, 4, beta=0.5, seed=1),
    "rso_pairs": lambda r: rso_pairs(r, count=4, ranking="tournament", seed=1),
    "cpo_pair": lambda r: cpo_pair(r, [f"s{i % 3}" for i in range(len(r))]),
}
PAIRS = ("best_worst", "rs_dpo", "sample_rank", "rso_pairs", "cpo_pair")
each = pytest.mark.parametrize("name", CHOICES)
each_pairs = pytest.mark.parametrize("name", PAIRS)


def pairs_of(name: str, rewards: list[float]) -> Pairs:
    found = CHOICES[name](rewards)
    assert isinstance(found, Pairs)
    return found


def normal(count: int) -> list[float]:
    chance = random.Random(0)
    return [chance.gauss(0, 1) for _ in range(count)]


# -- what holds for every choice ------------------------------------------------


@each
@given(rewards=REWARDS, shift=SHIFT)
def test_a_shift_of_all_rewards_changes_no_choice(name: str, rewards: list[float], shift: float) -> None:
    assert CHOICES[name]([r + shift for r in rewards]) == CHOICES[name](rewards)


@each
@given(rewards=REWARDS)
def test_a_missing_reward_is_never_chosen_and_the_rest_is_deterministic(
    name: str, rewards: list[float]
) -> None:
    found = CHOICES[name](rewards)
    assert CHOICES[name](list(rewards)) == found
    if isinstance(found, Pairs):
        assert found.missing == sum(map(math.isnan, rewards))
        chosen = [index for pair in found.pairs for index in pair]
    elif isinstance(found, list):
        chosen = found
    else:
        assert found is None or isinstance(found, int)
        chosen = [] if found is None else [found]
    assert all(not math.isnan(rewards[index]) for index in chosen)


@each_pairs
@given(rewards=REWARDS)
def test_the_better_of_every_pair_has_the_higher_reward(name: str, rewards: list[float]) -> None:
    found = pairs_of(name, rewards)
    assert all(rewards[better] > rewards[worse] for better, worse in found.pairs)
    assert len(set(found.pairs)) == len(found.pairs)


@each_pairs
def test_equal_rewards_give_no_pair_and_are_counted(name: str) -> None:
    found = pairs_of(name, [0.5] * 4)
    assert found.pairs == ()
    assert found.left_out > 0


@each
def test_an_infinite_reward_is_refused_by_number(name: str) -> None:
    with pytest.raises(DataError, match="sample 2 is inf"):
        CHOICES[name]([0.0, math.inf, 1.0])


@each
@pytest.mark.parametrize("rewards", [[], [NAN], [NAN, NAN]], ids=str)
def test_nothing_to_choose_from(name: str, rewards: list[float]) -> None:
    found = CHOICES[name](rewards)
    assert found in (None, [], Pairs((), missing=len(rewards)))


@each_pairs
def test_one_rewarded_sample_makes_no_pair(name: str) -> None:
    assert pairs_of(name, [NAN, 2.0, NAN]) == Pairs((), missing=2)


# -- the best ones ---------------------------------------------------------------


def test_the_first_of_equals_is_best() -> None:
    rewards = [0.1, NAN, 0.7, 0.2, 0.7]
    assert best_of_n(rewards) == 2
    assert top_k(rewards, 3) == [2, 4, 3]
    assert top_k(rewards, 99) == [2, 4, 3, 0]
    with pytest.raises(ValueError, match="at least 1"):
        top_k(rewards, 0)


def test_best_and_worst_take_the_first_of_equals() -> None:
    assert best_worst([0.5, 1.0, 0.0, 1.0, 0.0]) == Pairs(((1, 2),))
    assert best_worst([0.3, 0.3]) == Pairs((), left_out=1)
    assert best_worst([0.3, NAN, 0.2]) == Pairs(((0, 2),), missing=1)


def test_a_completion_that_was_cut_can_be_kept_out_or_made_to_pay() -> None:
    rewards, ended = [0.9, 0.4, NAN], [False, True, True]
    assert best_of_n(only(rewards, ended)) == 1
    assert known(only(rewards, ended)) == [1]
    paid = with_missing_eos_penalty(rewards, ended, 0.25)
    assert paid[:2] == [0.65, 0.4]
    assert math.isnan(paid[2])
    assert best_of_n(paid) == 0
    with pytest.raises(ValueError, match="zip"):
        only(rewards, [True])


# -- ReST ------------------------------------------------------------------------


def test_rest_keeps_what_reaches_each_threshold() -> None:
    rewards = [0.2, NAN, 0.55, 0.5]
    assert rest_keep(rewards, [0.5, 0.55, 0.9]) == [[2, 3], [2], []]


@given(REWARDS)
def test_what_rest_keeps_shrinks(rewards: list[float]) -> None:
    low, high = rest_keep(rewards, [0.0, 1.0])
    assert set(high) <= set(low)


@pytest.mark.parametrize("thresholds", [[], [0.5, 0.5], [0.9, 0.1]], ids=str)
def test_thresholds_that_do_not_rise(thresholds: list[float]) -> None:
    with pytest.raises(ValueError, match="must rise"):
        rest_keep([1.0], thresholds)


def test_rest_em_keeps_distinct_right_answers_up_to_its_cap() -> None:
    rewards = [0.0, 1.0, 1.0, NAN, 1.0, 1.0, 0.0]
    answers = [(1,), (2,), (2,), (3,), (1,), (4,), (5,)]
    # Sample 4 repeats sample 0, which was judged wrong: a repetition of a right answer only is dropped.
    assert rest_em_keep(rewards, answers) == [1, 4, 5]
    assert rest_em_keep(rewards, answers, most=2) == [1, 4]
    assert rest_em_keep([1.0] * 30, list(range(30))) == list(range(10))
    assert rest_em_keep([0.9, 0.4], ["a", "b"], threshold=0.9) == [0]
    with pytest.raises(ValueError, match="at least 1"):
        rest_em_keep(rewards, answers, most=0)
    with pytest.raises(ValueError, match="2 answers but 1 rewards"):
        rest_em_keep([1.0], ["a", "b"])


def test_first_of_equals() -> None:
    assert first_of_equals([(1, 2), (3,), (1, 2), (), ()]) == [True, True, False, True, False]


# -- RSO -------------------------------------------------------------------------


def test_acceptance_of_missing_rewards_and_of_extreme_temperatures() -> None:
    assert rso_acceptance([NAN, 1.0, 0.0], 1.0) == [0.0, 1.0, math.exp(-1)]
    assert rso_acceptance([0.0, 1.0, -1e9], math.inf) == [1.0, 1.0, 1.0]
    assert rso_acceptance([0.0, 1.0, -1e300], 1e-300) == [0.0, 1.0, 0.0]
    assert rso_acceptance([], 1.0) == []
    for beta in (0.0, -1.0, NAN):
        with pytest.raises(ValueError, match="beta"):
            rso_acceptance([1.0], beta)


def test_a_small_beta_takes_the_best_in_order_and_an_infinite_one_takes_anyone() -> None:
    rewards = [0.3, 2.0, -1.0, 0.9, 2.0]
    assert rso_accept(rewards, 4, beta=1e-9, seed=0) == top_k(rewards, 4)
    assert rso_accept(rewards, 3, beta=math.inf, seed=0) == [0, 1, 2]


def test_it_ends_when_candidates_run_out_and_accepts_nobody_twice() -> None:
    rewards = [0.0, 0.0, -50.0, NAN, -1000.0]
    accepted = rso_accept(rewards, 64, beta=0.01, seed=5)
    assert sorted(accepted) == [0, 1, 2, 4]
    with pytest.raises(ValueError, match="at least 1"):
        rso_accept(rewards, 0, beta=1.0, seed=0)


def test_seeds_decide() -> None:
    rewards = normal(64)
    runs = [tuple(rso_accept(rewards, 8, beta=0.5, seed=seed)) for seed in (1, 1, 2, "a")]
    assert runs[0] == runs[1]
    assert len(set(runs)) == 3


def test_accepted_candidates_follow_the_optimal_policy() -> None:
    """With many candidates of two kinds, kinds are accepted in the ratio of ``exp(r / beta)``."""
    beta, counts = 0.5, Counter[float]()
    for seed in range(400):
        rewards = [float(random.Random(f"{seed}:{i}").random() < 0.5) for i in range(200)]
        counts.update(rewards[i] for i in rso_accept(rewards, 5, beta=beta, seed=seed))
    share = math.exp(1 / beta) / (1 + math.exp(1 / beta))
    assert counts[1.0] / 2000 == pytest.approx(share, abs=4 * math.sqrt(share * (1 - share) / 2000))


def test_the_second_one_accepted_has_its_exact_chance() -> None:
    """Index 0 is certain; then whoever the first round takes, else the best of those left."""
    rewards = [1.0, 0.5, 0.2, -0.3]
    _, a, b, c = rso_acceptance(rewards, 0.5)
    chances = [a + (1 - a) * (1 - b) * (1 - c), (1 - a) * b, (1 - a) * (1 - b) * c]
    assert sum(chances) == pytest.approx(1.0)
    second = Counter(rso_accept(rewards, 2, beta=0.5, seed=seed)[1] for seed in range(4000))
    for index, likely in enumerate(chances, start=1):
        spread = math.sqrt(likely * (1 - likely) / 4000)
        assert second[index] / 4000 == pytest.approx(likely, abs=4 * spread)


# -- random pairs ----------------------------------------------------------------


@pytest.mark.parametrize(("ranking", "count"), [("first_round", 4), ("tournament", 7)])
def test_eight_players_make_four_or_seven_pairs(ranking: str, count: int) -> None:
    rewards = [float(i) for i in range(8)]
    found = ranked_pairs(rewards, range(8), ranking, random.Random(0))  # type: ignore[arg-type]
    assert len(found.pairs) == count
    met = Counter(index for pair in found.pairs for index in pair)
    if ranking == "first_round":
        assert set(met.values()) == {1} and len(met) == 8
    else:
        assert Counter(worse for _, worse in found.pairs) == Counter(range(7))  # each loses once but the best
        assert sum(better == 7 for better, _ in found.pairs) == 3


@given(st.integers(0, 13), st.integers(0, 100))
def test_a_tournament_of_any_size_ends_with_the_best(players: int, seed: int) -> None:
    rewards = [float(i) for i in range(players)]
    found = sample_rank(rewards, seed)
    assert len(found.pairs) == max(players - 1, 0)
    if players > 1:
        assert found.pairs[-1][0] == players - 1


def test_pairs_are_drawn_by_the_seed() -> None:
    rewards = [float(i) for i in range(8)]
    assert len({sample_rank(rewards, seed).pairs for seed in range(20)}) > 10
    assert rso_pairs(rewards, seed=1) == rso_pairs(rewards, seed=1)
    with pytest.raises(ValueError, match="ranking must be one of"):
        ranked_pairs(rewards, [0, 1], "all", random.Random(0))  # type: ignore[arg-type]


def test_a_tie_is_counted_and_the_tournament_goes_on() -> None:
    found = sample_rank([1.0, 1.0, 1.0, 0.0], 0)
    assert len(found.pairs) + found.left_out == 3
    assert found.left_out == 2 and len(found.pairs) == 1


# -- thresholds, systems, win rates -------------------------------------------------


def test_rs_dpo_takes_pairs_beyond_the_threshold_and_counts_the_others() -> None:
    found = rs_dpo_pairs([1.0, NAN, 0.0, 5.0], tau=1.0, eta=0.85)
    assert found == Pairs(((3, 0), (3, 2)), left_out=1, missing=1)
    assert rs_dpo_pairs([1e6, 0.0], eta=1 - 1e-16).pairs == ((0, 1),)  # the sigmoid alone would round to 1
    assert rs_dpo_pairs([0.0, 1.0], eta=0.5).pairs == ((1, 0),)
    for wrong in ({"tau": 0.0}, {"eta": 0.4}, {"eta": 1.0}):
        with pytest.raises(ValueError, match="must be"):
            rs_dpo_pairs([0.0, 1.0], **wrong)


def test_rs_dpo_is_the_sigmoid_of_the_definition() -> None:
    rewards = normal(16)
    want = {
        (i, j)
        for i in range(16)
        for j in range(16)
        if 1 / (1 + math.exp(-(rewards[i] - rewards[j]) / 0.7)) > 0.8
    }
    assert set(rs_dpo_pairs(rewards, tau=0.7, eta=0.8).pairs) == want and 0 < len(want) < 120


def test_systems_are_contrasted_and_the_middle_left_out() -> None:
    systems = ["human", "strong", "policy"]
    assert cpo_pair([0.7, 0.9, 0.8], systems) == Pairs(((1, 0),))
    assert cpo_pair([0.7, NAN, 0.8], systems) == Pairs(((2, 0),), missing=1)
    assert cpo_pair([0.9, 0.1, 0.5], ["a", "a", "b"]) == Pairs(((0, 2),))  # never a system against itself
    assert cpo_pair([0.9, 0.1], ["a", "a"]) == Pairs(())
    with pytest.raises(ValueError, match="1 systems"):
        cpo_pair([0.9, 0.1], ["a"])


def test_win_rates_are_means_over_all_samples_with_oneself_at_one_half() -> None:
    p = [[0.5, 0.8, 0.9], [0.2, 0.5, 0.6], [0.1, 0.4, 0.5]]
    assert win_rates(p) == pytest.approx([2.2 / 3, 1.3 / 3, 1.0 / 3])
    assert sum(win_rates(p)) == pytest.approx(1.5)  # half of K
    upper = [[NAN, 0.8, 0.9], [NAN, NAN, 0.6], [NAN, NAN, NAN]]
    assert win_rates(upper) == pytest.approx(win_rates(p))
    # Both orders of a pair count: a judge that always prefers the first says nothing.
    assert win_rates([[0.5, 0.9], [0.9, 0.5]]) == pytest.approx([0.5, 0.5])


def test_win_rates_without_comparisons_and_of_bad_numbers() -> None:
    rates = win_rates([[NAN, 1.0, NAN], [0.0, NAN, NAN], [NAN, NAN, NAN]])
    assert rates[:2] == [0.75, 0.25] and math.isnan(rates[2])
    assert win_rates([]) == []
    assert best_worst(rates) == Pairs(((0, 1),), missing=1)
    with pytest.raises(ValueError, match="probabilities must be"):
        win_rates([[0.5, 1.5], [0.0, 0.5]])
    with pytest.raises(ValueError, match="2 samples need 2"):
        win_rates([[0.5], [0.5, 0.5]])


@given(REWARDS)
def test_win_rates_of_rewards_rank_as_the_rewards(rewards: list[float]) -> None:
    rates = win_rates_of_rewards(rewards)
    have = known(rewards)
    if len(have) > 1:
        assert known(rates) == have
        assert all((rates[i] > rates[j]) == (rewards[i] > rewards[j]) for i in have for j in have)
    assert win_rates_of_rewards([1e4, -1e4]) == [0.75, 0.25]


# -- revisions -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "second", "distance"),
    [("", "", 0), ("", "abc", 3), ("kitten", "sitting", 3), ("abc", "abc", 0), ("flaw", "lawn", 2)],
)
def test_edit_distance(first: str, second: str, distance: int) -> None:
    assert edit_distance(first, second) == edit_distance(second, first) == distance


def test_revisions_of_empty_texts() -> None:
    assert compare_revision([], []).jaccard == 1.0
    made = compare_revision([], [7, 7])
    assert (made.jaccard, made.edit_distance, made.length_delta) == (0.0, 2, 2)


def test_scores_in_context_need_the_same_candidates() -> None:
    assert icdpo_scores([-1.0, -2.0], [-1.5, -1.0]) == [0.5, -1.0]
    with pytest.raises(ValueError, match="zip"):
        icdpo_scores([1.0], [1.0, 2.0])
