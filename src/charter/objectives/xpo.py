"""XPO: DPO on the policy's own pairs, with a bonus for answers the reference would not give.

Shapes: B samples, P pairs.
"""

from __future__ import annotations

from typing import Literal

from charter.objectives.base import Layout, Need, Scored, Stats, Term
from charter.objectives.preference import DPO


class XPO:
    """``-log sigmoid(beta h) + alpha log pi(y')`` with ``y'`` the reference's answer.

    Xie et al. 2024 (2405.21046), algorithm 1: each pair is an answer of the policy and one of the
    reference, and the bonus *lowers* the likelihood of the reference's answer, whether it won or
    lost: optimism, which makes the policy look elsewhere. Its log-prob is a sum over tokens, and its
    mean is over the samples that the reference wrote (``Layout.by_reference_B``).

    Args:
        beta: strength of the implicit KL constraint.
        alpha: weight of the bonus (TRL: 1e-5).
        loss_type: of the pairs; see :class:`charter.objectives.preference.DPO`.
    """

    needs = frozenset({Need.LOGPS, Need.REFERENCE})

    def __init__(
        self, beta: float = 0.1, alpha: float = 1e-5, loss_type: Literal["sigmoid", "ipo"] = "sigmoid"
    ) -> None:
        if loss_type not in ("sigmoid", "ipo"):
            raise ValueError(f"unknown loss_type {loss_type!r}")
        self.alpha, self._pairs = alpha, DPO(beta, loss_type)

    def counts(self, layout: Layout) -> dict[str, float]:
        """One unit per pair, weighted, and one per sample of the reference."""
        return {**self._pairs.counts(layout), "exploration": float(layout.by_reference_B.sum())}

    def __call__(self, scored: Scored, stats: Stats) -> dict[str, Term]:
        """Sums over pairs and over the reference's samples."""
        logps_B = scored.logps_B[scored.layout.by_reference_B]
        metrics = {"logps/reference_samples": logps_B.detach().sum()}
        bonus = Term(self.alpha * logps_B.sum(), float(len(logps_B)), metrics)
        return {**self._pairs(scored, stats), "exploration": bonus}
