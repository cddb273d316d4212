"""The Psi-PO family: pairs whose win probability is mapped to a reward difference.

Shapes: P pairs.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from charter.objectives.pair_losses import dpo_sigmoid
from charter.objectives.pair_objective import PairObjective, Sides

Psi = Literal["identity", "logit", "probit"]


def psi_po(better_P: Tensor, worse_P: Tensor, beta: float, psi: Psi, probability_P: Tensor) -> Tensor:
    """Psi-PO, ``(P,)``: the margin ``h`` of log-ratios is drawn to ``(Psi(p) - Psi(1/2)) / beta``.

    Azar et al. 2023 (2310.12036): maximise ``E[Psi(p(y beats y'))] - tau KL``. Offered where the optimum
    follows from pairs alone:

    - ``identity``: ``(h - (p - 1/2) / beta) ** 2``: IPO with sums; with ``p`` of 1 its equation 17.
      Bounded, so certain pairs keep a finite margin.
    - ``logit``: ``-p log sigmoid(beta h) - (1 - p) log sigmoid(-beta h)``: DPO, whose optimum is
      ``beta h = logit p``; with ``p`` of 1 the optimum is at infinity.
    - ``probit``: the same with the normal distribution's Phi in place of the sigmoid, optimum
      ``beta h = Phi^-1(p)``: the reward model is Thurstone's in place of Bradley and Terry's.

    Args:
        better_P, worse_P: summed log-ratios.
        beta: the paper's tau.
        probability_P: probability that the better answer is better.
    """
    if psi == "identity":
        return (better_P - worse_P - (probability_P - 0.5) / beta) ** 2
    if psi == "logit":
        return dpo_sigmoid(better_P, worse_P, beta, probability_P)
    h_P = beta * (better_P - worse_P)
    log_right_P: Tensor = torch.special.log_ndtr(h_P)
    log_wrong_P: Tensor = torch.special.log_ndtr(-h_P)
    return -probability_P * log_right_P - (1 - probability_P) * log_wrong_P


class PsiPO(PairObjective):
    """The mean of Psi-PO's loss over the pairs of a step; see :func:`psi_po`."""

    name = "psi_po"

    def __init__(self, beta: float = 0.1, psi: Psi = "identity") -> None:
        super().__init__(beta)
        self.psi = psi

    def losses(self, sides: Sides) -> Tensor:
        """See :func:`psi_po`."""
        return psi_po(sides.better_P, sides.worse_P, self.beta, self.psi, sides.probability_P)
