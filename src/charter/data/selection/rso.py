"""Statistical rejection sampling (RSO, Liu et al. 2023, 2309.06657).

Candidates come from the supervised policy; those accepted are distributed, approximately, as under
the best policy for the reward at a KL weight of ``beta``.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

from charter.data.selection.known import known, missing
from charter.data.selection.pairs import Pairs
from charter.data.selection.ranked_pairs import Ranking, ranked_pairs


def rso_acceptance(rewards: Sequence[float], beta: float) -> list[float]:
    """Each candidate's chance of acceptance in the first round, ``exp((r - max r) / beta)``; 0 = missing.

    Args:
        rewards: NaN = missing.
        beta: towards 0 only the best are accepted; infinite = all.

    Raises:
        ValueError: ``beta <= 0``.
        DataError: an infinite reward.
    """
    if not beta > 0:
        raise ValueError(f"beta must be positive, not {beta}")
    rewarded = known(rewards)
    highest = max((rewards[index] for index in rewarded), default=0.0)
    chances = [0.0] * len(rewards)
    for index in rewarded:
        chances[index] = math.exp((rewards[index] - highest) / beta)
    return chances


def rso_accept(rewards: Sequence[float], count: int, *, beta: float, seed: int | str) -> list[int]:
    """``count`` candidates in the order they were accepted; fewer where fewer have a reward.

    Rounds over those that are left, each accepted with its chance against the best of them. The best one
    of a round is certain of it, so every round accepts someone and the procedure ends. Candidates are told
    apart by index: equal texts stay several candidates.

    Args:
        rewards: of the candidates; NaN = missing, never accepted.
        count: candidates wanted.
        beta: see :func:`rso_acceptance`.
        seed: decides; the same seed accepts the same candidates.

    Raises:
        ValueError: ``count < 1`` or ``beta <= 0``.
        DataError: an infinite reward.
    """
    if count < 1:
        raise ValueError(f"at least 1 candidate must be accepted, not {count}")
    chance = random.Random(seed)
    left = known(rewards)
    accepted: list[int] = []
    while left and len(accepted) < count:
        chances = rso_acceptance([rewards[index] for index in left], beta)
        taken = [
            index
            for index, likely in zip(left, chances, strict=True)
            if chance.random() < likely  # random() < 1: the best one always is
        ]
        # In the order of the candidates, who were drawn independently: cut off, the rest is random too.
        accepted += taken
        left = [index for index in left if index not in set(taken)]
    return accepted[:count]


def rso_pairs(
    rewards: Sequence[float],
    *,
    count: int = 8,
    beta: float = 0.5,
    ranking: Ranking = "first_round",
    seed: int | str,
) -> Pairs:
    """Pairs among ``count`` accepted candidates; see :func:`rso_accept` and
    :func:`~charter.data.selection.ranked_pairs.ranked_pairs`.

    Raises:
        ValueError: an argument out of range.
        DataError: an infinite reward.
    """
    accepted = rso_accept(rewards, count, beta=beta, seed=f"{seed}:accept")
    drawn = ranked_pairs(rewards, accepted, ranking, random.Random(f"{seed}:rank"))
    return Pairs(drawn.pairs, drawn.left_out, missing(rewards))
