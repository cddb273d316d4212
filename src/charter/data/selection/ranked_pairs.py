"""Random pairs, each ordered by reward: the ranking of SLiC-HF and of RSO."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Literal

from charter.data.selection.known import known, missing
from charter.data.selection.pairs import Pairs

Ranking = Literal["first_round", "tournament"]
RANKINGS: tuple[Ranking, ...] = ("first_round", "tournament")


def ranked_pairs(
    rewards: Sequence[float], players: Sequence[int], ranking: Ranking, chance: random.Random
) -> Pairs:
    """Pair ``players`` at random; ``first_round``: once, ``tournament``: and their winners, to the last.

    Of 8 players the first round has 4 disjoint pairs, the tournament 4 + 2 + 1. A tie gives no pair, and
    either may go on; where the number is odd one goes on unpaired.

    Args:
        rewards: of all samples.
        players: indices of samples that have a reward.
        ranking: which.
        chance: draws the pairs.

    Raises:
        ValueError: an unknown ranking.
    """
    if ranking not in RANKINGS:
        raise ValueError(f"ranking must be one of {', '.join(RANKINGS)}, not {ranking!r}")
    field = list(players)
    chance.shuffle(field)  # once: winners then meet as in a bracket that was drawn at random
    pairs: list[tuple[int, int]] = []
    ties = 0
    while len(field) > 1:
        winners = []
        for one, other in zip(field[::2], field[1::2], strict=False):
            better, worse = (one, other) if rewards[one] >= rewards[other] else (other, one)
            winners.append(better)
            if rewards[better] > rewards[worse]:
                pairs.append((better, worse))
            else:
                ties += 1
        # Who went on unpaired stands first in the next round, so that nobody does so twice running.
        field = (field[-1:] if len(field) % 2 else []) + winners
        if ranking == "first_round":
            break
    return Pairs(tuple(pairs), left_out=ties)


def sample_rank(rewards: Sequence[float], seed: int | str) -> Pairs:
    """The tournament of all samples that have a reward (SLiC-HF sample-rank, 2305.10425).

    Args:
        rewards: NaN = missing.
        seed: draws the pairs; the same seed draws the same ones.

    Raises:
        DataError: an infinite reward.
    """
    drawn = ranked_pairs(rewards, known(rewards), "tournament", random.Random(seed))
    return Pairs(drawn.pairs, drawn.left_out, missing(rewards))
