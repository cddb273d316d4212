"""Losses on pairs. Summed log-probs; ``better`` and ``worse`` come from judgements.

Shapes: P pairs, B samples.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from charter.objectives.base import Layout, Need, Scored, Stats, Term, Unit


def dpo_sigmoid(
    logratio_better_P: Tensor, logratio_worse_P: Tensor, beta: float, probability_P: Tensor
) -> Tensor:
    """Direct preference optimisation, ``(P,)``.

    ``-p log sigmoid(h) - (1 - p) log sigmoid(-h)`` with
    ``h = beta * (log pi/ref(better) - log pi/ref(worse))``. Rafailov et al. 2023
    (2305.18290), equation 7; soft ``p`` is the conservative form of Mitchell's
    note, with the noise rate given per pair instead of for all.

    Args:
        logratio_better_P, logratio_worse_P: summed ``log pi - log ref`` of each side.
        beta: strength of the implicit KL constraint; larger stays closer.
        probability_P: probability that the pair is the right way round.
    """
    h_P = beta * (logratio_better_P - logratio_worse_P)
    return -probability_P * F.logsigmoid(h_P) - (1 - probability_P) * F.logsigmoid(-h_P)


class DPO:
    """DPO over the pairs of a batch.

    Args:
        beta: see :func:`dpo_sigmoid`.
        loss_type: only ``sigmoid`` here.
    """

    needs = frozenset({Need.LOGPS, Need.REFERENCE})

    def __init__(self, beta: float = 0.1, loss_type: str = "sigmoid") -> None:
        if loss_type != "sigmoid":
            raise ValueError(f"unknown loss_type {loss_type!r}")
        self.beta = beta

    def counts(self, layout: Layout) -> dict[str, float]:
        """One unit per pair, weighted."""
        return {"dpo": layout.count(Unit.PAIR)}

    def __call__(self, scored: Scored, stats: Stats) -> dict[str, Term]:
        """Sum of pair losses, with the metrics every pair method reports."""
        better_P, worse_P = scored.better(scored.logratios_B), scored.worse(scored.logratios_B)
        layout = scored.layout
        loss_P = dpo_sigmoid(better_P, worse_P, self.beta, layout.probability_P)
        weighted = (loss_P * layout.weight_P).sum()
        return {"dpo": Term(weighted, layout.count(Unit.PAIR), pair_metrics(scored, self.beta))}


@torch.no_grad()
def pair_metrics(scored: Scored, beta: float) -> dict[str, Tensor]:
    """Weighted sums over pairs: implicit rewards with margin and accuracy, log-probs and lengths.

    ``logps/chosen`` falling while the margin grows is likelihood displacement.
    """
    better_P, worse_P = beta * scored.better(scored.logratios_B), beta * scored.worse(scored.logratios_B)
    per_pair = {
        "rewards/chosen": better_P,
        "rewards/rejected": worse_P,
        "rewards/margins": better_P - worse_P,
        "rewards/accuracies": (better_P > worse_P).float(),
        "logps/chosen": scored.better(scored.logps_B),
        "logps/rejected": scored.worse(scored.logps_B),
        "length/chosen": scored.better(scored.lengths_B),
        "length/rejected": scored.worse(scored.lengths_B),
    }
    return {name: (x_P * scored.layout.weight_P).sum() for name, x_P in per_pair.items()}
