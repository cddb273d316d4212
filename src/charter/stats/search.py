"""The smallest number that is enough, where more is never less."""

from __future__ import annotations

from collections.abc import Callable

SEARCH_LIMIT = 1_000_000
"""Nobody gathers more; a plan says so instead of a number."""


def smallest(enough: Callable[[int], bool], limit: int = SEARCH_LIMIT) -> int | None:
    """Smallest number from 1 on that is enough: doubled until it is, then bisected.

    Args:
        enough: once true, true of every larger number.
        limit: None beyond it; numbers up to the last power of two within it are tried.
    """
    high = 1
    while not enough(high):
        high *= 2
        if high > limit:
            return None
    low = high // 2
    while low + 1 < high:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high
