"""PPO with a KL penalty, in place of the clip or beside it, and the rule that adapts its coefficient.

Shapes: N scored tokens.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from charter.objectives.base import Layout, Need, Scored, Stats, Term
from charter.objectives.policy_metrics import PolicyMetrics
from charter.objectives.rollout_part import layout_of, scored_of
from charter.objectives.surrogate_losses import bounded_exp, clipped_surrogate, old_new_kl

TOLERANCE, FACTOR = 1.5, 2.0
BETA_RANGE = (1e-6, 1e6)


def adapted(beta: float, kl: float, kl_target: float) -> float:
    """The coefficient after a round: half below ``kl_target / 1.5``, double above ``1.5 kl_target``.

    Schulman et al. 2017 (1707.06347), section 4. Held within :data:`BETA_RANGE`, from where it could
    not come back in reasonable time. It has nothing to do with the controller of the KL to the
    reference (Ziegler et al. 2019, 1909.08593).
    """
    if kl < kl_target / TOLERANCE:
        beta = beta / FACTOR
    elif kl > kl_target * TOLERANCE:
        beta = beta * FACTOR
    return min(max(beta, BETA_RANGE[0]), BETA_RANGE[1])


class PPOPenalty:
    """``-ratio A + beta KL(old || new)``, mean over tokens (Schulman et al. 2017, 1707.06347, equation 8).

    With ``epsilon`` the ratio is clipped as well (ibid., equation 7): section 4 offers the penalty as an
    alternative to the clip "or in addition" to it. The KL is estimated on the old policy's tokens by
    ``ratio - 1 - log ratio``, which is unbiased, as is its gradient. The coefficient changes once for each
    round of rollouts, when the first rollouts of newer weights are seen: by the KL that the last step of
    the round before was about to start from. A round of one step says nothing, as the policy has not yet
    moved when it is measured, and changes nothing.

    Args:
        beta: the coefficient to begin with; a constant where ``kl_target`` is None.
        kl_target: nats per token that a round is meant to go (the paper: 0.003 to 0.03).
        epsilon: how far from 1 the ratio still earns something; None = it is not clipped.
        part: part of the data that holds the rollouts.
    """

    name = "policy_gradient"

    def __init__(
        self,
        beta: float = 1.0,
        kl_target: float | None = 0.01,
        epsilon: float | None = None,
        part: str = "",
    ) -> None:
        self.beta, self.kl_target, self.epsilon, self.part = beta, kl_target, epsilon, part
        self._kl, self._steps, self._version = 0.0, 0, -1

    @property
    def needs(self) -> frozenset[Need]:
        """The KL of the whole step only where the coefficient adapts."""
        found = {Need.LOGPS, Need.OLD_LOGPS, Need.ADVANTAGES}
        return frozenset(found if self.kl_target is None else found | {Need.STEP_STATISTICS})

    def counts(self, layout: Layout) -> dict[str, float]:
        """One unit per token."""
        return {self.name: float(len(layout_of(layout, self.part).sample_N))}

    def prepare(self, scored: Scored) -> dict[str, Tensor]:
        """The KL at each token, and how old the weights are that sampled them."""
        scored = scored_of(scored, self.part)
        kl_N = old_new_kl(scored.logps_N - scored.need("old_logps_N"))
        return {"kl": kl_N, "version": scored.layout.version_B[scored.layout.sample_N]}

    def update(self, stats: Stats) -> None:
        """Take in a step's KL; at the first step of a round, adapt to what the last one said."""
        kl_N, version_N = stats["kl"], stats["version"]
        if self.kl_target is None or not len(kl_N):
            return
        version = int(version_N.max())
        if version > self._version:
            if self._steps > 1:
                self.beta = adapted(self.beta, self._kl, self.kl_target)
            self._version, self._steps = version, 0
        self._kl, self._steps = float(kl_N.double().mean()), self._steps + 1

    def state(self) -> dict[str, float]:
        """The coefficient, and the round in hand."""
        return {"beta": self.beta, "kl": self._kl, "steps": self._steps, "version": self._version}

    def load_state(self, state: Mapping[str, float]) -> None:
        """Put back what :meth:`state` returned."""
        self.beta, self._kl = state["beta"], state["kl"]
        self._steps, self._version = int(state["steps"]), int(state["version"])

    def __call__(self, scored: Scored, stats: Stats) -> dict[str, Term]:
        """Sum over tokens."""
        scored = scored_of(scored, self.part)
        log_ratio_N = scored.logps_N - scored.need("old_logps_N")
        metrics = PolicyMetrics.of(scored)
        surrogate_N = self._surrogate(bounded_exp(log_ratio_N), scored.need("advantage_N"), metrics)
        loss_N = surrogate_N + self.beta * old_new_kl(log_ratio_N)
        metrics.mean("kl_coef", torch.tensor([self.beta], dtype=torch.float64))
        return {self.name: metrics.term(loss_N, float(len(loss_N)))}

    def _surrogate(self, ratio_N: Tensor, advantage_N: Tensor, metrics: PolicyMetrics) -> Tensor:
        if self.epsilon is None:
            return -ratio_N * advantage_N
        metrics.clips(ratio_N, advantage_N, self.epsilon, self.epsilon)
        return clipped_surrogate(ratio_N, advantage_N, self.epsilon, self.epsilon)
