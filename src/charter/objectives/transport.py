"""Alignment by optimal transport (AOT): distributions of a whole optimizer step are compared, not pairs.

Melnyk et al. 2024 (2406.05882): in one dimension the optimal transport sorts. The sort is over the
whole step, all micro-batches together, so the loss depends on the rows of a step (with one pair it
is DPO) but not on how they are split.

Shapes: P pairs, B samples, Q atoms (values with weights) of a distribution, K pieces of a coupling.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from charter.objectives.base import Layout, Need, Scored, Stats, Term
from charter.objectives.label_metrics import label_metrics, labelled
from charter.objectives.pair_losses import dpo_sigmoid
from charter.objectives.pair_objective import PairLogps

_NEGLIGIBLE = 1e-12
"""Pieces of less mass than this come from rounding."""


def monotone_coupling(
    left_Q: Tensor, left_weight_Q: Tensor, right_Q: Tensor, right_weight_Q: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Which value meets which when both distributions are run through from low to high.

    Returns:
        Indices into both sides and the mass of each piece, ``(K,)`` each; masses sum to 1. Equal
        counts of equal weight give the k-th smallest of one side to the k-th smallest of the other;
        else a value is spread over the quantiles it spans.
    """
    left_K, left_end_K = _quantiles(left_Q, left_weight_Q)
    right_K, right_end_K = _quantiles(right_Q, right_weight_Q)
    ends_K = torch.cat([left_end_K, right_end_K]).sort().values
    mass_K = ends_K.diff(prepend=ends_K.new_zeros(1))
    ends_K, mass_K = ends_K[mass_K > _NEGLIGIBLE], mass_K[mass_K > _NEGLIGIBLE]
    middle_K = ends_K - mass_K / 2
    return (
        left_K[torch.searchsorted(left_end_K, middle_K)],
        right_K[torch.searchsorted(right_end_K, middle_K)],
        mass_K,
    )


def _quantiles(value_Q: Tensor, weight_Q: Tensor) -> tuple[Tensor, Tensor]:
    """The order of the values, and the quantile each of them reaches to."""
    order_Q = torch.argsort(value_Q.detach(), stable=True)
    reach_Q = weight_Q[order_Q].double().cumsum(0)
    return order_Q, reach_Q / reach_Q[-1]


@dataclass(frozen=True, slots=True)
class Atoms:
    """Values with weights, of one micro-batch or of the whole step.

    Attributes:
        value_Q: carries gradient where it is this micro-batch's.
        weight_Q: how much each counts.
        own_Q: 1 where the value is this micro-batch's, else 0.
    """

    value_Q: Tensor
    weight_Q: Tensor
    own_Q: Tensor

    @classmethod
    def of(cls, value_Q: Tensor, weight_Q: Tensor) -> Atoms:
        """Of one micro-batch."""
        return cls(value_Q, weight_Q, torch.ones_like(weight_Q))

    def stored(self, name: str) -> dict[str, Tensor]:
        """As :meth:`charter.objectives.base.StepObjective.prepare` returns them."""
        return {f"{name}/value": self.value_Q, f"{name}/weight": self.weight_Q}

    def of_step(self, name: str, stats: Stats) -> Atoms:
        """These, among those of the whole step."""
        whole_Q, here = stats[f"{name}/value"], stats.own[f"{name}/value"]
        own_Q = torch.zeros_like(whole_Q)
        own_Q[here] = 1
        value_Q = torch.cat([whole_Q[: here.start], self.value_Q, whole_Q[here.stop :]])
        return Atoms(value_Q, stats[f"{name}/weight"], own_Q)


