"""How often each of a prompt's samples beats the others: what SPPO regresses on."""

from __future__ import annotations

import math
from collections.abc import Sequence

from charter.data.selection.known import known


def win_rates(probabilities: Sequence[Sequence[float]]) -> list[float]:
    """``P(y_i beats the policy) = mean_k P(y_i beats y_k)`` over all K samples (SPPO, 2405.00675).

    A sample beats itself half the time. Where a pair was judged in both orders, both count equally; where in
    one, that one; where in none, it is left out of the mean.

    Args:
        probabilities: ``[i][k]`` that sample i is better than sample k; NaN = not judged. The diagonal is
            not read.

    Returns:
        One win rate for each sample; NaN where it was compared with no other.

    Raises:
        ValueError: not a square of probabilities.
    """
    count = len(probabilities)
    if any(len(row) != count for row in probabilities):
        raise ValueError(f"{count} samples need {count} probabilities each")
    if any(not (math.isnan(p) or 0.0 <= p <= 1.0) for row in probabilities for p in row):
        raise ValueError("probabilities must be in [0, 1]")
    return [_rate(probabilities, i) for i in range(count)]


def _rate(probabilities: Sequence[Sequence[float]], i: int) -> float:
    found = []
    for k in range(len(probabilities)):
        orders = (probabilities[i][k], 1.0 - probabilities[k][i])
        said = [p for p in orders if not math.isnan(p)]
        if k != i and said:
            found.append(math.fsum(said) / len(said))
    return math.fsum((0.5, *found)) / (len(found) + 1) if found else math.nan


def win_rates_of_rewards(rewards: Sequence[float]) -> list[float]:
    """The same from rewards as Bradley-Terry scores, ``P(y_i beats y_k) = sigmoid(r_i - r_k)``.

    Args:
        rewards: NaN = missing.

    Raises:
        DataError: an infinite reward.
    """
    known(rewards)
    return win_rates([[_sigmoid(ours - theirs) for theirs in rewards] for ours in rewards])


def _sigmoid(x: float) -> float:
    if x < 0:  # exp of a large number would overflow
        return math.exp(x) / (1.0 + math.exp(x))
    return 1.0 / (1.0 + math.exp(-x))
