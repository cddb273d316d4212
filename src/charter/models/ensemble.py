"""Several reward models as one: their mean, the worst, or the mean less their disagreement.

A policy that is trained, or an answer that is chosen, for a high reward finds the
mistakes of one model first; models that differ make different mistakes. Members
must be on one scale: normalise each on the same answers
(:mod:`charter.models.reward_scale`). They help most when they differ in pretraining,
less when only the seed of fine-tuning does.

Shapes: M members, B samples.
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from charter.errors import ConfigError

Combine = Literal["mean", "worst", "uncertainty"]
COMBINE: tuple[Combine, ...] = ("mean", "worst", "uncertainty")

BEST_OF_N_COEF, PPO_COEF = 0.5, 0.1
"""Weights of the variance that Coste et al. use when choosing among samples, and when training."""


def worst_case(reward_MB: Tensor) -> Tensor:
    """``min_k r_k``, ``(B,)``: worst-case optimisation (Coste et al. 2023, 2310.02743, equation 3)."""
    return reward_MB.amin(0)


def uncertainty_weighted(
    reward_MB: Tensor, coef: float = BEST_OF_N_COEF, *, unbiased: bool = False
) -> Tensor:
    """``mean_k r_k - coef * var_k r_k``, ``(B,)`` (ibid., equation 4).

    The variance of the population: the authors' best-of-n code has it, their PPO code divides by
    ``M - 1`` (``unbiased``), which for few members is much larger.
    """
    return reward_MB.mean(0) - coef * reward_MB.var(0, unbiased=unbiased)


def lower_confidence_bound(reward_MB: Tensor, coef: float = 1.0) -> Tensor:
    """``mean_k r_k - coef * std_k r_k``, ``(B,)``: another method, in the units of the reward.

    The deviation is the unbiased one.
    """
    return reward_MB.mean(0) - coef * reward_MB.std(0, unbiased=True)


def combined(reward_MB: Tensor, combine: Combine, coef: float = BEST_OF_N_COEF) -> Tensor:
    """One reward for each sample, ``(B,)``; NaN where a member has none.

    Raises:
        ConfigError: an unknown way.
    """
    if combine == "mean":
        return reward_MB.mean(0)
    if combine == "worst":
        return worst_case(reward_MB)
    if combine == "uncertainty":
        return uncertainty_weighted(reward_MB, coef)
    raise ConfigError(f"combine is one of {', '.join(COMBINE)}, not {combine!r}")
