"""How far a candidate's votes agree with the labels (ICAI, 2406.06560)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charter.feedback.recovering.clusters import effective, share
from charter.stats import Interval, square_and_add, wilson

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Measure:
    """Agreement of one candidate with the labels.

    Attributes:
        n: pairs on which its vote is known.
        prompts: different prompts of those.
        agree: votes for the preferred answer.
        disagree: votes for the other.
        missing: pairs on which it is not known how it votes; they count nowhere.
        agreement: ``agree / n``, with its interval.
        accuracy: ``agree / (agree + disagree)``; None = it never votes.
        relevance: ``(agree + disagree) / n``.
        performance: ``relevance x (accuracy - 0.5) x 2``, which is ``(agree - disagree) / n``.
    """

    n: int
    prompts: int
    agree: int
    disagree: int
    missing: int
    agreement: tuple[float, Interval] | None
    accuracy: tuple[float, Interval] | None
    relevance: tuple[float, Interval] | None
    performance: tuple[float, Interval] | None

    @property
    def lead(self) -> int:
        """Votes for less votes against: what principles are ordered by."""
        return self.agree - self.disagree

    def relevant(self, least: float) -> bool:
        """Whether it has a vote on at least that share of the pairs."""
        return self.relevance is not None and self.relevance[0] >= least

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        counts = {
            "pairs": self.n,
            "prompts": self.prompts,
            "agree": self.agree,
            "disagree": self.disagree,
            "missing": self.missing,
        }
        names = ("agreement", "accuracy", "relevance", "performance")
        return {**counts, **{name: as_json(getattr(self, name)) for name in names}}


def measure(
    cast_N: NDArray[np.int8],
    known_N: NDArray[np.bool_],
    labels_N: NDArray[np.int8],
    prompts_N: NDArray[np.int64],
    level: float = 0.95,
) -> Measure:
    """The metrics of one candidate; prompts are what is independent."""
    said_N = (cast_N * labels_N)[known_N]
    prompts = prompts_N[known_N]
    n = len(said_N)
    agree_N, against_N = (said_N > 0).astype(float), (said_N < 0).astype(float)
    voted_N, all_N = agree_N + against_N, np.ones(n)
    agree, disagree = int(agree_N.sum()), int(against_N.sum())

    def rate(hits_N: Floats, of_N: Floats) -> tuple[float, Interval] | None:
        total = float(of_N.sum())
        if total == 0:
            return None
        return float(hits_N.sum()) / total, share(hits_N, of_N, prompts, level)

    return Measure(
        n,
        len(np.unique(prompts)),
        agree,
        disagree,
        len(known_N) - n,
        rate(agree_N, all_N),
        rate(agree_N, voted_N),
        rate(voted_N, all_N),
        None if not n else ((agree - disagree) / n, _performance(agree_N, against_N, prompts, level)),
    )


def _performance(agree_N: Floats, against_N: Floats, prompts_N: NDArray[np.int64], level: float) -> Interval:
    """Difference of two shares of the same pairs, from the Wilson interval of each (MOVER).

    The shares are those of a multinomial, and so are correlated by ``-sqrt(odds x odds)``.
    """
    all_N = np.ones(len(agree_N))
    rates = [float(hits.mean()) for hits in (against_N, agree_N)]
    ns = [
        effective(hits - rate, all_N, prompts_N, rate)
        for hits, rate in zip((against_N, agree_N), rates, strict=True)
    ]
    bounds = [wilson(rate * n, n, level) for rate, n in zip(rates, ns, strict=True)]
    odds = [rate / (1 - rate) if rate < 1 else math.inf for rate in rates]
    known = all(0 < one < math.inf for one in odds)
    correlation = -math.sqrt(min(odds[0] * odds[1], 1.0)) if known else 0.0
    return square_and_add(rates[0], bounds[0], rates[1], bounds[1], correlation=correlation)


def as_json(found: tuple[float, Interval] | None) -> dict[str, float | None]:
    """An estimate and its interval as plain data; null = not known."""
    if found is None:
        return {"value": None, "lo": None, "hi": None}
    return {"value": found[0], "lo": _finite(found[1].lo), "hi": _finite(found[1].hi)}


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
