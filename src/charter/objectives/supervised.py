"""Learning from answers: likelihood of the trained tokens, and telling good answers from bad by it.

Shapes: N scored tokens, B samples, P pairs.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from charter.objectives.base import Layout, Need, Scored, Stats, Term, Unit

LossType = Literal["nll", "dft"]
Aggregation = Literal["token_mean", "sequence_mean"]


def nll(logps_N: Tensor) -> Tensor:
    """Negative log-likelihood of each token, ``(N,)``."""
    return -logps_N


def dft(logps_N: Tensor) -> Tensor:
    """Dynamic fine-tuning, ``(N,)``: ``-sg(p) log p`` (Wu et al. 2025, 2508.05629).

    The gradient of NLL is a policy gradient whose reward is ``1 / p``; the factor ``p``,
    which carries no gradient itself, takes that away. Unlikely tokens then teach little.
    """
    return -logps_N.detach().exp() * logps_N


class NLL:
    """Negative log-likelihood (Ouyang et al. 2022, 2203.02155, section 3.5) and its DFT form.

    Over the whole optimizer step, ``token_mean`` divides by all trained tokens, which is not
    the mean of sequence means; ``sequence_mean`` is that mean, so that a long answer counts
    no more than a short one.

    With ``part`` it is the pretraining term of PPO-ptx (ibid., equation 2): it sees that part
    of the data alone and divides by its own count, whatever the other terms divide by.

    Args:
        loss_type: :func:`nll` or :func:`dft`.
        loss_aggregation: see above.
        part: part of the data it is computed on; "" = the part without a name.
    """

    needs = frozenset({Need.LOGPS})

    def __init__(
        self, loss_type: LossType = "nll", loss_aggregation: Aggregation = "token_mean", part: str = ""
    ) -> None:
        if loss_type not in ("nll", "dft"):
            raise ValueError(f"unknown loss_type {loss_type!r}")
        if loss_aggregation not in ("token_mean", "sequence_mean"):
            raise ValueError(f"unknown loss_aggregation {loss_aggregation!r}")
        self.loss = nll if loss_type == "nll" else dft
        self.by_sequence = loss_aggregation == "sequence_mean"
        self.part = part
        self.name = f"{part}_{loss_type}" if part else loss_type

    def counts(self, layout: Layout) -> dict[str, float]:
        """One unit per trained token of the part, or per sample that has one."""
        own_N = layout.in_part_B(self.part)[layout.sample_N]
        if self.by_sequence:
            count = torch.bincount(layout.sample_N[own_N], minlength=layout.num_samples).count_nonzero()
        else:
            count = own_N.sum()
        return {self.name: float(count)}

    def __call__(self, scored: Scored, stats: Stats) -> dict[str, Term]:
        """Sum of token losses, or of the samples' mean token losses."""
        layout = scored.layout
        own_N = layout.in_part_B(self.part)[layout.sample_N]
        loss_N = self.loss(scored.logps_N)
        plain_N = nll(scored.logps_N.detach())
        if self.by_sequence:
            length_N = scored.lengths_B[layout.sample_N]
            loss_N, plain_N = loss_N / length_N, plain_N / length_N
        metrics = {} if self.loss is nll else {"nll": plain_N[own_N].sum()}
        return {self.name: Term(loss_N[own_N].sum(), self.counts(layout)[self.name], metrics)}


def binary_discrimination(score_better_P: Tensor, score_worse_P: Tensor, probability_P: Tensor) -> Tensor:
    """``-p log sigmoid(s_good - s_bad) - (1 - p) log sigmoid(s_bad - s_good)``, ``(P,)``.

    For a certain pair it is ``log(1 + exp(s_bad - s_good))``, the preference-modelling loss of
    Askell et al. 2021 (2112.00861, section 3).
    """
    gap_P = score_better_P - score_worse_P
    return -probability_P * F.logsigmoid(gap_P) - (1 - probability_P) * F.logsigmoid(-gap_P)


class BinaryDiscrimination:
    """Tells good answers from bad by the language model's own likelihood, without a reward head.

    Askell et al. compare three objectives on the same data: imitation of the good samples,
    discrimination of a correct from an incorrect one, and ranked preference modelling. They
    rank samples under the imitation model by log-prob per token, and train discrimination with
    the loss of :func:`binary_discrimination` on the score of a preference model. Here the score
    is the log-prob per token itself, so that both objectives train, and are judged by, the same
    quantity. (The paper's text was read through secondary accounts; its preference-model form
    is a reward model on pairs that hold one correct and one incorrect answer.)

    Args:
        average_log_prob: score by log-prob per token; off = of the whole answer.
    """

    needs = frozenset({Need.LOGPS})

    def __init__(self, average_log_prob: bool = True) -> None:
        self.average_log_prob = average_log_prob

    def counts(self, layout: Layout) -> dict[str, float]:
        """One unit per pair, weighted."""
        return {"discrimination": layout.count(Unit.PAIR)}

    def __call__(self, scored: Scored, stats: Stats) -> dict[str, Term]:
        """Sum of pair losses, with accuracy and the likelihood of both sides."""
        layout = scored.layout
        score_B = scored.mean_logps_B if self.average_log_prob else scored.logps_B
        better_P, worse_P = scored.better(score_B), scored.worse(score_B)
        loss_P = binary_discrimination(better_P, worse_P, layout.probability_P)
        total = (loss_P * layout.weight_P).sum()
        return {"discrimination": Term(total, layout.count(Unit.PAIR), _pair_metrics(scored, score_B))}


@torch.no_grad()
def _pair_metrics(scored: Scored, score_B: Tensor) -> dict[str, Tensor]:
    """Weighted sums over pairs."""
    better_P, worse_P = scored.better(score_B), scored.worse(score_B)
    per_pair = {
        "accuracies": (better_P > worse_P).to(score_B.dtype),
        "margins": better_P - worse_P,
        "logps/chosen": scored.better(scored.logps_B),
        "logps/rejected": scored.worse(scored.logps_B),
    }
    return {name: (x_P * scored.layout.weight_P).sum() for name, x_P in per_pair.items()}
