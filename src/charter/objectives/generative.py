"""Generative reward models: the judgement is the probability of a word, or text before a score.

Shapes: N scored tokens, B samples, P pairs, Q questions, K critiques of a question.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from charter.objectives.base import Layout, Need, Scored, Stats, Term, Unit


@dataclass(frozen=True)
class VerdictProbability:
    """How probable a verdict is.

    Attributes:
        full_Q: ``p(positive)``, as published (2408.15240, equation 4).
        among_Q: ``p(positive) / (p(positive) + p(negative))``: what is used, because the rest says nothing.
        leaked_Q: ``1 - p(positive) - p(negative)``: probability of saying neither.
    """

    full_Q: Tensor
    among_Q: Tensor
    leaked_Q: Tensor


def verdict_probability(positive_Q: Tensor, negative_Q: Tensor) -> VerdictProbability:
    """From the log-probs of both verdicts, ``(Q,)`` each, to probabilities."""
    full_Q, other_Q = positive_Q.exp(), negative_Q.exp()
    leaked_Q = (1 - full_Q - other_Q).clamp_min(0)
    return VerdictProbability(full_Q, torch.sigmoid(positive_Q - negative_Q), leaked_Q)


def vote(probability_QK: Tensor, *, majority: bool = False) -> Tensor:
    """One score from the verdicts after K sampled critiques, ``(Q,)``.

    The mean probability (2408.15240), or with ``majority`` the share of critiques
    that end with the positive verdict; one that is undecided counts half.
    """
    if not majority:
        return probability_QK.mean(-1)
    for_it_QK = (probability_QK > 0.5).to(probability_QK.dtype)
    return torch.where(probability_QK == 0.5, torch.full_like(for_it_QK, 0.5), for_it_QK).mean(-1)


def both_orders(first_is_a_Q: Tensor, first_is_b_Q: Tensor) -> Tensor:
    """Probability that the first answer is better, averaged over both orders, ``(Q,)`` (2410.12832).

    Args:
        first_is_a_Q: ``p(A)`` where the first answer was shown as A.
        first_is_b_Q: ``p(B)`` where it was shown as B.
    """
    return (first_is_a_Q + first_is_b_Q) / 2


class WeightedNLL:
    """Mean negative log-likelihood of the trained tokens of one part of the data, each sample by its weight.

    Each part has a mean of its own, so their sizes do not set the balance: GenRM's loss is
    ``NLL(verify) + lambda * NLL(generate)`` (Zhang et al. 2024, 2408.15240). The weights carry soft
    labels: an answer that is right with probability p is asked about twice, with the weights p
    and 1 - p, which is the cross-entropy against p.

    Args:
        part: name of the part; see :meth:`charter.objectives.layout.Layout.in_part_B`.
        name: what the term is called in the metrics.
    """

    needs = frozenset({Need.LOGPS})

    def __init__(self, part: str, name: str) -> None:
        self.part, self.name = part, name

    def counts(self, layout: Layout) -> dict[str, float]:
        """One unit for each token of the part, weighted as its sample is."""
        return {self.name: float(self._weight_N(layout).sum())}

    def __call__(self, scored: Scored, stats: Stats) -> dict[str, Term]:
        """Sum of token losses, and the probability of a token; nothing where the part is not in the batch."""
        weight_N = self._weight_N(scored.layout)
        used_N = weight_N > 0
        if not used_N.any():
            return {}
        logps_N, weight_N = scored.logps_N[used_N], weight_N[used_N]
        metrics = {f"{self.name}/probability": (logps_N.detach().exp() * weight_N).sum()}
        return {self.name: Term(-(logps_N * weight_N).sum(), float(weight_N.sum()), metrics)}

    def _weight_N(self, layout: Layout) -> Tensor:
        weight_B = torch.where(
            layout.in_part_B(self.part), layout.weight_B, torch.zeros_like(layout.weight_B)
        )
        return weight_B[layout.sample_N]


class CritiqueReward:
    """Bradley-Terry loss on rewards read at the end of critiques (Ankner et al. 2024, 2408.11791).

    ``-p log sigmoid(r_w - r_l) - (1 - p) log sigmoid(r_l - r_w)``, the mean over pairs.
    """

    needs = frozenset({Need.REWARD})

    def counts(self, layout: Layout) -> dict[str, float]:
        """One unit for each pair, weighted."""
        return {"reward": layout.count(Unit.PAIR)}

    def __call__(self, scored: Scored, stats: Stats) -> dict[str, Term]:
        """Sum of pair losses, with rewards, margin and accuracy."""
        layout = scored.layout
        better_P, worse_P = scored.better(scored.reward_B), scored.worse(scored.reward_B)
        probability_P, weight_P = layout.probability_P, layout.weight_P
        gap_P = better_P - worse_P
        loss_P = -probability_P * F.logsigmoid(gap_P) - (1 - probability_P) * F.logsigmoid(-gap_P)
        with torch.no_grad():
            per_pair = {
                "rewards/chosen": better_P,
                "rewards/rejected": worse_P,
                "rewards/margins": gap_P,
                "rewards/accuracies": (gap_P > 0).to(weight_P.dtype),
            }
            metrics = {name: (x_P * weight_P).sum() for name, x_P in per_pair.items()}
        return {"reward": Term((loss_P * weight_P).sum(), layout.count(Unit.PAIR), metrics)}
