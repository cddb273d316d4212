"""The surrogate that TRPO maximises under its bound on the KL, and how far and how often it steps.

Shapes: N scored tokens, P weights.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from charter.objectives.base import Layout, Need, Scored, Stats, Term
from charter.objectives.policy_metrics import PolicyMetrics
from charter.objectives.rollout_part import layout_of, scored_of
from charter.objectives.surrogate_losses import bounded_exp


class ImportanceSurrogate:
    """``-ratio A``, mean over tokens, unclipped (TRPO, Schulman et al. 2015, 1502.05477, equation 14).

    Nothing in it holds the policy back: for :class:`charter.training.trust_region.TrustRegionStepper`, not
    for an optimizer that takes one step after another.

    Args:
        part: part of the data that holds the rollouts.
    """

    name = "policy_gradient"
    needs = frozenset({Need.LOGPS, Need.OLD_LOGPS, Need.ADVANTAGES})

    def __init__(self, part: str = "") -> None:
        self.part = part

    def counts(self, layout: Layout) -> dict[str, float]:
        """One unit per token."""
        return {self.name: float(len(layout_of(layout, self.part).sample_N))}

    def __call__(self, scored: Scored, stats: Stats) -> dict[str, Term]:
        """Sum over tokens."""
        scored = scored_of(scored, self.part)
        ratio_N = bounded_exp(scored.logps_N - scored.need("old_logps_N"))
        loss_N = -ratio_N * scored.need("advantage_N")
        return {self.name: PolicyMetrics.of(scored).term(loss_N.sum(), float(len(loss_N)))}


def step_size(curvature: float, max_kl: float) -> float:
    """How far along ``x`` the KL is ``max_kl`` to second order: ``sqrt(2 max_kl / x^T H x)`` (appendix C)."""
    return math.sqrt(2 * max_kl / curvature)


@dataclass(frozen=True, slots=True)
class Trial:
    """What a step would do: ``KL(old || new)`` in nats per token, and the surrogate after it."""

    kl: float
    surrogate: float


@dataclass(frozen=True, slots=True)
class Accepted:
    """The first trial that was good enough, and how often the step was shortened before it."""

    trial: Trial
    backtracks: int


def backtrack(
    attempt: Callable[[float], Trial], surrogate: float, max_kl: float, coeff: float, iterations: int
) -> Accepted | None:
    """Try ``coeff^j`` of the step, j = 0, 1, ..., until the KL is in bounds and the surrogate not worse.

    Args:
        attempt: tries that share of the step.
        surrogate: before the step.
        max_kl: bound of the KL.
        coeff: below 1.
        iterations: at most so many trials; None is returned where all fail. A trial that is not finite fails.
    """
    for j in range(iterations):
        trial = attempt(coeff**j)
        if trial.kl <= max_kl and trial.surrogate >= surrogate:
            return Accepted(trial, j)
    return None
