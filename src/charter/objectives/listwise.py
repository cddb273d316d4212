"""Losses on K rated answers to one prompt: InfoNCA, NCA, EXO. The unit is the group.

Shapes: B samples, G groups. An answer without a rating takes no part; a group with fewer than
two rated answers says nothing and is not counted.

Temperatures as the authors trained: NCA's repository divides ratings by 1e-4 (the best answer takes
all) with beta 0.01; EXO's scripts for HH set both temperatures to 0.5.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from charter.objectives.base import Layout, Need, Scored, Stats, Term


def group_sum(x_B: Tensor, group_B: Tensor, groups: int) -> Tensor:
    """Sum over each group, ``(G,)``."""
    return torch.zeros(groups, dtype=x_B.dtype, device=x_B.device).index_add(0, group_B, x_B)


def group_log_softmax(x_B: Tensor, group_B: Tensor, groups: int) -> Tensor:
    """Log-softmax within each group, ``(B,)``."""
    lowest_G = torch.full((groups,), -torch.inf, dtype=x_B.dtype, device=x_B.device)
    top_G = lowest_G.scatter_reduce(0, group_B, x_B.detach(), "amax")
    shifted_B = x_B - top_G[group_B]
    return shifted_B - group_sum(shifted_B.exp(), group_B, groups).log()[group_B]


def infonca_loss(reward_B: Tensor, target_B: Tensor, group_B: Tensor, groups: int) -> Tensor:
    """InfoNCA, ``(G,)``: ``-sum_k target_k log softmax(reward)_k``.

    Chen et al. 2024 (2402.05369). Two answers of which one has all of the target give DPO.

    Args:
        reward_B: implicit rewards ``beta * log(pi / ref)``.
        target_B: softmax of the ratings over each group.
        group_B, groups: which of how many groups each answer is in.
    """
    return -group_sum(target_B * group_log_softmax(reward_B, group_B, groups), group_B, groups)


def nca_loss(reward_B: Tensor, target_B: Tensor, group_B: Tensor, groups: int) -> Tensor:
    """NCA, ``(G,)``: ``-sum_k target_k log sigmoid(reward_k) - (1/K) sum_k log sigmoid(-reward_k)``.

    Chen et al. 2024 (2402.05369); the lines of the authors' code; arguments as in ``infonca_loss``.
    """
    count_G = group_sum(torch.ones_like(reward_B), group_B, groups).clamp_min(1)
    pull_G = group_sum(target_B * F.logsigmoid(reward_B), group_B, groups)
    push_G = group_sum(F.logsigmoid(-reward_B), group_B, groups) / count_G
    return -pull_G - push_G


def exo_loss(reward_B: Tensor, log_target_B: Tensor, group_B: Tensor, groups: int) -> Tensor:
    """EXO on rewards, ``(G,)``: ``KL(softmax(reward) || target)``, the reverse of InfoNCA's direction.

    Ji et al. 2024 (2402.00856), with a reward model; the lines of the authors' code.

    Args:
        reward_B: implicit rewards ``beta * log(pi / ref)``.
        log_target_B: log-softmax of the ratings over each group.
        group_B, groups: which of how many groups each answer is in.
    """
    log_policy_B = group_log_softmax(reward_B, group_B, groups)
    return group_sum(log_policy_B.exp() * (log_policy_B - log_target_B), group_B, groups)


class _Rated:
    """What the three have in common: rated answers, a temperature of ratings, one unit a group."""

    needs = frozenset({Need.LOGPS, Need.REFERENCE})
    name: str

    def __init__(self, beta: float, temperature: float) -> None:
        self.beta, self.temperature = beta, temperature

    def counts(self, layout: Layout) -> dict[str, float]:
        """One unit per group with two or more rated answers, weighted."""
        return {self.name: float(group_weight(layout).sum())}

    def __call__(self, scored: Scored, stats: Stats) -> dict[str, Term]:
        """Sum of group losses."""
        layout = scored.layout
        rated_B = ~layout.value_B.isnan()
        group_B, rating_B = layout.group_B[rated_B], layout.value_B[rated_B]
        reward_B = self.beta * scored.logratios_B[rated_B]
        # In the type of the log-probs: ratings divided by a small temperature need the digits.
        log_target_B = group_log_softmax(
            rating_B.to(reward_B.dtype) / self.temperature, group_B, layout.num_groups
        )
        weight_G = group_weight(layout)
        loss_G = self.loss(reward_B, log_target_B, group_B, layout.num_groups)
        # A group left out may hold no answer at all: it must not enter as a product with 0.
        total = (loss_G * weight_G)[weight_G > 0].sum()
        metrics = rated_metrics(scored, self.beta)
        return {self.name: Term(total, float(weight_G.sum()), metrics)}

    def loss(self, reward_B: Tensor, log_target_B: Tensor, group_B: Tensor, groups: int) -> Tensor:
        """Loss of each group, ``(G,)``."""
        raise NotImplementedError


class InfoNCA(_Rated):
    """InfoNCA over rated groups; see :func:`infonca_loss`.

    Args:
        beta: scale of the implicit reward.
        temperature_alpha: ratings are divided by it before the softmax; small = only the best counts.
    """

    name = "infonca"

    def __init__(self, beta: float = 0.01, temperature_alpha: float = 1.0) -> None:
        super().__init__(beta, temperature_alpha)

    def loss(self, reward_B: Tensor, log_target_B: Tensor, group_B: Tensor, groups: int) -> Tensor:
        """See :func:`infonca_loss`."""
        return infonca_loss(reward_B, log_target_B.exp(), group_B, groups)


class NCA(_Rated):
    """NCA over rated groups; see :func:`nca_loss`.

    Args:
        beta, temperature_alpha: as of :class:`InfoNCA`.
    """

    name = "nca"

    def __init__(self, beta: float = 0.01, temperature_alpha: float = 1.0) -> None:
        super().__init__(beta, temperature_alpha)

    def loss(self, reward_B: Tensor, log_target_B: Tensor, group_B: Tensor, groups: int) -> Tensor:
        """See :func:`nca_loss`."""
        return nca_loss(reward_B, log_target_B.exp(), group_B, groups)


class EXO(_Rated):
    """EXO over rated groups; see :func:`exo_loss`.

    Args:
        beta: scale of the implicit reward (the paper's beta_pi).
        beta_r: ratings are divided by it before the softmax.
    """

    name = "exo"

    def __init__(self, beta: float = 0.5, beta_r: float = 0.5) -> None:
        super().__init__(beta, beta_r)

    def loss(self, reward_B: Tensor, log_target_B: Tensor, group_B: Tensor, groups: int) -> Tensor:
        """See :func:`exo_loss`."""
        return exo_loss(reward_B, log_target_B, group_B, groups)


def group_weight(layout: Layout) -> Tensor:
    """How much each group counts: the mean weight of its rated answers, 0 with fewer than two, ``(G,)``."""
    return mean_weight(layout, ~layout.value_B.isnan(), at_least=2)


def mean_weight(layout: Layout, of_B: Tensor, at_least: int = 1) -> Tensor:
    """The mean weight of some of each group's samples, 0 where it has fewer than ``at_least``, ``(G,)``."""
    own_B = of_B.to(layout.weight_B.dtype)
    count_G = group_sum(own_B, layout.group_B, layout.num_groups)
    weight_G = group_sum(own_B * layout.weight_B, layout.group_B, layout.num_groups)
    return torch.where(count_G >= at_least, weight_G / count_G.clamp_min(1), 0.0)


def rated_metrics(scored: Scored, beta: float) -> dict[str, Tensor]:
    """Weighted sums over groups: rewards, log-probs and lengths of the best-rated answer and of the rest.

    ``rewards/accuracies``: the best-rated answer has the highest implicit reward. Of equal
    ratings the first answer is the best.
    """
    scored = scored.detached()  # sums that `scored` keeps must not be made here without gradient
    layout, weight_G = scored.layout, group_weight(scored.layout)
    groups, group_B = layout.num_groups, layout.group_B
    rated_B = ~layout.value_B.isnan()
    best_B = _first_best(torch.where(rated_B, layout.value_B, -torch.inf), group_B, groups) & rated_B
    rest_B = (rated_B & ~best_B).to(scored.logps_B.dtype)
    rest_G = group_sum(rest_B, group_B, groups).clamp_min(1)
    reward_B = beta * scored.logratios_B

    def of_best(x_B: Tensor) -> Tensor:
        return group_sum(torch.where(best_B, x_B, 0.0), group_B, groups)

    def of_rest(x_B: Tensor) -> Tensor:
        return group_sum(rest_B * x_B, group_B, groups) / rest_G

    top_B = _first_best(torch.where(rated_B, reward_B, -torch.inf), group_B, groups)
    per_group = {
        "rewards/best": of_best(reward_B),
        "rewards/rest": of_rest(reward_B),
        "rewards/margins": of_best(reward_B) - of_rest(reward_B),
        "rewards/accuracies": group_sum((top_B & best_B).to(reward_B.dtype), group_B, groups),
        "logps/best": of_best(scored.logps_B),
        "logps/rest": of_rest(scored.logps_B),
        "length/best": of_best(scored.lengths_B),
        "length/rest": of_rest(scored.lengths_B),
    }
    return {name: (x_G * weight_G)[weight_G > 0].sum() for name, x_G in per_group.items()}


def _first_best(x_B: Tensor, group_B: Tensor, groups: int) -> Tensor:
    """The first sample of each group that has the group's largest ``x``, ``(B,)`` bool."""
    lowest_G = torch.full((groups,), -torch.inf, dtype=x_B.dtype, device=x_B.device)
    is_top_B = x_B == lowest_G.scatter_reduce(0, group_B, x_B, "amax")[group_B]
    index_B = torch.arange(len(x_B), device=x_B.device)
    none_G = torch.full((groups,), len(x_B), device=x_B.device)
    first_G = none_G.scatter_reduce(0, group_B, torch.where(is_top_B, index_B, len(x_B)), "amin")
    return index_B == first_G[group_B]
