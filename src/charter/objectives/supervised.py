"""Learning from answers: likelihood of the trained tokens, and telling good answers from bad by it.

Shapes: N scored tokens, B samples, P pairs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from charter.objectives.base import Layout, Need, Scored, Stats, Term, Unit
from charter.objectives.pair_metrics import accuracy
from charter.objectives.ranking import bradley_terry

LossType = Literal["nll", "dft"]
Aggregation = Literal["token_mean", "sequence_mean"]


def nll(logps_N: Tensor) -> Tensor:
    """Negative log-likelihood of each token, ``(N,)``: ``-log p(token | prompt, tokens before)``.

    Maximum likelihood on demonstrations: Ouyang et al. 2022 (2203.02155), section 3.5.
    """
    return -logps_N


def dft(logps_N: Tensor) -> Tensor:
    """Dynamic fine-tuning, ``(N,)``: ``-sg(p) log p`` (Wu et al. 2025, 2508.05629).

    The gradient of NLL is a policy gradient whose reward is ``1 / p``; the factor ``p``,
    which carries no gradient itself, takes that away. Unlikely tokens then teach little.
    """
    return -logps_N.detach().exp() * logps_N


class NLL:
    """The mean of a loss of tokens.

    Over the whole optimizer step, ``token_mean`` divides by all trained tokens, which is not
    the mean of sequence means; ``sequence_mean`` is that mean, so that a long answer counts
    no more than a short one.

    Each part of the data has a mean of its own, so their sizes do not set the balance: the
    pretraining term of PPO-ptx (2203.02155, equation 2), and GenRM's ``NLL(verify) + lambda *
    NLL(generate)`` (Zhang et al. 2024, 2408.15240).

    Args:
        loss_type: :func:`nll` or :func:`dft`.
        loss_aggregation: see above.
        part: part of the data it is computed on; "" = the part without a name.
        name: what the term is called; "" = after part and loss.
        weighted: each sample counts by its weight, and the mean probability of a token is measured.
            The weights carry soft labels: an answer that is right with probability p is asked about
            twice, with the weights p and 1 - p, which is the cross-entropy against p. Off = all
            samples count the same.
    """

    needs = frozenset({Need.LOGPS})

    def __init__(
        self,
        loss_type: LossType = "nll",
        loss_aggregation: Aggregation = "token_mean",
        part: str = "",
        name: str = "",
        weighted: bool = False,
    ) -> None:
        if loss_type not in ("nll", "dft"):
            raise ValueError(f"unknown loss_type {loss_type!r}")
        if loss_aggregation not in ("token_mean", "sequence_mean"):
            raise ValueError(f"unknown loss_aggregation {loss_aggregation!r}")
        self.loss = nll if loss_type == "nll" else dft
        self.by_sequence = loss_aggregation == "sequence_mean"
        self.part, self.weighted = part, weighted
        self.name = name or (f"{part}_{loss_type}" if part else loss_type)

    def stated_by(self) -> tuple[Callable[[Tensor], Tensor], ...]:
        """For the documentation: the loss of a token."""
        return (self.loss,)

    def counts(self, layout: Layout) -> dict[str, float]:
        """One unit per trained token of the part, or per sample that has one."""
        weight_B = self._weight_B(layout)
        if self.by_sequence:
            trained_B = torch.bincount(layout.sample_N, minlength=layout.num_samples) > 0
            return {self.name: float(weight_B[trained_B].sum())}
        return {self.name: float(weight_B[layout.sample_N].sum())}

    def __call__(self, scored: Scored, stats: Stats) -> dict[str, Term]:
        """Sum of token losses, or of the samples' mean token losses; no term without a token of the part."""
        layout = scored.layout
        weight_N = self._weight_B(layout)[layout.sample_N].to(scored.logps_N.dtype)
        used_N = weight_N > 0
        if not used_N.any():
            return {}
        logps_N, weight_N = scored.logps_N[used_N], weight_N[used_N]
        each_N = scored.lengths_B[layout.sample_N][used_N] if self.by_sequence else torch.ones_like(weight_N)

        def total(x_N: Tensor) -> Tensor:
            return (x_N / each_N * weight_N).sum()

        metrics = {}
        if self.loss is dft:
            metrics["nll"] = total(nll(logps_N.detach()))
        if self.weighted:
            metrics[f"{self.name}/probability"] = total(logps_N.detach().exp())
        return {self.name: Term(total(self.loss(logps_N)), self.counts(layout)[self.name], metrics)}

    def _weight_B(self, layout: Layout) -> Tensor:
        own_B = layout.in_part_B(self.part)
        return layout.weight_B * own_B if self.weighted else own_B.double()


class BinaryDiscrimination:
    """Tells good answers from bad by the language model's own likelihood, without a reward head.

    Askell et al. compare three objectives on the same data: imitation of the good samples,
    discrimination of a correct from an incorrect one, and ranked preference modelling. They
    rank samples under the imitation model by log-prob per token, and train discrimination with
    the preference-modelling loss ``log(1 + exp(s_bad - s_good))`` (their section 3;
    :func:`charter.objectives.ranking.bradley_terry`) on the score of a preference model. Here the
    score is the log-prob per token itself, so that both objectives train, and are judged by, the
    same quantity. (The paper's text was read through secondary accounts; its preference-model form
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
        loss_P = bradley_terry(better_P, worse_P, layout.probability_P)
        total = (loss_P * layout.weight_P).sum()
        return {"discrimination": Term(total, layout.count(Unit.PAIR), _pair_metrics(scored, score_B))}


def _pair_metrics(scored: Scored, score_B: Tensor) -> dict[str, Tensor]:
    """Weighted sums over pairs; accuracy is the probability that their order is right."""
    scored, score_B = scored.detached(), score_B.detach()
    better_P, worse_P = scored.better(score_B), scored.worse(score_B)
    per_pair = {
        "accuracies": accuracy(better_P, worse_P, scored.layout.probability_P),
        "margins": better_P - worse_P,
        "logps/chosen": scored.better(scored.logps_B),
        "logps/rejected": scored.worse(scored.logps_B),
    }
    return {name: (x_P * scored.layout.weight_P).sum() for name, x_P in per_pair.items()}
