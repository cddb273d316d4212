"""From log-probs of options to probabilities and scores: plain arithmetic, no torch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

Clamp = tuple[float, float]
"""Least and greatest probability that is believed."""

COT_CLAMP: Clamp = (0.4, 0.6)
"""After a chain of thought probabilities saturate, so they are clamped (2212.08073, section 4.1)."""


@dataclass(frozen=True, slots=True)
class Shares:
    """How probability is spread over the options.

    Attributes:
        shares: of each option among the options; they sum to 1.
        mass: probability that the answer is one of the options at all.
    """

    shares: tuple[float, ...]
    mass: float


def shares(logps: Sequence[float]) -> Shares | None:
    """Probabilities renormalised over the options; None where they cannot be.

    Args:
        logps: log-prob of each option, nats; ``-inf`` is an option that is never said.

    Returns:
        None where a log-prob is missing (NaN), or every option is impossible.
    """
    if not logps or any(math.isnan(one) or one == math.inf for one in logps):
        return None
    top = max(logps)
    if top == -math.inf:
        return None
    weights = [math.exp(one - top) for one in logps]
    total = math.fsum(weights)
    return Shares(tuple(weight / total for weight in weights), math.exp(top) * total)


def clamped(probability: float, clamp: Clamp | None) -> float:
    """``probability`` inside ``clamp``; None = as it is."""
    return probability if clamp is None else min(max(probability, clamp[0]), clamp[1])


def preferred_first(logps: Sequence[float], clamp: Clamp | None = None) -> float | None:
    """Probability of the first of two options among both, then clamped; None where it is missing."""
    found = shares(logps)
    return None if found is None else clamped(found.shares[0], clamp)


def both_orders(first_shown_first: float, first_shown_second: float) -> float:
    """Mean of the probability of one answer in both orders (2309.00267, section 2.1.1).

    Args:
        first_shown_first: its probability where it was option (A).
        first_shown_second: its probability where it was option (B).
    """
    return (first_shown_first + first_shown_second) / 2


def expected_score(logps: Sequence[float]) -> float | None:
    """Mean of the scores 1 to n under the log-probs of the options "1" to "n" (2309.00267, section 2.2.2)."""
    found = shares(logps)
    if found is None:
        return None
    return math.fsum(score * share for score, share in enumerate(found.shares, start=1))


def normalised_score(score: float, options: int = 10) -> float:
    """A score from 1 to ``options`` as a reward from -1 to 1."""
    return 2 * (score - 1) / (options - 1) - 1


def mean(values: Sequence[float]) -> float:
    """Arithmetic mean of one value or more."""
    return math.fsum(values) / len(values)
