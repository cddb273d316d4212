"""The price of an answer that does not end."""

from __future__ import annotations

from collections.abc import Sequence


def with_missing_eos_penalty(
    rewards: Sequence[float], ended: Sequence[bool], missing_eos_penalty: float
) -> list[float]:
    """``reward - missing_eos_penalty`` where the sample was cut by a limit; a missing reward stays missing.

    As TRL's option of that name, taken off before answers are compared (online DPO, 2402.04792).

    Raises:
        ValueError: lists of different lengths.
    """
    return [
        reward if has_ended else reward - missing_eos_penalty
        for reward, has_ended in zip(rewards, ended, strict=True)
    ]
