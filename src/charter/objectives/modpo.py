"""MODPO: DPO on the pairs of one objective, with the rewards of the others as a margin.

Shapes: P pairs, B samples, Z dimensions of a reward.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from charter.catalogue.weights import named_weights
from charter.errors import DataError
from charter.objectives.base import Layout, Need, Scored, Stats, Term, Unit
from charter.objectives.pair_metrics import pair_metrics


def modpo_loss(
    logratio_better_P: Tensor,
    logratio_worse_P: Tensor,
    margin_P: Tensor,
    beta: float,
    w: float,
    probability_P: Tensor,
) -> Tensor:
    """MODPO, ``(P,)``: ``-log sigmoid((beta * h - margin) / w)``, ``h`` the difference of log-ratios.

    Zhou et al. 2023 (2310.03708).

    Args:
        logratio_better_P, logratio_worse_P: summed ``log pi - log ref`` of each side.
        margin_P: ``w_rest . (r_rest(better) - r_rest(worse))``, on the scale of ``beta * h``.
        beta: strength of the implicit KL constraint.
        w: weight of the objective the pairs were judged on; the loss explodes as it goes to 0.
        probability_P: probability that the pair is the right way round.
    """
    z_P = (beta * (logratio_better_P - logratio_worse_P) - margin_P) / w
    return -probability_P * F.logsigmoid(z_P) - (1 - probability_P) * F.logsigmoid(-z_P)


class MODPO:
    """MODPO (:func:`modpo_loss`) over pairs whose samples carry ratings of the other objectives.

    The ratings are frozen rewards from the data: of reward models, rules or people. (The paper also
    lets the margin be the implicit reward of a DPO model: score the data with it and write it there.)

    Args:
        beta: see :func:`modpo_loss`.
        w: weight of the pairs' own objective.
        margin_weights: ``name=weight`` of the others; empty = what ``w`` leaves, in equal parts.
    """

    needs = frozenset({Need.LOGPS, Need.REFERENCE, Need.DIMENSIONS})

    def __init__(self, beta: float = 0.1, w: float = 0.5, margin_weights: Sequence[str] = ()) -> None:
        self.beta, self.w = beta, w
        self.weights = named_weights(margin_weights)

    def counts(self, layout: Layout) -> dict[str, float]:
        """One unit per pair, weighted."""
        return {"modpo": layout.count(Unit.PAIR)}

    def __call__(self, scored: Scored, stats: Stats) -> dict[str, Term]:
        """Sum of pair losses."""
        layout = scored.layout
        better_P, worse_P = scored.better(scored.logratios_B), scored.worse(scored.logratios_B)
        margin_P = self.margin(layout).to(better_P.dtype)
        loss_P = modpo_loss(better_P, worse_P, margin_P, self.beta, self.w, layout.probability_P)
        metrics = pair_metrics(scored, self.beta)
        metrics["modpo/margin"] = (margin_P * layout.weight_P).sum()
        agree_P = (margin_P > 0).to(layout.weight_P.dtype)
        metrics["modpo/others_agree"] = (agree_P * layout.weight_P).sum()
        return {"modpo": Term((loss_P * layout.weight_P).sum(), layout.count(Unit.PAIR), metrics)}

    def margin(self, layout: Layout) -> Tensor:
        """What the other objectives say of each pair, weighted, ``(P,)``.

        Raises:
            DataError: a sample of a pair lacks a rating.
        """
        names = self.weights or self._equal_parts(layout)
        difference_PZ = layout.value_BZ[layout.pairs_P2[:, 0]] - layout.value_BZ[layout.pairs_P2[:, 1]]
        margin_P = torch.zeros_like(layout.weight_P)
        for name, weight in names.items():
            if name not in layout.dimensions:
                raise DataError(
                    f"no answer is rated on {name!r}", fix=f"rated: {', '.join(layout.dimensions)}"
                )
            margin_P = margin_P + weight * difference_PZ[:, layout.dimensions.index(name)]
        if margin_P.isnan().any():
            raise DataError("an answer of a pair has no rating on one of the other objectives")
        return margin_P

    def _equal_parts(self, layout: Layout) -> dict[str, float]:
        """Every dimension but those that pairs are judged on shares what ``w`` leaves."""
        own = {layout.dimensions[z] for z in layout.dimension_P.tolist()}
        others = [name for name in layout.dimensions if name not in own]
        return {name: (1 - self.w) / len(others) for name in others}
