"""Nash-MD: policy gradient towards the policy that no other beats.

Shapes: N scored tokens, B samples.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

from charter.objectives.base import Layout, Need, Scored, Stats, Term
from charter.objectives.policy_metrics import PolicyMetrics
from charter.objectives.rollout_part import scored_of
from charter.objectives.surrogate_losses import reinforce

KLMode = Literal["reward_to_go", "same_token"]


def to_go(x_N: Tensor, sample_N: Tensor, num_samples: int) -> Tensor:
    """Sum of each token's own and all later entries of its sample, ``(N,)``; ``sample_N`` ascending."""
    before_N = x_N.cumsum(0) - x_N
    lengths_B = torch.bincount(sample_N, minlength=num_samples)
    after_B = torch.cat([before_N, x_N.sum()[None]])[lengths_B.cumsum(0)]
    return after_B[sample_N] - before_N


class NashMD:
    """``-(P(y beats y') - 1/2) log pi(y) + beta KL`` (Munos et al. 2023, 2312.00886, section 7).

    ``y`` is the policy's answer and ``y'`` the opponent's, drawn from a mixture of policy and reference
    (Nash-MD) or from a moving average of the policy (Nash-EMA). What was said about each sample
    (``Layout.value_B``) is the probability that it beats its opponent. A sample about which nothing was
    said is left out: an opponent's, which gets no gradient and so need not be in the batch at all, and
    an answer whose comparison failed.

    Args:
        beta: the paper's tau: weight of the KL to the reference, which is part of the policy gradient, not
            of the values: the log-ratio carries no gradient.
        kl_mode: ``reward_to_go``: a token answers for the log-ratios from itself on (the paper; unbiased).
            ``same_token``: for its own only, as in TRL 0.19, which drops what it does to later ones.
        part: part of the data that holds the rollouts.
    """

    name = "policy_gradient"
    needs = frozenset({Need.LOGPS, Need.REFERENCE})

    def __init__(self, beta: float = 0.008, kl_mode: KLMode = "reward_to_go", part: str = "") -> None:
        if kl_mode not in get_args(KLMode):
            raise ValueError(f"unknown kl_mode {kl_mode!r}")
        self.beta, self.kl_mode, self.part = beta, kl_mode, part

    def counts(self, layout: Layout) -> dict[str, float]:
        """One unit per answer that was compared."""
        return {self.name: float(self._compared_B(layout).sum())}

    def __call__(self, scored: Scored, stats: Stats) -> dict[str, Term]:
        """Sum over answers."""
        scored = scored_of(scored, self.part)
        layout = scored.layout
        compared_B = self._compared_B(layout)
        won_B = layout.value_B.to(scored.logps_N.dtype)
        gap_N = (scored.logps_N - scored.need("ref_logps_N")).detach()
        if self.kl_mode == "reward_to_go":
            gap_N = to_go(gap_N, layout.sample_N, layout.num_samples)
        advantage_N = (won_B - 0.5)[layout.sample_N] - self.beta * gap_N
        used_N = compared_B[layout.sample_N]
        metrics = PolicyMetrics.of(scored)
        metrics.moment("advantages", advantage_N[used_N])
        metrics.moment("rewards/win_probability", won_B[compared_B])
        loss_N = reinforce(scored.logps_N[used_N], advantage_N[used_N])
        return {self.name: metrics.term(loss_N, float(compared_B.sum()))}

    def _compared_B(self, layout: Layout) -> Tensor:
        return ~layout.value_B.isnan() & layout.in_part_B(self.part)
