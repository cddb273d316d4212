"""What every policy-gradient method reports of the rollouts it trains on; detached.

Shapes: N scored tokens, B samples, U units of any kind.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from charter.objectives.base import Scored, Term
from charter.objectives.kl import kl_estimate
from charter.objectives.rollout_part import trained_samples
from charter.objectives.surrogate_losses import bounded_exp, clipped_high, clipped_low, old_new_kl


@dataclass
class PolicyMetrics:
    """Collects the ``ratios``, ``maxima`` and ``moments`` of a :class:`charter.objectives.base.Term`."""

    ratios: dict[str, tuple[Tensor, Tensor]] = field(default_factory=dict)
    maxima: dict[str, Tensor] = field(default_factory=dict)
    moments: dict[str, tuple[Tensor, Tensor, Tensor]] = field(default_factory=dict)

    @classmethod
    def of(cls, scored: Scored) -> PolicyMetrics:
        """What can be said from what was computed, whatever the loss.

        ``kl``: mean over samples of the summed log-ratio to the reference (k1), ``kl/k3``: mean over
        tokens of k3, both in nats. ``approx_kl``: mean over tokens of k3 between the policy that the
        rollouts were scored under and the policy now. ``entropy``: mean over tokens, nats.
        """
        found, scored = cls(), scored.detached()
        if scored.advantage_N is not None:
            found.moment("advantages", scored.advantage_N)
        if scored.entropy_N is not None:
            found.mean("entropy", scored.entropy_N)
        if scored.old_logps_N is not None:
            log_ratio_N = scored.logps_N - scored.old_logps_N
            found.mean("approx_kl", old_new_kl(log_ratio_N))
            found.mean("ratio/mean", bounded_exp(log_ratio_N))
            found.largest("ratio/max", bounded_exp(log_ratio_N))
        if scored.ref_logps_N is not None:
            gap_N = scored.logps_N - scored.ref_logps_N
            found.ratios["kl"] = gap_N.sum(), gap_N.new_tensor(trained_samples(scored.layout))
            found.mean("kl/k3", kl_estimate(scored.logps_N, scored.ref_logps_N, "k3"))
        return found

    def mean(self, name: str, x_U: Tensor) -> None:
        """The mean of ``x_U`` over the step."""
        x_U = x_U.detach()
        x_U = x_U if x_U.is_floating_point() else x_U.float()
        self.ratios[name] = x_U.sum(), x_U.new_tensor(float(len(x_U)))

    def largest(self, name: str, x_U: Tensor) -> None:
        """The largest entry of ``x_U`` over the step."""
        if len(x_U):
            self.maxima[name] = x_U.detach().max()

    def moment(self, name: str, x_U: Tensor) -> None:
        """Mean and standard deviation of ``x_U`` over the step."""
        x_U = x_U.detach().cpu().double()
        self.moments[name] = x_U.sum(), (x_U**2).sum(), torch.tensor(float(len(x_U)))

    def clips(self, ratio_U: Tensor, advantage_U: Tensor, epsilon: float, epsilon_high: float) -> None:
        """How often the clip took the gradient away; TRL's names."""
        ratio_U = ratio_U.detach()
        low_U = clipped_low(ratio_U, advantage_U, epsilon)
        high_U = clipped_high(ratio_U, advantage_U, epsilon_high)
        self.mean("clip_ratio/low_mean", low_U)
        self.mean("clip_ratio/high_mean", high_U)
        self.mean("clip_ratio/region_mean", low_U | high_U)

    def term(self, loss_U: Tensor, count: float) -> Term:
        """The sum of losses as a term, with what was collected."""
        return Term(loss_U.sum(), count, ratios=self.ratios, maxima=self.maxima, moments=self.moments)
