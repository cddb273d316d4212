"""Samples good enough to be imitated: ReST and ReST-EM."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from itertools import pairwise

from charter.data.selection.known import first_of_equals, known, only

MOST_PER_PROMPT = 10
"""Right answers of one prompt that ReST-EM trains on, so that easy prompts do not outweigh hard ones."""


def rest_keep(rewards: Sequence[float], thresholds: Sequence[float]) -> list[list[int]]:
    """For each threshold, the samples whose reward reaches it (ReST, 2308.08998).

    Args:
        rewards: NaN = missing, never kept.
        thresholds: of the improve steps that follow one grow step; each higher than the one before.

    Raises:
        ValueError: no thresholds, or they do not rise.
        DataError: an infinite reward.
    """
    rising = all(low < high for low, high in pairwise(thresholds))
    if not thresholds or not rising:
        raise ValueError(f"thresholds must rise from one improve step to the next, not be {list(thresholds)}")
    rewarded = known(rewards)
    return [[index for index in rewarded if rewards[index] >= threshold] for threshold in thresholds]


def rest_em_keep(
    rewards: Sequence[float],
    answers: Sequence[Hashable],
    *,
    threshold: float = 0.5,
    most: int = MOST_PER_PROMPT,
) -> list[int]:
    """The right answers of one prompt, without repetitions, at most ``most`` (ReST-EM, 2312.06585).

    Samples of one prompt are drawn independently, so the first right ones are any right ones.

    Args:
        rewards: 1 = right, 0 = wrong, NaN = missing.
        answers: what makes two samples the same, such as their token ids.
        threshold: rewards from here on count as right.
        most: answers kept.

    Raises:
        ValueError: ``most < 1``, or lists of different lengths.
        DataError: an infinite reward.
    """
    if most < 1:
        raise ValueError(f"at least 1 answer must be kept, not {most}")
    if len(answers) != len(rewards):
        raise ValueError(f"{len(answers)} answers but {len(rewards)} rewards")
    right = [reward >= threshold for reward in rewards]
    # Repetitions are looked for among the right ones: the same answer may have been judged twice.
    places = known(only(rewards, right))
    distinct = first_of_equals([answers[index] for index in places])
    return [index for index, first in zip(places, distinct, strict=True) if first][:most]
