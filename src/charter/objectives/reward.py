"""Reward models on comparisons: the loss reads the reward at the end of each answer.

Shapes: B samples, P pairs, G groups, Z dimensions.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import torch
from torch import Tensor

from charter.errors import ConfigError
from charter.objectives.base import Layout, Need, Scored, Stats, Term
from charter.objectives.pair_metrics import accuracy
from charter.objectives.ranking import bradley_terry, plackett_luce

Centering = Literal["squared", "absolute_mean"]

_SUM = "center/sum"


class BradleyTerry:
    """The better answer gets the higher reward; see :func:`charter.objectives.ranking.bradley_terry`.

    Args:
        use_margin: subtract each pair's margin inside the sigmoid.
        center_rewards_coefficient: weight of a term that pulls rewards to mean 0; None = without.
        center_rewards_type: ``squared``: the mean of ``(r_w + r_l)^2`` (Eisenstein et al. 2023,
            2312.09244, equation 2; TRL). ``absolute_mean``: ``|mean(r_w + r_l)|`` over the whole
            step (LLaVA-RLHF, 2309.14525, in its code).
        per_prompt: all pairs of one prompt are one element: a mean over them, then over prompts
            (Ouyang et al. 2022, 2203.02155, equation 1). Off = a mean over pairs.
        per_dimension: each pair is judged on the dimension its ``principle`` names, and trains that
            output alone. Off = there is one output.
    """

    def __init__(
        self,
        use_margin: bool = False,
        center_rewards_coefficient: float | None = None,
        center_rewards_type: Centering = "squared",
        per_prompt: bool = False,
        per_dimension: bool = False,
    ) -> None:
        if center_rewards_type not in ("squared", "absolute_mean"):
            raise ConfigError(
                f"center_rewards_type is 'squared' or 'absolute_mean', not {center_rewards_type!r}"
            )
        self.coefficient, self.type = center_rewards_coefficient, center_rewards_type
        self.use_margin, self.per_prompt, self.per_dimension = use_margin, per_prompt, per_dimension

    @property
    def needs(self) -> frozenset[Need]:
        """Rewards; what centring and dimensions take beside them."""
        found = {Need.REWARD}
        if self.per_dimension:
            found.add(Need.DIMENSIONS)
        if self.coefficient is not None and self.type == "absolute_mean":
            found.add(Need.STEP_STATISTICS)
        return frozenset(found)

    def counts(self, layout: Layout) -> dict[str, float]:
        """One unit per pair, or per prompt, weighted."""
        count = float(self._weight_P(layout).sum())
        return {"reward": count} if self.coefficient is None else {"reward": count, "center": count}

    def prepare(self, scored: Scored) -> dict[str, Tensor]:
        """The weighted sum of ``r_w + r_l`` of one micro-batch, ``(1,)``."""
        better_P, worse_P = self._sides(scored)
        return {_SUM: ((better_P + worse_P) * self._weight_P(scored.layout)).sum()[None]}

    def __call__(self, scored: Scored, stats: Stats) -> dict[str, Term]:
        """Sum of pair losses, and of the centring term."""
        layout = scored.layout
        weight_P, (better_P, worse_P) = self._weight_P(layout), self._sides(scored)
        margin_P = layout.margin_P if self.use_margin else None
        loss_P = bradley_terry(better_P, worse_P, layout.probability_P, margin_P)
        count = float(weight_P.sum())
        metrics = _metrics(better_P.detach(), worse_P.detach(), layout.probability_P, weight_P)
        terms = {"reward": Term((loss_P * weight_P).sum(), count, metrics)}
        if self.coefficient is not None:
            both_P = better_P + worse_P
            pulled_P = both_P.square() if self.type == "squared" else both_P * stats[_SUM].sum().sign()
            terms["center"] = Term(self.coefficient * (pulled_P * weight_P).sum(), count)
        return terms

    def _sides(self, scored: Scored) -> tuple[Tensor, Tensor]:
        """Rewards of both sides of each pair, ``(P,)`` each."""
        if not self.per_dimension:
            return scored.better(scored.reward_B), scored.worse(scored.reward_B)
        reward_BZ, layout = scored.need("reward_BZ"), scored.layout
        better_P, worse_P = (reward_BZ[layout.pairs_P2[:, side], layout.dimension_P] for side in (0, 1))
        return better_P, worse_P

    def _weight_P(self, layout: Layout) -> Tensor:
        return prompt_weights(layout) if self.per_prompt else layout.weight_P


def prompt_weights(layout: Layout) -> Tensor:
    """Weights with which a sum over pairs is a sum over prompts of means over their pairs, ``(P,)``.

    They add up to the mean weight of each prompt's pairs.
    """
    pairs_G = torch.bincount(layout.group_P, minlength=layout.num_groups)
    return layout.weight_P / pairs_G[layout.group_P]


@torch.no_grad()
def _metrics(better_P: Tensor, worse_P: Tensor, probability_P: Tensor, weight_P: Tensor) -> dict[str, Tensor]:
    """Weighted sums over pairs. Accuracy and margins are of the rewards, without the data's margin.

    ``rewards/accuracies`` is the probability that the order of the rewards is right, as the data say
    it; ``rewards/probability`` how probable the rewards find the data's order: the mean of
    ``p sigmoid(r_w - r_l) + (1 - p) sigmoid(r_l - r_w)``.
    """
    gap_P = better_P - worse_P
    per_pair = {
        "rewards/chosen": better_P,
        "rewards/rejected": worse_P,
        "rewards/margins": gap_P,
        "rewards/accuracies": accuracy(better_P, worse_P, probability_P),
        "rewards/probability": probability_P * gap_P.sigmoid() + (1 - probability_P) * (-gap_P).sigmoid(),
    }
    return {name: (x_P * weight_P).sum() for name, x_P in per_pair.items()}


class PlackettLuce:
    """The likelihood of whole rankings; see :func:`charter.objectives.ranking.plackett_luce`.

    A sample's rank is the number of samples that beat it, which for the pairs of a ranking is its
    place, and the same for samples that tie. The mean is over rankings.
    """

    needs = frozenset({Need.REWARD})

    def counts(self, layout: Layout) -> dict[str, float]:
        """One unit per group with a pair, weighted as its pairs are on average."""
        return {"ranking": float(prompt_weights(layout).sum())}

    def __call__(self, scored: Scored, stats: Stats) -> dict[str, Term]:
        """Sum over rankings, with accuracy and margin over their pairs."""
        layout, reward_B = scored.layout, scored.reward_B
        weight_P = prompt_weights(layout)
        weight_G = weight_P.new_zeros(layout.num_groups).index_add(0, layout.group_P, weight_P)
        total = reward_B.new_zeros(())
        for group, member_K, rank_K in rankings(layout):
            total = total + weight_G[group] * plackett_luce(reward_B[member_K], rank_K)
        better_P, worse_P = scored.better(reward_B.detach()), scored.worse(reward_B.detach())
        metrics = _metrics(better_P, worse_P, layout.probability_P, weight_P)
        return {"ranking": Term(total, float(weight_P.sum()), metrics)}


def rankings(layout: Layout) -> Iterator[tuple[int, Tensor, Tensor]]:
    """``(group, its samples, their ranks)`` of each group that has a pair."""
    rank_B = torch.bincount(layout.pairs_P2[:, 1], minlength=layout.num_samples)
    for group in sorted(set(layout.group_P.tolist())):
        member_K = (layout.group_B == group).nonzero()[:, 0]
        yield group, member_K, rank_B[member_K]
