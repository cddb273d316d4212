"""Estimates of the KL divergence to a reference, from sampled tokens, and the controller of its weight.

With ``d = log pi - log ref`` of tokens sampled from pi (Schulman 2020, "Approximating KL divergence"):
k1 = d, k2 = d^2 / 2, k3 = exp(-d) - 1 + d. As values k1 and k3 are unbiased. As losses they are not
what they seem: the expected gradient of k1 is zero, that of k2 is the gradient of KL(pi || ref), and that
of k3 the gradient of KL(ref || pi); k3 times the ratio pi / pi_old has the gradient of KL(pi || ref)
again. Of answers of several tokens these are the KL's of the next token after each prefix as sampled:
only k1 in the reward also knows that a token leads to other prefixes.

Shapes: N scored tokens.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

from torch import Tensor

from charter.objectives.surrogate_losses import bounded_exp

Estimator = Literal["k1", "k2", "k3"]


def kl_estimate(logps_N: Tensor, ref_logps_N: Tensor, estimator: Estimator = "k1") -> Tensor:
    """An estimate of ``KL(pi || ref)`` at each token, nats, ``(N,)``; carries the gradient of ``logps_N``.

    Raises:
        ValueError: an unknown estimator.
    """
    gap_N = logps_N - ref_logps_N
    if estimator == "k1":
        return gap_N
    if estimator == "k2":
        return gap_N.square() / 2
    if estimator == "k3":
        return bounded_exp(-gap_N) - 1 + gap_N
    raise ValueError(f"unknown KL estimator {estimator!r}")


class AdaptiveKL:
    """Keeps the KL to the reference near a target by moving its weight in the reward.

    ``coef *= 1 + clip(kl / target - 1, -0.2, 0.2) * n / horizon`` (Ziegler et al. 2019, 1909.08593,
    section 2.2), once a round. ``n`` counts as ``horizon`` at most, so that the weight stays positive.

    Args:
        coef: the first weight.
        target: nats per sequence (the sum over its tokens, a mean over samples).
        horizon: samples over which it adapts.
    """

    def __init__(self, coef: float, target: float, horizon: float) -> None:
        self.coef, self.target, self.horizon = coef, target, horizon

    def update(self, kl: float, samples: int) -> None:
        """Take in the KL of a round of so many samples; a KL that is unknown (NaN) changes nothing."""
        if math.isnan(kl):
            return
        error = min(max(kl / self.target - 1, -0.2), 0.2)
        self.coef *= 1 + error * min(samples / self.horizon, 1.0)

    def state(self) -> dict[str, float]:
        """What a checkpoint must hold."""
        return {"coef": self.coef}

    def load_state(self, state: Mapping[str, float]) -> None:
        """Put back what :meth:`state` returned."""
        self.coef = state["coef"]