def aot_loss(better: Atoms, worse: Atoms, beta: float, label_smoothing: float = 0.0) -> Tensor:
    """This micro-batch's part of the transport loss, a scalar.

    The loss of the step is the sum over pieces of ``mass * loss(u, v)`` of the coupled values, with
    ``loss = -(1 - e) log sigmoid(beta (u - v)) - e log sigmoid(-beta (u - v))``, times the weight of
    the better side. Melnyk et al. 2024 (2406.05882), section 3, violation measured by the logistic
    loss as in TRL.

    The value is the part of this micro-batch's better side; the gradient reaches its values on
    both sides, those of other micro-batches being constants: over the step, values and gradients
    add up to those of the whole.
    """
    total = better.weight_Q.sum()
    if not (total > 0 and worse.weight_Q.sum() > 0):
        return 0.0 * (better.value_Q.sum() + worse.value_Q.sum())  # one side is missing: nothing to compare
    better_K, worse_K, mass_K = monotone_coupling(
        better.value_Q, better.weight_Q, worse.value_Q, worse.weight_Q
    )
    loss_K = dpo_sigmoid(better.value_Q[better_K], worse.value_Q[worse_K], beta, 1 - label_smoothing)
    loss_K = loss_K * (mass_K * total).to(loss_K.dtype)
    here = (loss_K.detach() * better.own_Q[better_K]).sum()
    return loss_K.sum() - loss_K.sum().detach() + here


def paired_atoms(logps: PairLogps, layout: Layout) -> tuple[Atoms, Atoms]:
    """Margins ``log pi(better) - log pi(worse)`` of the policy, and those of the reference.

    A pair that holds with probability ``p`` counts as ``p`` of itself and ``1 - p`` of its opposite.
    """
    own_P, ref_P = logps.better_P - logps.worse_P, logps.ref_better_P - logps.ref_worse_P
    weight_Q = _both_ways(layout)
    return (
        Atoms.of(torch.cat([own_P, -own_P]), weight_Q),
        Atoms.of(torch.cat([ref_P, -ref_P]), weight_Q),
    )


def unpaired_atoms(logps: PairLogps, layout: Layout) -> tuple[Atoms, Atoms]:
    """Log-ratios of the better answers, and of the worse ones; soft pairs as in :func:`paired_atoms`."""
    better_P, worse_P = logps.better_P - logps.ref_better_P, logps.worse_P - logps.ref_worse_P
    weight_Q = _both_ways(layout)
    return (
        Atoms.of(torch.cat([better_P, worse_P]), weight_Q),
        Atoms.of(torch.cat([worse_P, better_P]), weight_Q),
    )


def _both_ways(layout: Layout) -> Tensor:
    weight_P, p_P = layout.weight_P, layout.probability_P
    return torch.cat([p_P * weight_P, (1 - p_P) * weight_P])


class AOTUnpaired:
    """AOT of labelled answers: log-ratios of the desirable ones against those of the undesirable ones.

    The transport loss is :func:`aot_loss`'s.

    The two may differ in number, and a step may hold unequal numbers of them; then quantiles are
    compared. A step that lacks one kind trains nothing.

    Args:
        beta: strength of the implicit KL constraint.
        label_smoothing: see :func:`aot_loss`.
    """

    needs = frozenset({Need.LOGPS, Need.REFERENCE, Need.STEP_STATISTICS})

    def __init__(self, beta: float = 0.1, label_smoothing: float = 0.0) -> None:
        self.beta, self.label_smoothing = beta, label_smoothing

    def counts(self, layout: Layout) -> dict[str, float]:
        """One unit per desirable answer, weighted."""
        return {"aot_unpaired": _count(layout)}

    def prepare(self, scored: Scored) -> dict[str, Tensor]:
        """Log-ratios and weights of both kinds."""
        desirable, undesirable = _labelled(scored)
        return desirable.stored("desirable") | undesirable.stored("undesirable")

    def __call__(self, scored: Scored, stats: Stats) -> dict[str, Term]:
        """This micro-batch's part of the loss."""
        desirable, undesirable = _labelled(scored)
        total = aot_loss(
            desirable.of_step("desirable", stats),
            undesirable.of_step("undesirable", stats),
            self.beta,
            self.label_smoothing,
        )
        term = Term(total, _count(scored.layout), ratios=label_metrics(scored, self.beta))
        return {"aot_unpaired": term}


def _labelled(scored: Scored) -> tuple[Atoms, Atoms]:
    layout = scored.layout
    first, second = (Atoms.of(scored.logratios_B[of_B], layout.weight_B[of_B]) for of_B in labelled(layout))
    return first, second


def _count(layout: Layout) -> float:
    desirable_B, _ = labelled(layout)
    return float(layout.weight_B[desirable_B].sum())
