"""Online IPO: soft preferences between answers that were sampled a moment ago.

Shapes: P pairs.
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from charter.objectives import pair_losses
from charter.objectives.pair_objective import PairObjective, Sides, soft
from charter.objectives.psi_po import psi_po


class OnlineIPO(PairObjective):
    """IPO on the policy's own pairs (Calandriello et al. 2024, 2403.08635, section 4).

    With ``h`` the difference of summed log-ratios and ``p`` the probability that the pair is the right way
    round: ``soft`` is ``p (h - 1 / (2 beta))^2 + (1 - p) (-h - 1 / (2 beta))^2``, ``regression`` is
    ``(h - (p - 1/2) / beta)^2``. They differ by a constant of the data, and so have the same gradient;
    turning a pair round together with its probability changes neither. On fresh samples the expected
    gradient is that of self-play in the regularised preference game. Log-ratios are sums over tokens, as
    the equations are written.

    Args:
        beta: the paper's tau.
        loss_type: see above.
    """

    name = "online_ipo"

    def __init__(self, beta: float = 0.1, loss_type: Literal["soft", "regression"] = "soft") -> None:
        if loss_type not in ("soft", "regression"):
            raise ValueError(f"unknown loss_type {loss_type!r}")
        super().__init__(beta)
        self.loss_type = loss_type

    def losses(self, sides: Sides) -> Tensor:
        """One loss per pair, ``(P,)``."""
        if self.loss_type == "regression":
            return psi_po(sides.better_P, sides.worse_P, self.beta, "identity", sides.probability_P)
        return soft(lambda s: pair_losses.ipo(s.better_P, s.worse_P, self.beta), sides)
