"""P3O: policy gradient on pairs of answers to the same prompt.

Shapes: B samples, P pairs.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

from charter.objectives.base import Layout, Need, Scored, Stats, Term
from charter.objectives.policy_metrics import PolicyMetrics
from charter.objectives.rollout_part import scored_of
from charter.objectives.surrogate_losses import bounded_exp

Clip = Literal["none", "separate", "joint"]


def pairwise(logps_1_P: Tensor, logps_2_P: Tensor, gap_P: Tensor) -> Tensor:
    """``-(r1 - r2) (log pi(y1) - log pi(y2)) / 2``, ``(P,)``.

    Wu et al. 2023 (2310.00212), the pairwise policy gradient: for independent answers of the policy its
    expected gradient is that of the expected reward, and rewards that are shifted by any function of
    the prompt give the very same gradient.

    Args:
        logps_1_P, logps_2_P: log-probs of whole answers (sums).
        gap_P: ``r1 - r2``.
    """
    return -gap_P * (logps_1_P - logps_2_P) / 2


def separately_clipped(log_ratio_1_P: Tensor, log_ratio_2_P: Tensor, gap_P: Tensor, epsilon: float) -> Tensor:
    """Each answer's ratio clipped by itself and weighted by the other's, which carries no gradient, ``(P,)``.

    ``-(min(D w2 w1, D w2 clip(w1)) + min(-D w1 w2, -D w1 clip(w2))) / 2`` with ``D = r1 - r2``.

    Args:
        log_ratio_1_P, log_ratio_2_P: ``log pi - log pi_old`` of whole answers.
        gap_P: D.
        epsilon: clip to ``1 - epsilon .. 1 + epsilon``.
    """
    first_P, second_P = bounded_exp(log_ratio_1_P), bounded_exp(log_ratio_2_P)

    def one(own_P: Tensor, other_P: Tensor, gap_P: Tensor) -> Tensor:
        weight_P = gap_P * other_P.detach()
        return torch.minimum(weight_P * own_P, weight_P * own_P.clamp(1 - epsilon, 1 + epsilon))

    return -(one(first_P, second_P, gap_P) + one(second_P, first_P, -gap_P)) / 2


def jointly_clipped(
    log_ratio_1_P: Tensor, log_ratio_2_P: Tensor, old_margin_P: Tensor, gap_P: Tensor, epsilon: float
) -> Tensor:
    """One clip for both answers, ``(P,)``: of how far their margin of log-probs has moved.

    ``-min(c m, c clip(m, m_old - epsilon, m_old + epsilon)) / 2`` with ``m = log pi(y1) - log pi(y2)``
    and ``c = D sg(clip(w1 w2, 1 - epsilon, 1 + epsilon))``.

    Args:
        log_ratio_1_P, log_ratio_2_P: ``log pi - log pi_old`` of whole answers.
        old_margin_P: ``m_old``, without gradient.
        gap_P: ``D = r1 - r2``.
        epsilon: see above.
    """
    both_P = bounded_exp(log_ratio_1_P + log_ratio_2_P).clamp(1 - epsilon, 1 + epsilon).detach()
    moved_P = log_ratio_1_P - log_ratio_2_P
    margin_P = old_margin_P + moved_P
    kept_P = old_margin_P + moved_P.clamp(-epsilon, epsilon)
    return -torch.minimum(gap_P * both_P * margin_P, gap_P * both_P * kept_P) / 2


def rewarded_pairs(layout: Layout, part: str = "") -> Tensor:
    """All pairs ``i < j`` of samples of the same group that both have a reward, ``(P, 2)``."""
    known_B = ~layout.value_B.isnan() & layout.in_part_B(part)
    first, second = torch.triu_indices(layout.num_samples, layout.num_samples, 1, device=known_B.device)
    pair = (layout.group_B[first] == layout.group_B[second]) & known_B[first] & known_B[second]
    return torch.stack([first[pair], second[pair]], 1)


class P3O:
    """Pairwise proximal policy optimisation over all pairs of each group (Wu et al. 2023, 2310.00212).

    Rewards are what was said about each sample (``Layout.value_B``); a sample without a reward is in no
    pair. They are not standardised, and need no baseline. The gradient (:func:`pairwise`) is the paper's.
    Where exactly the clips stand in its two clipped forms is our definition (see
    :func:`separately_clipped` and :func:`jointly_clipped`): we had the forms and their names from
    secondary accounts. At the old policy both have the gradient of the unclipped form.

    Args:
        clip: ``joint`` (the paper found it the more stable), ``separate`` or ``none``.
        epsilon: width of the clip.
        beta: weight of the KL to the reference in the reward, ``r - beta (log pi_old - log ref)`` of the
            whole answer; 0 = no reference is needed.
        part: part of the data that holds the rollouts.
    """

    name = "policy_gradient"

    def __init__(self, clip: Clip = "joint", epsilon: float = 0.2, beta: float = 0.0, part: str = "") -> None:
        if clip not in get_args(Clip):
            raise ValueError(f"unknown clip {clip!r}")
        self.clip, self.epsilon, self.beta, self.part = clip, epsilon, beta, part

    @property
    def needs(self) -> frozenset[Need]:
        """The reference only where the reward holds a KL."""
        found = {Need.LOGPS, Need.OLD_LOGPS}
        return frozenset(found | {Need.REFERENCE} if self.beta else found)

    def counts(self, layout: Layout) -> dict[str, float]:
        """One unit per pair of rewarded samples of a group."""
        return {self.name: float(len(rewarded_pairs(layout, self.part)))}

    def __call__(self, scored: Scored, stats: Stats) -> dict[str, Term]:
        """Sum over pairs."""
        scored = scored_of(scored, self.part)
        first_P, second_P = rewarded_pairs(scored.layout, self.part).unbind(1)
        reward_B = self._rewards(scored)
        gap_P = reward_B[first_P] - reward_B[second_P]
        old_B = scored.sum_B(scored.need("old_logps_N"))
        moved_B = scored.sum_B(scored.logps_N - scored.need("old_logps_N"))
        metrics = PolicyMetrics.of(scored)
        metrics.mean("rewards/gap", gap_P.abs())
        moved_1_P, moved_2_P = moved_B[first_P], moved_B[second_P]
        if self.clip == "none":
            loss_P = pairwise(scored.logps_B[first_P], scored.logps_B[second_P], gap_P)
        elif self.clip == "separate":
            loss_P = separately_clipped(moved_1_P, moved_2_P, gap_P, self.epsilon)
            ratios = bounded_exp(torch.cat([moved_1_P, moved_2_P]))
            metrics.clips(ratios, torch.cat([gap_P, -gap_P]), self.epsilon, self.epsilon)
        else:
            old_margin_P = old_B[first_P] - old_B[second_P]
            loss_P = jointly_clipped(moved_1_P, moved_2_P, old_margin_P, gap_P, self.epsilon)
            # The clip is on the margin's move: as a ratio it is 1 where nothing has moved.
            metrics.clips(1 + moved_1_P - moved_2_P, gap_P, self.epsilon, self.epsilon)
        return {self.name: metrics.term(loss_P, float(len(loss_P)))}

    def _rewards(self, scored: Scored) -> Tensor:
        reward_B = scored.layout.value_B.to(scored.logps_N.dtype)
        if not self.beta:
            return reward_B
        return reward_B - self.beta * scored.sum_B(scored.need("old_logps_N") - scored.need("ref_logps_N"))
