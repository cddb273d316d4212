"""Group-distributional GDPO: the model's distribution over beliefs follows that of a group of people.

Yao et al. 2024 (2412.20299). NVIDIA's GDPO, which normalises rewards apart in policy-gradient
training, is another method with the same letters. The authors' training
script (BigBinnie/GDPO, run_gdpo.sh) sets beta to 0.1.

Shapes: B samples, G groups (rows of data), N scored tokens.
"""

from __future__ import annotations

import torch
from torch import Tensor

from charter.catalogue.pluralistic import BELIEF, P_STAR
from charter.objectives.base import Layout, Need, Scored, Stats, Term
from charter.objectives.listwise import group_log_softmax, group_sum, mean_weight


def belief_kl(
    logps_B: Tensor, p_star_B: Tensor, group_B: Tensor, groups: int, *, renormalize: bool = False
) -> Tensor:
    """``KL(p* || pi(b | x))`` over the beliefs of each group, ``(G,)``; ``0 log 0 = 0``.

    Yao et al. 2024 (2412.20299), as in the authors' code.

    Args:
        logps_B: log-prob of each belief's text after the prompt.
        p_star_B: share of the people who hold it.
        group_B, groups: which of how many groups each belief is in.
        renormalize: compare with the distribution over the beliefs given. Otherwise with their
            probabilities among all texts, as the authors do: that also raises their sum to 1.
    """
    log_p_B = group_log_softmax(logps_B, group_B, groups) if renormalize else logps_B
    return group_sum(torch.special.xlogy(p_star_B, p_star_B) - p_star_B * log_p_B, group_B, groups)


class BeliefKL:
    """The calibration term, :func:`belief_kl`: one unit a group, that is a row of data.

    Args:
        renormalize: see :func:`belief_kl`.
    """

    needs = frozenset({Need.LOGPS, Need.DIMENSIONS})

    def __init__(self, renormalize: bool = False) -> None:
        self.renormalize = renormalize

    def counts(self, layout: Layout) -> dict[str, float]:
        """One unit per group with beliefs, weighted."""
        return {"belief_kl": float(_row_weight(layout).sum())}

    def __call__(self, scored: Scored, stats: Stats) -> dict[str, Term]:
        """Sum over groups."""
        layout = scored.layout
        said_B = _said(layout, P_STAR)
        chosen_B = ~said_B.isnan()
        group_B, p_star_B = layout.group_B[chosen_B], said_B[chosen_B].to(scored.logps_B.dtype)
        logps_B, groups = scored.logps_B[chosen_B], layout.num_groups
        weight_G = _row_weight(layout).to(logps_B.dtype)
        loss_G = belief_kl(logps_B, p_star_B, group_B, groups, renormalize=self.renormalize)
        metrics = _metrics(logps_B.detach(), p_star_B, group_B, weight_G)
        total = (loss_G * weight_G)[weight_G > 0].sum()
        return {"belief_kl": Term(total, float(weight_G.sum()), metrics)}


class BeliefNLL:
    """Token-mean NLL of the belief that each row's answers were judged under."""

    needs = frozenset({Need.LOGPS, Need.DIMENSIONS})

    def counts(self, layout: Layout) -> dict[str, float]:
        """One unit per token of such a belief, weighted."""
        return {"belief_nll": float(_held_weight(layout)[layout.sample_N].sum())}

    def __call__(self, scored: Scored, stats: Stats) -> dict[str, Term]:
        """Sum of token losses."""
        weight_B = _held_weight(scored.layout)
        count = float(weight_B[scored.layout.sample_N].sum())
        return {"belief_nll": Term(-(weight_B * scored.logps_B).sum(), count)}


def _said(layout: Layout, name: str) -> Tensor:
    """What was said about each sample under ``name``; NaN everywhere where the data do not have it."""
    if name not in layout.dimensions:
        return torch.full_like(layout.value_BZ[:, 0], torch.nan)
    return layout.value_BZ[:, layout.dimensions.index(name)]


def _held_weight(layout: Layout) -> Tensor:
    """Weight of the samples that are the belief of their row, ``(B,)``."""
    return layout.weight_B * (_said(layout, BELIEF) > 0.5)


def _row_weight(layout: Layout) -> Tensor:
    """Weight of each group: the mean of its beliefs', 0 where it has none, ``(G,)``."""
    return mean_weight(layout, ~_said(layout, P_STAR).isnan())


@torch.no_grad()
def _metrics(logps_B: Tensor, p_star_B: Tensor, group_B: Tensor, weight_G: Tensor) -> dict[str, Tensor]:
    """Sums over groups.

    ``belief/jsd``: Jensen-Shannon divergence in nats between the people's distribution and the
    model's over the beliefs; ``belief/mass``: the beliefs' probability among all texts;
    ``belief/accuracy``: the model's likeliest belief is (one of) the people's.
    """
    groups = len(weight_G)
    p_B = group_log_softmax(logps_B, group_B, groups).exp()
    middle_B = (p_B + p_star_B) / 2
    kl_B = [torch.special.xlogy(q_B, q_B) - torch.special.xlogy(q_B, middle_B) for q_B in (p_B, p_star_B)]
    zeros_G = torch.zeros(groups, dtype=p_B.dtype, device=p_B.device)
    top_G = zeros_G.scatter_reduce(0, group_B, p_B, "amax")
    wanted_G = zeros_G.scatter_reduce(0, group_B, p_star_B, "amax")
    right_B = (p_B == top_G[group_B]) & (p_star_B == wanted_G[group_B])
    per_group = {
        "belief/jsd": group_sum((kl_B[0] + kl_B[1]) / 2, group_B, groups),
        "belief/mass": group_sum(logps_B.exp(), group_B, groups),
        "belief/accuracy": group_sum(right_B.to(p_B.dtype), group_B, groups).clamp(max=1),
    }
    return {name: (x_G * weight_G)[weight_G > 0].sum() for name, x_G in per_group.items()}
