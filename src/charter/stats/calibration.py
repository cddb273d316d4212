"""Whether stated probabilities come true: reliability by bins, and the error in one number."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from charter.stats.intervals import Interval, wilson


@dataclass(frozen=True, slots=True)
class Bin:
    """Statements of about the same probability.

    Attributes:
        lo, hi: the range of probabilities.
        n: how many.
        stated: their mean probability; the middle of the range where there is none.
        k: how many came true.
        interval: of the rate ``k / n``.
    """

    lo: float
    hi: float
    n: int
    stated: float
    k: int
    interval: Interval


@dataclass(frozen=True, slots=True)
class Calibration:
    """How far stated probabilities are from what happened.

    Attributes:
        bins: of equal width, from ``lo`` to 1.
        ece: expected calibration error: mean over statements of the gap of their bin.
        log_loss: mean of ``-log p`` of what happened, nats.
        brier: mean squared error.
    """

    bins: tuple[Bin, ...]
    ece: float
    log_loss: float
    brier: float


def calibration(
    stated: Sequence[float], true: Sequence[bool], *, bins: int = 10, lo: float = 0.0, level: float = 0.95
) -> Calibration:
    """Reliability of probabilities in ``[lo, 1]`` (Guo et al. 2017, 1706.04599).

    Args:
        stated: probabilities; for a choice between two, that of the one chosen (``lo`` = 0.5).
        true: whether each came true.
        bins: how many.
        lo: lowest probability that can be stated.
        level: of the intervals.

    Raises:
        ValueError: nothing stated, lists of different lengths, or a probability out of range.
    """
    if not stated or len(stated) != len(true):
        raise ValueError(f"{len(stated)} statements and {len(true)} outcomes")
    if not all(lo <= p <= 1.0 for p in stated):
        raise ValueError(f"probabilities must be in [{lo:g}, 1]")
    width = (1.0 - lo) / bins
    places = [min(int((p - lo) / width), bins - 1) for p in stated]
    made = []
    for index in range(bins):
        mine = [i for i, place in enumerate(places) if place == index]
        low, high = lo + index * width, lo + (index + 1) * width
        mean = math.fsum(stated[i] for i in mine) / len(mine) if mine else (low + high) / 2
        k = sum(true[i] for i in mine)
        made.append(Bin(low, high, len(mine), mean, k, wilson(k, len(mine), level)))
    happened = [p if came else 1.0 - p for p, came in zip(stated, true, strict=True)]
    return Calibration(
        bins=tuple(made),
        ece=math.fsum(abs(b.k - b.n * b.stated) for b in made) / len(stated),
        log_loss=-math.fsum(math.log(max(p, 1e-300)) for p in happened) / len(stated),
        brier=math.fsum((1.0 - p) ** 2 for p in happened) / len(stated),
    )
