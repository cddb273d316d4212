"""DPO's sigmoid loss and nothing else: a term beside others, or against another reference.

Shapes: P pairs.
"""

from __future__ import annotations

from charter.objectives.base import Layout, Need, Scored, Stats, Term, Unit
from charter.objectives.pair_losses import dpo_sigmoid
from charter.objectives.pair_metrics import pair_metrics


class SigmoidDPO:
    """DPO over the pairs of a batch (2305.18290), without the variants of its entry.

    Args:
        beta: strength of the implicit KL constraint.
    """

    needs = frozenset({Need.LOGPS, Need.REFERENCE})

    def __init__(self, beta: float = 0.1) -> None:
        self.beta = beta

    def counts(self, layout: Layout) -> dict[str, float]:
        """One unit per pair, weighted."""
        return {"dpo": layout.count(Unit.PAIR)}

    def __call__(self, scored: Scored, stats: Stats) -> dict[str, Term]:
        """Sum of pair losses, with the metrics every pair method reports."""
        layout = scored.layout
        better_P, worse_P = scored.better(scored.logratios_B), scored.worse(scored.logratios_B)
        loss_P = dpo_sigmoid(better_P, worse_P, self.beta, layout.probability_P)
        total = (loss_P * layout.weight_P).sum()
        return {"dpo": Term(total, layout.count(Unit.PAIR), pair_metrics(scored, self.beta))}
