"""What choosing the best of n samples costs and gains, and the laws of over-optimising a reward.

Source: Gao, Schulman and Hilton 2022 (2210.10760). KL is in nats.
"""

from __future__ import annotations

import math
from collections.abc import Sequence


def kl_bound(n: int) -> float:
    """``log n - (n - 1) / n``: the most that best-of-n moves from the policy it samples.

    Exact for rewards without ties, an upper bound otherwise.

    Raises:
        ValueError: ``n`` is below 1.
    """
    if n < 1:
        raise ValueError(f"n must be at least 1, not {n}")
    return math.log(n) - (n - 1) / n


def best_of_n_weights(total: int, n: int) -> list[float]:
    """Chance of each of ``total`` samples, from the lowest to the highest, of being the best of ``n``.

    ``C(i - 1, n - 1) / C(total, n)`` for the i-th lowest.

    Raises:
        ValueError: not ``1 <= n <= total``.
    """
    if not 1 <= n <= total:
        raise ValueError(f"the best of {n} cannot be estimated from {total} samples")
    ways = math.comb(total, n)
    return [math.comb(rank, n - 1) / ways for rank in range(total)]


def best_of_n(proxy: Sequence[float], n: int, gold: Sequence[float] | None = None) -> float:
    """Unbiased estimate of the score of the best of ``n``, from more samples than that.

    Args:
        proxy: scores that choose.
        n: how many are chosen from.
        gold: scores that count, of the same samples; by default the same.

    Raises:
        ValueError: too few samples, or lists of different lengths.
    """
    chosen = sorted(zip(proxy, proxy if gold is None else gold, strict=True), key=lambda pair: pair[0])
    weights = best_of_n_weights(len(chosen), n)
    return math.fsum(weight * worth for weight, (_, worth) in zip(weights, chosen, strict=True))


def gold_after_best_of_n(d: float, alpha: float, beta: float) -> float:
    """``d (alpha - beta d)`` with ``d = sqrt(KL)``: true reward of best-of-n by a proxy."""
    return d * (alpha - beta * d)


def gold_after_training(d: float, alpha: float, beta: float) -> float:
    """``d (alpha - beta log d)`` with ``d = sqrt(KL)``: true reward of a policy trained on a proxy."""
    return d * (alpha - beta * math.log(d)) if d > 0 else 0.0


def fit_gold(d: Sequence[float], reward: Sequence[float], *, trained: bool) -> tuple[float, float]:
    """``alpha`` and ``beta`` of the law that fits measured points best, by least squares.

    Args:
        d: square roots of KL, some of them positive.
        reward: true reward at each, less that of the policy at the start.
        trained: the law of training; off = of best-of-n.

    Raises:
        ValueError: the points do not determine both.
    """
    import numpy as np

    basis = [math.log(x) if x > 0 else 0.0 for x in d] if trained else list(d)
    columns = np.array([[x, -x * b] for x, b in zip(d, basis, strict=True)], dtype=float)
    found, _, rank, _ = np.linalg.lstsq(columns, np.asarray(reward, dtype=float), rcond=None)
    if rank < 2:
        raise ValueError("at least two points at different distances are needed")
    return float(found[0]), float(found[1])
