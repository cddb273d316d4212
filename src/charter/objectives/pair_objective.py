"""What losses on single pairs share: both answers' scores, soft labels, weights, counts, metrics.

Shapes: P pairs, B samples, N scored tokens.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from charter.objectives.base import Layout, Need, Scored, Stats, Term, Unit
from charter.objectives.f_divergence import FDivergence, f_score
from charter.objectives.length_desensitised import desensitised_sums
from charter.objectives.pair_metrics import pair_metrics


@dataclass(frozen=True, slots=True)
class PairLogps:
    """Log-probs of both answers of each pair under policy and reference, ``(P,)`` each."""

    better_P: Tensor
    worse_P: Tensor
    ref_better_P: Tensor
    ref_worse_P: Tensor

    @classmethod
    def of(cls, scored: Scored, ld_alpha: float | None = None) -> PairLogps:
        """Sums over tokens; with ``ld_alpha``, see :mod:`charter.objectives.length_desensitised`."""
        if ld_alpha is None:
            own_B, ref_B = scored.logps_B, scored.ref_logps_B
            return cls(scored.better(own_B), scored.worse(own_B), scored.better(ref_B), scored.worse(ref_B))
        layout, better_P, worse_P = scored.layout, *scored.layout.pairs_P2.unbind(1)
        shared_P = torch.minimum(scored.lengths_B[better_P], scored.lengths_B[worse_P])
        sums = [
            desensitised_sums(logps_N, layout, samples_P, shared_P, ld_alpha)
            for logps_N in (scored.logps_N, scored.need("ref_logps_N"))
            for samples_P in (better_P, worse_P)
        ]
        return cls(*sums)


@dataclass(frozen=True, slots=True)
class Sides:
    """What a pair loss reads, ``(P,)`` each.

    Attributes:
        better_P, worse_P: log-ratios, or what an f-divergence makes of them.
        better_length_P, worse_length_P: scored tokens.
        probability_P: probability that the pair is the right way round.
    """

    better_P: Tensor
    worse_P: Tensor
    better_length_P: Tensor
    worse_length_P: Tensor
    probability_P: Tensor

    @classmethod
    def of(
        cls,
        scored: Scored,
        logps: PairLogps,
        divergence: FDivergence = "reverse_kl",
        alpha: float = 0.5,
    ) -> Sides:
        """From log-probs; see :func:`charter.objectives.f_divergence.f_score`."""
        return cls(
            f_score(logps.better_P - logps.ref_better_P, divergence, alpha),
            f_score(logps.worse_P - logps.ref_worse_P, divergence, alpha),
            scored.better(scored.lengths_B),
            scored.worse(scored.lengths_B),
            scored.layout.probability_P,
        )

    def swapped(self) -> Sides:
        """The pairs the other way round."""
        return Sides(
            self.worse_P, self.better_P, self.worse_length_P, self.better_length_P, 1 - self.probability_P
        )

    def means(self) -> tuple[Tensor, Tensor]:
        """Scores per token of the better and the worse answer."""
        return self.better_P / self.better_length_P, self.worse_P / self.worse_length_P


def soft(loss: Callable[[Sides], Tensor], sides: Sides) -> Tensor:
    """``p * loss(pair) + (1 - p) * loss(pair turned round)``, ``(P,)``.

    A pair that holds with probability ``p`` counts as ``p`` of itself and ``1 - p`` of its opposite.
    """
    right_P, p_P = loss(sides), sides.probability_P
    if bool((p_P == 1).all()):
        return right_P
    return p_P * right_P + (1 - p_P) * loss(sides.swapped())


class PairObjective:
    """A loss on each pair of a batch by itself.

    Args:
        beta: strength of the implicit KL constraint; scales the rewards that are reported.
    """

    name = "pair"
    needs = frozenset({Need.LOGPS, Need.REFERENCE})

    def __init__(self, beta: float) -> None:
        self.beta = beta

    def losses(self, sides: Sides) -> Tensor:
        """One loss per pair, ``(P,)``."""
        raise NotImplementedError

    def counts(self, layout: Layout) -> dict[str, float]:
        """One unit per pair, weighted."""
        return {self.name: layout.count(Unit.PAIR)}

    def __call__(self, scored: Scored, stats: Stats) -> dict[str, Term]:
        """Sum of pair losses, with the metrics every pair method reports."""
        layout = scored.layout
        loss_P = self.losses(Sides.of(scored, PairLogps.of(scored)))
        total = (loss_P * layout.weight_P).sum()
        return {self.name: Term(total, layout.count(Unit.PAIR), pair_metrics(scored, self.beta))}
