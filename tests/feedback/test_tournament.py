from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charter.feedback.trained.tournament import Bracket, Compare, all_pairs, bracket_seeds, single_elimination


def by_strength(strength: Sequence[float], asked: list[list[tuple[int, int]]] | None = None) -> Compare:
    """The stronger player wins for certain."""

    def compare(pairs: Sequence[tuple[int, int]]) -> list[float]:
        if asked is not None:
            asked.append(list(pairs))
        return [
            1.0 if strength[a] > strength[b] else 0.0 if strength[a] < strength[b] else 0.5 for a, b in pairs
        ]

    return compare


STRENGTHS = st.lists(st.integers(0, 100), min_size=1, max_size=20, unique=True)


@given(STRENGTHS, st.randoms(use_true_random=False))
def test_the_strongest_wins_in_one_fewer_comparisons_than_players(
    strength: list[int], rng: random.Random
) -> None:
    seeds = list(range(len(strength)))
    rng.shuffle(seeds)
    bracket = single_elimination(len(strength), by_strength(strength), seeds)
    assert bracket.winner == max(range(len(strength)), key=strength.__getitem__)
    assert len(bracket.matches) == len(strength) - 1
    beaten = [match.first + match.second - match.winner for match in bracket.matches]
    assert sorted([*beaten, bracket.winner]) == list(range(len(strength)))  # everyone else loses once


@given(STRENGTHS)
def test_rounds_are_asked_for_together(strength: list[int]) -> None:
    asked: list[list[tuple[int, int]]] = []
    bracket = single_elimination(len(strength), by_strength(strength, asked))
    assert len(asked) == (len(strength) - 1).bit_length()
    assert [pair for round_ in asked for pair in round_] == [(m.first, m.second) for m in bracket.matches]
    assert [len(round_) for round_ in asked] == [
        sum(match.round == number for match in bracket.matches) for number in range(len(asked))
    ]


def test_byes_go_to_the_best_seeds() -> None:
    bracket = single_elimination(5, by_strength([5, 4, 3, 2, 1]))
    assert [(m.first, m.second, m.round) for m in bracket.matches] == [
        (3, 4, 0),
        (0, 3, 1),
        (1, 2, 1),
        (0, 1, 2),
    ]


@pytest.mark.parametrize("size", [2, 4, 8, 16])
def test_seeds_that_hold_meet_as_late_as_they_can(size: int) -> None:
    assert sorted(bracket_seeds(size)) == list(range(size))
    bracket = single_elimination(size, by_strength([-i for i in range(size)]))
    assert [(m.first, m.second) for m in bracket.matches][-1] == (0, 1)
    rounds = size.bit_length() - 1
    for match in bracket.matches:
        assert match.first + match.second == size // 2**match.round - 1
    assert max(match.round for match in bracket.matches) == rounds - 1


def test_a_draw_goes_to_the_better_seed() -> None:
    level = by_strength([1, 1, 1, 1])
    assert single_elimination(4, level).winner == 0
    assert single_elimination(4, level, [2, 0, 3, 1]).winner == 2


def test_a_single_player_wins_without_a_match() -> None:
    assert single_elimination(1, by_strength([1])) == Bracket(0, ())
    assert all_pairs(1, by_strength([1])).scores == (0.0,)


@pytest.mark.parametrize(("players", "seeds"), [(0, None), (3, [0, 1]), (3, [0, 1, 1]), (2, [1, 2])])
def test_bad_fields(players: int, seeds: list[int] | None) -> None:
    with pytest.raises(ValueError, match="cannot be seeded"):
        single_elimination(players, by_strength([0, 0, 0]), seeds)
    with pytest.raises(ValueError, match="no players"):
        all_pairs(0, by_strength([]))


@given(STRENGTHS)
def test_everyone_against_everyone_ranks_by_strength(strength: list[int]) -> None:
    table = all_pairs(len(strength), by_strength(strength))
    count = len(strength)
    assert len(table.matches) == count * (count - 1) // 2
    ranked = sorted(range(count), key=lambda player: table.scores[player])
    assert ranked == sorted(range(count), key=strength.__getitem__)
    assert table.winner == single_elimination(count, by_strength(strength)).winner
    assert sum(table.scores) * max(count - 1, 1) == pytest.approx(len(table.matches))


def test_a_cycle_has_no_best_but_the_bracket_has_a_winner() -> None:
    """Rock, paper, scissors: the table is level, the bracket's winner is the one with the bye."""
    beats = {(0, 1): 1.0, (1, 2): 1.0, (0, 2): 0.0}

    def compare(pairs: Sequence[tuple[int, int]]) -> list[float]:
        return [beats[pair] for pair in pairs]

    assert all_pairs(3, compare).scores == (0.5, 0.5, 0.5)
    assert single_elimination(3, compare).winner == 0
