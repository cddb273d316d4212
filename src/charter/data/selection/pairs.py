"""Pairs of samples of which one is better: all of a threshold, the best and the worst."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from charter.data.selection.known import known, missing


@dataclass(frozen=True, slots=True)
class Pairs:
    """Pairs chosen among the samples of one prompt.

    Attributes:
        pairs: (better, worse), indices of samples.
        left_out: pairs that were looked at and say nothing: neither answer is better, or not enough.
        missing: samples that no pair could have, as they have no reward.
    """

    pairs: tuple[tuple[int, int], ...]
    left_out: int = 0
    missing: int = 0


def best_worst(rewards: Sequence[float]) -> Pairs:
    """The best sample against the worst, of equals the first; no pair where all rewards are equal.

    Online DPO and its kin call it with two samples, SPPO with the win rates of K.

    Raises:
        DataError: an infinite reward.
    """
    rewarded = known(rewards)
    lost = missing(rewards)
    if len(rewarded) < 2:
        return Pairs((), missing=lost)
    best = max(rewarded, key=lambda index: rewards[index])
    worst = min(rewarded, key=lambda index: rewards[index])
    if rewards[best] == rewards[worst]:
        return Pairs((), left_out=1, missing=lost)
    return Pairs(((best, worst),), missing=lost)


def against_last(rewards: Sequence[float]) -> Pairs:
    """Every sample against the last, the better first; no pair of equals.

    Raises:
        DataError: an infinite reward.
    """
    last = len(rewards) - 1
    rewarded, lost = known(rewards), missing(rewards)
    others = [index for index in rewarded if index != last]
    if last not in rewarded:
        return Pairs((), missing=lost)
    pairs = [
        (index, last) if rewards[index] > rewards[last] else (last, index)
        for index in others
        if rewards[index] != rewards[last]
    ]
    return Pairs(tuple(pairs), left_out=len(others) - len(pairs), missing=lost)


def rs_dpo_pairs(rewards: Sequence[float], *, tau: float = 1.0, eta: float = 0.85) -> Pairs:
    """Every pair with ``sigmoid((r_better - r_worse) / tau) > eta`` (RS-DPO, 2402.10038).

    Args:
        rewards: NaN = missing.
        tau: temperature of the rewards.
        eta: threshold; from 0.5 on, so that no pair is taken both ways round.

    Raises:
        ValueError: ``tau <= 0`` or ``eta`` outside [0.5, 1).
        DataError: an infinite reward.
    """
    if not tau > 0:
        raise ValueError(f"tau must be positive, not {tau}")
    if not 0.5 <= eta < 1:
        raise ValueError(f"eta must be in [0.5, 1), not {eta}")
    rewarded = known(rewards)
    gap = math.log(eta / (1 - eta))  # the sigmoid's inverse: it would round to 1 for large differences
    chosen = tuple((i, j) for i in rewarded for j in rewarded if (rewards[i] - rewards[j]) / tau > gap)
    looked_at = len(rewarded) * (len(rewarded) - 1) // 2
    return Pairs(chosen, left_out=looked_at - len(chosen), missing=missing(rewards))
