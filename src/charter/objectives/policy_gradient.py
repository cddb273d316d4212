"""Policy gradients with per-token advantages: REINFORCE, RLOO, PPO, GRPO and what followed.

Shapes: N scored tokens, B samples.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

import torch
from torch import Tensor

from charter.objectives.base import Layout, Need, Scored, Stats, Term
from charter.objectives.importance import Mode, importance_weights
from charter.objectives.kl_penalty import KLEstimator, kl_penalty
from charter.objectives.policy_metrics import PolicyMetrics
from charter.objectives.rollout_part import layout_of, scored_of, trained_samples
from charter.objectives.surrogate_losses import (
    RatioLevel,
    bounded_exp,
    cispo,
    clipped_surrogate,
    importance_ratio,
    reinforce,
)

LossType = Literal["grpo", "dapo", "bnpo", "dr_grpo", "cispo"]
CISPO_MAX = 5.0
"""Largest weight of a token (ScaleRL, 2510.13786)."""


class ClippedSurrogate:
    """The clipped surrogate of PPO, and its descendants by the names and meanings of TRL's GRPO.

    PPO-clip, DAPO: ``loss_type="dapo"``. GRPO: ``"grpo"``. GSPO: ``"grpo"`` with
    ``importance_sampling_level="sequence"``. Where nothing has been learnt from the rollouts yet, every
    ratio is 1 and the gradient is that of REINFORCE.

    ``loss_type`` says what the sum of token losses is divided by, over the whole optimizer step:

    - ``grpo``: each answer by its length, then by the number of answers (2402.03300).
    - ``dapo``: the number of tokens (2503.14476), as in PPO.
    - ``bnpo``: TRL divides by the tokens of the local batch. Here a batch is the optimizer step, and so
      it is ``dapo``.
    - ``dr_grpo``: answers times ``max_completion_length``, so that no answer's length changes what its
      tokens count (2503.20783).
    - ``cispo``: the number of tokens, of losses whose weight is clipped (2506.13585).

    Args:
        loss_type: see above.
        epsilon: how far below 1 (and above, unless ``epsilon_high`` says) a ratio still earns something.
        epsilon_high: how far above; None = ``epsilon``. With ``cispo`` the largest weight itself, not a
            distance from 1; None = 5. (TRL falls back to ``epsilon`` there, which makes most weights 0.2.)
        delta: bound of the ratio that is not clipped (two-sided clipping); None = none.
        dual_clip: PPO's bound on the loss of negative advantages; None = none.
        importance_sampling_level: see :func:`charter.objectives.surrogate_losses.importance_ratio`.
        beta: weight of the KL to the reference in the loss; 0 = no reference is needed.
        kl_estimator, use_bias_correction_kl: see :func:`charter.objectives.kl_penalty.kl_penalty`;
            the correction multiplies by the ratio.
        max_completion_length: of ``dr_grpo``.
        importance_sampling_correction: weigh tokens by how much likelier the trainer found them than the
            sampler did when the rollouts were scored (truncated importance sampling). The weight
            multiplies what the clip made, not the KL.
        importance_sampling_mode, importance_sampling_clip_max, importance_sampling_clip_min: see
            :func:`charter.objectives.importance.importance_weights`.
        part: part of the data that holds the rollouts.

    Raises:
        ValueError: an unknown name, or settings that do not go together.
    """

    name = "policy_gradient"

    def __init__(
        self,
        loss_type: LossType = "dapo",
        epsilon: float = 0.2,
        epsilon_high: float | None = None,
        delta: float | None = None,
        dual_clip: float | None = None,
        importance_sampling_level: RatioLevel = "token",
        beta: float = 0.0,
        kl_estimator: KLEstimator = "k3",
        use_bias_correction_kl: bool = True,
        max_completion_length: int | None = None,
        importance_sampling_correction: bool = False,
        importance_sampling_mode: Mode = "token_truncate",
        importance_sampling_clip_max: float | None = 2.0,
        importance_sampling_clip_min: float | None = None,
        part: str = "",
    ) -> None:
        _known("loss_type", loss_type, LossType)
        _known("importance_sampling_level", importance_sampling_level, RatioLevel)
        _known("kl_estimator", kl_estimator, KLEstimator)
        _known("importance_sampling_mode", importance_sampling_mode, Mode)
        if loss_type == "dr_grpo" and not max_completion_length:
            raise ValueError("loss_type 'dr_grpo' divides by max_completion_length, and it is not given")
        if loss_type == "cispo" and (delta is not None or dual_clip is not None):
            raise ValueError("cispo has one bound, epsilon_high; delta and dual_clip are of the other losses")
        if delta is not None and dual_clip is not None:
            raise ValueError("delta and dual_clip both bound the ratio of negative advantages: give one")
        self.loss_type, self.level, self.part = loss_type, importance_sampling_level, part
        self.epsilon, self.delta, self.dual_clip = epsilon, delta, dual_clip
        fallback = CISPO_MAX if loss_type == "cispo" else epsilon
        self.epsilon_high = fallback if epsilon_high is None else epsilon_high
        self.beta, self.kl_estimator, self.kl_with_ratio = beta, kl_estimator, use_bias_correction_kl
        self.max_completion_length = max_completion_length or 0
        self.corrects = importance_sampling_correction
        self.mode = importance_sampling_mode
        self.clip_max, self.clip_min = importance_sampling_clip_max, importance_sampling_clip_min

    @property
    def needs(self) -> frozenset[Need]:
        """The reference and the sampler only where they are used."""
        found = {Need.LOGPS, Need.OLD_LOGPS, Need.ADVANTAGES}
        if self.beta:
            found.add(Need.REFERENCE)
        if self.corrects:
            found.add(Need.SAMPLER)
        return frozenset(found)

    def stated_by(self) -> tuple[Callable[..., Tensor], ...]:
        """For the documentation: the surrogate, its ratio, and the KL where there is one."""
        surrogate = cispo if self.loss_type == "cispo" else clipped_surrogate
        return (surrogate, importance_ratio, *([kl_penalty] if self.beta else []))

    def counts(self, layout: Layout) -> dict[str, float]:
        """Tokens, answers that have one, or the length those could have had; see ``loss_type``."""
        layout = layout_of(layout, self.part)
        if self.loss_type == "grpo":
            return {self.name: trained_samples(layout)}
        if self.loss_type == "dr_grpo":
            return {self.name: trained_samples(layout) * self.max_completion_length}
        return {self.name: float(len(layout.sample_N))}

    def __call__(self, scored: Scored, stats: Stats) -> dict[str, Term]:
        """Sum of token losses, with the metrics of policy-gradient methods."""
        count = self.counts(scored.layout)[self.name]
        scored = scored_of(scored, self.part)
        layout, advantage_N = scored.layout, scored.need("advantage_N")
        ratio_N = importance_ratio(
            scored.logps_N, scored.need("old_logps_N"), layout.sample_N, layout.num_samples, self.level
        )
        metrics = PolicyMetrics.of(scored)
        loss_N = self._surrogate(scored.logps_N, ratio_N, advantage_N, metrics)
        if self.corrects:
            loss_N = loss_N * self._weights(scored, metrics)
        if self.beta:
            with_N = ratio_N if self.kl_with_ratio else None
            ref_N = scored.need("ref_logps_N")
            loss_N = loss_N + self.beta * kl_penalty(scored.logps_N, ref_N, self.kl_estimator, with_N)
        if self.loss_type == "grpo":
            loss_N = loss_N / scored.lengths_B[layout.sample_N]
        return {self.name: metrics.term(loss_N, count)}

    def _surrogate(
        self, logps_N: Tensor, ratio_N: Tensor, advantage_N: Tensor, metrics: PolicyMetrics
    ) -> Tensor:
        if self.loss_type == "cispo":
            metrics.mean("cispo_clip_ratio", (ratio_N > self.epsilon_high) & (advantage_N > 0))
            return cispo(logps_N, ratio_N, advantage_N, self.epsilon_high)
        metrics.clips(ratio_N, advantage_N, self.epsilon, self.epsilon_high)
        bounds = self.epsilon, self.epsilon_high, self.delta, self.dual_clip
        return clipped_surrogate(ratio_N, advantage_N, *bounds)

    def _weights(self, scored: Scored, metrics: PolicyMetrics) -> Tensor:
        """Of the sampler's tokens under the trainer's policy, ``(N,)``."""
        weight_N = importance_weights(
            scored.need("old_logps_N"),
            scored.need("sampler_logps_N"),
            scored.layout.sample_N,
            self.mode,
            self.clip_max,
            self.clip_min,
        )
        metrics.mean("sampling/importance_sampling_ratio/mean", weight_N)
        metrics.largest("sampling/importance_sampling_ratio/max", weight_N)
        metrics.mean("sampling/kept", weight_N > 0)
        return weight_N


class Reinforce:
    """REINFORCE (Williams 1992): ``-A log pi(y|x)``; the baseline and any KL are in the advantage.

    Args:
        aggregation: ``sequence_sum``: an answer is one action, and the mean is over answers;
            ``token_mean``: the mean is over tokens, whose size depends on the lengths in the batch.
        part: part of the data that holds the rollouts.
    """

    name = "policy_gradient"
    needs = frozenset({Need.LOGPS, Need.ADVANTAGES})

    def __init__(
        self, aggregation: Literal["sequence_sum", "token_mean"] = "sequence_sum", part: str = ""
    ) -> None:
        if aggregation not in ("sequence_sum", "token_mean"):
            raise ValueError(f"unknown aggregation {aggregation!r}")
        self.by_sequence, self.part = aggregation == "sequence_sum", part

    def counts(self, layout: Layout) -> dict[str, float]:
        """One unit per answer that has a token, or per token."""
        layout = layout_of(layout, self.part)
        return {self.name: trained_samples(layout) if self.by_sequence else float(len(layout.sample_N))}

    def __call__(self, scored: Scored, stats: Stats) -> dict[str, Term]:
        """Sum over tokens."""
        count = self.counts(scored.layout)[self.name]
        scored = scored_of(scored, self.part)
        loss_N = reinforce(scored.logps_N, scored.need("advantage_N"))
        return {self.name: PolicyMetrics.of(scored).term(loss_N, count)}


class RLOO:
    """REINFORCE leave-one-out with answers as actions, clipped as in TRL (Ahmadian et al. 2024, 2402.14740).

    The clip is :func:`charter.objectives.surrogate_losses.clipped_surrogate`. The ratio is that of whole
    answers, ``exp(sum over tokens of new - old)``, which is soon far from 1 for long answers: meant for
    one update per batch, where it is 1 and this is REINFORCE. The leave-one-out baseline and the KL are
    in the advantage, which is the same for all tokens of an answer (else their mean is taken).

    Args:
        epsilon: how far below 1 a ratio still earns something.
        epsilon_high: how far above; None = ``epsilon``.
        part: part of the data that holds the rollouts.
    """

    name = "policy_gradient"
    needs = frozenset({Need.LOGPS, Need.OLD_LOGPS, Need.ADVANTAGES})

    def __init__(self, epsilon: float = 0.2, epsilon_high: float | None = None, part: str = "") -> None:
        self.epsilon, self.part = epsilon, part
        self.epsilon_high = epsilon if epsilon_high is None else epsilon_high

    def counts(self, layout: Layout) -> dict[str, float]:
        """One unit per answer that has a token."""
        return {self.name: trained_samples(layout_of(layout, self.part))}

    def __call__(self, scored: Scored, stats: Stats) -> dict[str, Term]:
        """Sum over answers."""
        count = self.counts(scored.layout)[self.name]
        scored = scored_of(scored, self.part)
        ratio_B = self.ratio_B(scored)
        advantage_B = scored.sum_B(scored.need("advantage_N")) / scored.lengths_B
        trained_B = torch.unique(scored.layout.sample_N)
        ratio_B, advantage_B = ratio_B[trained_B], advantage_B[trained_B]
        metrics = PolicyMetrics.of(scored)
        metrics.clips(ratio_B, advantage_B, self.epsilon, self.epsilon_high)
        loss_B = clipped_surrogate(ratio_B, advantage_B, self.epsilon, self.epsilon_high)
        return {self.name: metrics.term(loss_B, count)}

    @staticmethod
    def ratio_B(scored: Scored) -> Tensor:
        """How much likelier each whole answer is than under the old policy, ``(B,)``."""
        return bounded_exp(scored.sum_B(scored.logps_N - scored.need("old_logps_N")))


def _known(option: str, value: str, names: object) -> None:
    if value not in get_args(names):
        raise ValueError(f"unknown {option} {value!r}")
