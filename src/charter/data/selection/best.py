"""The best of n samples, and the k best: best-of-n, expert iteration, rejection sampling fine-tuning."""

from __future__ import annotations

from collections.abc import Sequence

from charter.data.selection.known import known


def best_of_n(rewards: Sequence[float]) -> int | None:
    """The sample with the highest reward, the first of equals; None where none has one."""
    best = top_k(rewards, 1)
    return best[0] if best else None


def top_k(rewards: Sequence[float], k: int) -> list[int]:
    """The ``k`` samples with the highest rewards, best first; fewer where fewer have one.

    Of equals the first comes first.

    Raises:
        ValueError: ``k < 1``.
        DataError: an infinite reward.
    """
    if k < 1:
        raise ValueError(f"k must be at least 1, not {k}")
    # The sort is stable: of equals the earlier sample stays in front.
    return sorted(known(rewards), key=lambda index: -rewards[index])[:k]
