"""Supervised fine-tuning: negative log-likelihood of the trained tokens."""

from __future__ import annotations

from torch import Tensor

from charter.objectives.base import Layout, Need, Scored, Stats, Term, Unit


def nll(logps_N: Tensor) -> Tensor:
    """Negative log-likelihood of each token, ``(N,)``."""
    return -logps_N


class NLL:
    """Token-mean negative log-likelihood (Ouyang et al. 2022, 2203.02155, section 3.5).

    The mean is over all trained tokens of the optimizer step, which is not the
    mean of sequence means.
    """

    needs = frozenset({Need.LOGPS})

    def counts(self, layout: Layout) -> dict[str, float]:
        """One unit per trained token."""
        return {"nll": layout.count(Unit.TOKEN)}

    def __call__(self, scored: Scored, stats: Stats) -> dict[str, Term]:
        """Sum of token losses."""
        loss_N = nll(scored.logps_N)
        return {"nll": Term(loss_N.sum(), float(len(loss_N)))}
