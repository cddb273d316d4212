"""Correction for testing several hypotheses at once."""

from __future__ import annotations

from collections.abc import Sequence


def holm(ps: Sequence[float]) -> list[float]:
    """Holm's step-down adjusted p-values, in the order given.

    Rejecting where the adjusted value is below alpha keeps the chance of any
    false claim below alpha, whatever the dependence between the tests.
    Source: Holm, Scandinavian Journal of Statistics 6 (1979).

    Raises:
        ValueError: a value outside [0, 1].
    """
    for p in ps:
        if not 0.0 <= p <= 1.0:
            raise ValueError(f"not a p-value: {p!r}")
    adjusted = [0.0] * len(ps)
    floor = 0.0
    for rank, index in enumerate(sorted(range(len(ps)), key=ps.__getitem__)):
        floor = max(floor, min(1.0, (len(ps) - rank) * ps[index]))
        adjusted[index] = floor
    return adjusted


def benjamini_hochberg(ps: Sequence[float]) -> list[float]:
    """Step-up adjusted p-values (q-values), in the order given.

    Rejecting where the adjusted value is below alpha keeps the expected share of
    false claims among all claims below alpha, for independent or positively
    dependent tests. Source: Benjamini and Hochberg, JRSS B 57 (1995).

    Raises:
        ValueError: a value outside [0, 1].
    """
    for p in ps:
        if not 0.0 <= p <= 1.0:
            raise ValueError(f"not a p-value: {p!r}")
    adjusted = [0.0] * len(ps)
    ceiling = 1.0
    for rank, index in reversed(list(enumerate(sorted(range(len(ps)), key=ps.__getitem__), start=1))):
        ceiling = min(ceiling, len(ps) / rank * ps[index])
        adjusted[index] = ceiling
    return adjusted
