"""Group-robust preference optimisation: the loss of the worst-off group of people, as a game of weights.

Ramesh et al. 2024 (2405.20304), algorithm 1. The groups are the parts of the data.

Shapes: P pairs, G groups of people.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Literal

import torch
from torch import Tensor

from charter.catalogue.pluralistic import GROUP_SCALE
from charter.errors import ConfigError
from charter.objectives import pair_losses
from charter.objectives.base import Layout, Need, Scored, Stats, Term, Unit
from charter.objectives.pair_metrics import accuracy, pair_metrics
from charter.objectives.pair_objective import PairLogps, Sides, soft

LossType = Literal["sigmoid", "ipo"]

_LOSS, _WEIGHT = "group_loss", "weight"


def mirror_ascent(log_weight_G: Tensor, loss_G: Tensor, step_size: float) -> Tensor:
    """``a_g <- a_g exp(step * L_g) / sum``, in logarithms, ``(G,)``: exponentiated gradient on the simplex.

    2405.20304, algorithm 1, line 6.

    Args:
        log_weight_G: logarithms of weights that sum to 1.
        loss_G: losses, or unbiased estimates of them.
        step_size: 0 leaves the weights as they are.
    """
    return (log_weight_G + step_size * loss_G).log_softmax(0)


class GroupRobust:
    """A weighted sum of the groups' mean losses, whose weights follow the losses; see :func:`mirror_ascent`.

    Each pair counts ``a_g N / N_g``, with N pairs in the data and N_g of its group, so that the mean over a
    step is an unbiased estimate of ``sum_g a_g L_g`` whichever pairs are in it. The weights start equal and
    take in a training step before its loss is computed, as in the authors' code; evaluation leaves them
    alone. One group is the loss without groups, exactly. ``better`` and ``worse`` are the answers' log-ratios
    ``log pi(y|x) - log ref(y|x)``, summed over tokens.

    Args:
        beta: strength of the implicit KL constraint.
        group_step_size: of the weights; 0 = every group counts the same.
        loss_type: ``sigmoid`` (DPO) or ``ipo`` (squared distance of the summed log-ratios' margin from
            ``1 / (2 beta)``).
    """

    needs = frozenset({Need.LOGPS, Need.REFERENCE, Need.DIMENSIONS, Need.STEP_STATISTICS})

    def __init__(
        self, beta: float = 0.1, group_step_size: float = 0.1, loss_type: LossType = "sigmoid"
    ) -> None:
        if loss_type not in _LOSSES:
            raise ConfigError(f"loss_type is 'sigmoid' or 'ipo', not {loss_type!r}")
        self.beta, self.step_size, self.loss_type = beta, group_step_size, loss_type
        self._log_weights: dict[str, float] = {}
        self._parts: tuple[str, ...] = ()

    def stated_by(self) -> tuple[Callable[..., Tensor], ...]:
        """For the documentation: the loss of one pair."""
        return (pair_losses.dpo_sigmoid if self.loss_type == "sigmoid" else pair_losses.ipo,)

    def counts(self, layout: Layout) -> dict[str, float]:
        """One unit per pair, weighted."""
        return {"group_robust": layout.count(Unit.PAIR)}

    def prepare(self, scored: Scored) -> dict[str, Tensor]:
        """Of one micro-batch: sums over each group's pairs, ``(G,)``, and the weight of all, ``(1,)``."""
        layout = scored.layout
        self._parts = layout.parts
        loss_P = self.losses(scored).detach() * layout.weight_P * scale_of_pairs(layout)
        return {_LOSS: _by_group(loss_P, layout), _WEIGHT: layout.weight_P.sum()[None]}

    def update(self, stats: Stats) -> None:
        """One step of mirror ascent on the step's estimate of each group's loss."""
        total = float(stats[_WEIGHT].double().sum())
        if total <= 0:
            return
        loss_G = stats[_LOSS].cpu().double().reshape(-1, len(self._parts)).sum(0) / total
        new_G = mirror_ascent(self.log_weights(self._parts), loss_G, self.step_size)
        self._log_weights = dict(zip(self._parts, new_G.tolist(), strict=True))

    def state(self) -> dict[str, float]:
        """The logarithm of each group's weight."""
        return dict(self._log_weights)

    def load_state(self, state: Mapping[str, float]) -> None:
        """Put back what :meth:`state` returned."""
        self._log_weights = dict(state)

    def log_weights(self, parts: tuple[str, ...]) -> Tensor:
        """Logarithms of the weights of groups, ``(G,)`` float64; equal where nothing is known yet."""
        equal = -math.log(len(parts))
        known = [self._log_weights.get(part, equal) for part in parts]
        return torch.tensor(known, dtype=torch.float64).log_softmax(0)

    def losses(self, scored: Scored) -> Tensor:
        """The loss of each pair without weights, ``(P,)``."""
        sides = Sides.of(scored, PairLogps.of(scored))
        return soft(lambda s: _LOSSES[self.loss_type](s, self.beta), sides)

    def __call__(self, scored: Scored, stats: Stats) -> dict[str, Term]:
        """Weighted sum of pair losses, with the weight, loss and accuracy of each group."""
        layout, loss_P = scored.layout, self.losses(scored)
        weight_G = self.log_weights(layout.parts).exp().to(loss_P)
        scale_P = weight_G[_part_P(layout)] * scale_of_pairs(layout)
        total = (loss_P * layout.weight_P * scale_P).sum()
        return {
            "group_robust": Term(
                total,
                layout.count(Unit.PAIR),
                pair_metrics(scored, self.beta),
                ratios=self._ratios(scored, loss_P.detach(), weight_G),
            )
        }

    def _ratios(self, scored: Scored, loss_P: Tensor, weight_G: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
        layout = scored.layout
        reward_B = self.beta * scored.logratios_B.detach()
        right_P = accuracy(scored.better(reward_B), scored.worse(reward_B), layout.probability_P)
        sums = {
            "group_loss": _by_group(loss_P * layout.weight_P, layout),
            "group_accuracy": _by_group(right_P * layout.weight_P, layout),
        }
        count_G, one = _by_group(layout.weight_P, layout), torch.ones_like(weight_G[0])
        found = {f"group_weight/{part}": (weight_G[g], one) for g, part in enumerate(layout.parts)}
        for name, sum_G in sums.items():
            found |= {f"{name}/{part}": (sum_G[g], count_G[g]) for g, part in enumerate(layout.parts)}
        return found


def scale_of_pairs(layout: Layout) -> Tensor:
    """``N / N_g`` of each pair's group, ``(P,)``.

    Raises:
        ConfigError: the data does not say; :func:`charter.data.people_groups.with_group_scale` does.
    """
    found_P = torch.full_like(layout.weight_P, torch.nan)
    if GROUP_SCALE in layout.dimensions:
        found_P = layout.value_BZ[layout.pairs_P2[:, 0], layout.dimensions.index(GROUP_SCALE)]
    if found_P.isnan().any():
        raise ConfigError(
            "a pair does not say how large its group of people is",
            fix="train with charter train gr-dpo, which counts them",
        )
    return found_P


def _part_P(layout: Layout) -> Tensor:
    return layout.part_B[layout.pairs_P2[:, 0]]


def _by_group(x_P: Tensor, layout: Layout) -> Tensor:
    zeros_G = torch.zeros(len(layout.parts), dtype=x_P.dtype, device=x_P.device)
    return zeros_G.index_add(0, _part_P(layout), x_P)


_LOSSES: Mapping[str, Callable[[Sides, float], Tensor]] = {
    "sigmoid": lambda s, beta: pair_losses.dpo_sigmoid(s.better_P, s.worse_P, beta),
    "ipo": lambda s, beta: pair_losses.ipo(s.better_P, s.worse_P, beta),
}
