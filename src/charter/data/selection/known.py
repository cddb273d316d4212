"""Which samples a choice may be made among."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence

from charter.errors import DataError


def known(rewards: Sequence[float]) -> list[int]:
    """Indices of the samples that have a reward; NaN = missing.

    Raises:
        DataError: a reward is infinite, which no difference or average survives.
    """
    for index, reward in enumerate(rewards):
        if math.isinf(reward):
            raise DataError(
                f"the reward of sample {index + 1} is {reward}",
                fix="let the reward function return None (abstain) or a finite number",
            )
    return [index for index, reward in enumerate(rewards) if not math.isnan(reward)]


def missing(rewards: Sequence[float]) -> int:
    """How many samples have no reward."""
    return sum(math.isnan(reward) for reward in rewards)


def only(rewards: Sequence[float], keep: Sequence[bool]) -> list[float]:
    """The rewards, missing where ``keep`` is false: no choice can fall on those samples.

    For completions cut by a limit, which must not be imitated as if they were finished.
    """
    return [reward if kept else math.nan for reward, kept in zip(rewards, keep, strict=True)]


def first_of_equals(answers: Sequence[Hashable]) -> list[bool]:
    """False for each answer (token ids, text) that stands before it already; for :func:`only`."""
    seen: set[Hashable] = set()
    first = []
    for answer in answers:
        first.append(answer not in seen)
        seen.add(answer)
    return first
