"""Choosing the best of K by comparisons: single elimination, or everyone against everyone.

Who meets whom depends on the seeds and on the results alone, so the same comparisons give the
same winner. A round's comparisons are asked for together, to be scored in one forward.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations

Compare = Callable[[Sequence[tuple[int, int]]], Sequence[float]]
"""Probabilities that the first player of each pair is better than the second."""


@dataclass(frozen=True, slots=True)
class Match:
    """One comparison.

    Attributes:
        first, second: who met.
        probability: that ``first`` is better.
        round: from 0; everyone against everyone is one round.
    """

    first: int
    second: int
    probability: float
    round: int = 0

    @property
    def winner(self) -> int:
        """Who goes on; ``first``, the better seed, where nobody is better."""
        return self.first if self.probability >= 0.5 else self.second


@dataclass(frozen=True, slots=True)
class Bracket:
    """A finished single elimination.

    Attributes:
        winner: who is left.
        matches: in the order they were played; always one fewer than players.
    """

    winner: int
    matches: tuple[Match, ...]


@dataclass(frozen=True, slots=True)
class RoundRobin:
    """Everyone against everyone.

    Attributes:
        scores: mean probability of each player of being better than the others.
        matches: one for each pair.
    """

    scores: tuple[float, ...]
    matches: tuple[Match, ...]

    @property
    def winner(self) -> int:
        """The highest score; the first of equals."""
        return max(range(len(self.scores)), key=lambda player: (self.scores[player], -player))


def single_elimination(players: int, compare: Compare, seeds: Sequence[int] | None = None) -> Bracket:
    """Knock-out: K players, K - 1 comparisons (the tournament of SLiC-HF, 2305.10425).

    Seeds meet as in sports: first against last, and the first two only in the final. Where the
    field is no power of two, the best seeds have a bye in the first round.

    Args:
        players: K.
        compare: see :data:`Compare`; called once a round.
        seeds: the players from the best to the worst; None = as numbered.

    Raises:
        ValueError: no players, or seeds that do not name each player once.
    """
    order = list(range(players)) if seeds is None else list(seeds)
    if players < 1 or sorted(order) != list(range(players)):
        raise ValueError(f"{players} players cannot be seeded by {order}")
    rank = {player: place for place, player in enumerate(order)}
    field: list[int | None] = [order[seed] if seed < players else None for seed in bracket_seeds(players)]
    matches: list[Match] = []
    number = 0
    while len(field) > 1:
        field = _round(field, rank, compare, number, matches)
        number += 1
    (winner,) = field
    assert winner is not None
    return Bracket(winner, tuple(matches))


def bracket_seeds(players: int) -> list[int]:
    """Seeds, from 0, in the order of the first round's places; the next power of two of them.

    >>> bracket_seeds(5)
    [0, 7, 3, 4, 1, 6, 2, 5]
    """
    places = [0]
    while len(places) < players:
        size = 2 * len(places)
        places = [seed for place in places for seed in (place, size - 1 - place)]
    return places


def all_pairs(players: int, compare: Compare) -> RoundRobin:
    """Everyone against everyone: K (K - 1) / 2 comparisons, in one call.

    Raises:
        ValueError: no players.
    """
    if players < 1:
        raise ValueError("no players")
    pairs = list(combinations(range(players), 2))
    matches = tuple(
        Match(first, second, probability)
        for (first, second), probability in zip(pairs, compare(pairs) if pairs else (), strict=True)
    )
    won = [0.0] * players
    for match in matches:
        won[match.first] += match.probability
        won[match.second] += 1.0 - match.probability
    return RoundRobin(tuple(total / max(players - 1, 1) for total in won), matches)


def _round(
    field: Sequence[int | None], rank: dict[int, int], compare: Compare, number: int, matches: list[Match]
) -> list[int | None]:
    """Play one round; adds its matches, and gives who goes on."""
    met = [(field[i], field[i + 1]) for i in range(0, len(field), 2)]
    played = [(a, b) if rank[a] < rank[b] else (b, a) for a, b in met if a is not None and b is not None]
    results = [
        Match(first, second, probability, number)
        for (first, second), probability in zip(played, compare(played) if played else (), strict=True)
    ]
    matches += results
    rest = iter(results)
    return [
        next(rest).winner if a is not None and b is not None else (a if a is not None else b) for a, b in met
    ]
