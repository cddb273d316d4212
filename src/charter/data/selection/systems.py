"""One pair from answers of several systems (CPO, 2401.08417)."""

from __future__ import annotations

from collections.abc import Sequence

from charter.data.selection.known import known, missing
from charter.data.selection.pairs import Pairs


def cpo_pair(rewards: Sequence[float], systems: Sequence[str]) -> Pairs:
    """The best answer against the worst of the other systems; what lies between is left out.

    The authors' triplets are three systems with an answer each: a person, a strong model and the policy
    itself, which wins where it is best.

    Args:
        rewards: of the answers; NaN = missing. Of equals the first.
        systems: who wrote each answer.

    Returns:
        No pair where the best answer is not better than that worst one, or one system alone has rewards.

    Raises:
        ValueError: lists of different lengths.
        DataError: an infinite reward.
    """
    if len(systems) != len(rewards):
        raise ValueError(f"{len(systems)} systems but {len(rewards)} rewards")
    rewarded, lost = known(rewards), missing(rewards)
    if not rewarded:
        return Pairs((), missing=lost)
    best = max(rewarded, key=lambda index: rewards[index])
    others = [index for index in rewarded if systems[index] != systems[best]]
    if not others:
        return Pairs((), missing=lost)
    worst = min(others, key=lambda index: rewards[index])
    if rewards[best] == rewards[worst]:
        return Pairs((), left_out=1, missing=lost)
    return Pairs(((best, worst),), missing=lost)
