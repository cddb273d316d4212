"""How the held-out reward goes with the distance from the start: one measurement, and a fitted law.

Source: Gao, Schulman and Hilton 2022 (2210.10760).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from charter.stats.best_of_n import gold_after_best_of_n, gold_after_training

Kind = Literal["training", "best_of_n"]


@dataclass(frozen=True, slots=True)
class Point:
    """One measurement.

    Attributes:
        at: optimizer step, or n of best-of-n.
        kl: nats per sequence from the policy at the start; estimates below 0 count as 0.
        proxy: the reward trained on, or chosen by.
        gold: the held-out reward.
    """

    at: float
    kl: float
    proxy: float
    gold: float

    @property
    def d(self) -> float:
        """``sqrt(KL)``."""
        return math.sqrt(max(self.kl, 0.0))


@dataclass(frozen=True, slots=True)
class Law:
    """A fitted law: ``start + d (alpha - beta log d)``, or with ``beta d`` for best-of-n."""

    kind: Kind
    alpha: float
    beta: float
    start: float

    def gold(self, d: float) -> float:
        """The held-out reward at ``d``."""
        law = gold_after_training if self.kind == "training" else gold_after_best_of_n
        return self.start + law(d, self.alpha, self.beta)

    @property
    def peak(self) -> float | None:
        """Where it is highest: 0 where it only falls, None where it only rises."""
        if self.kind == "best_of_n" and self.alpha <= 0:
            return 0.0 if self.beta >= 0 else None
        if self.beta <= 0:
            return None
        if self.kind == "training":
            return math.exp(min(self.alpha / self.beta - 1, 700.0))
        return self.alpha / (2 * self.beta)
