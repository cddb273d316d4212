"""Preference losses without a reference: CPO, SimPO, AlphaPO, ORPO, SLiC-HF.

Shapes: P pairs, B samples, N scored tokens.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from charter.objectives.base import Layout, Need, Scored, Stats, Term, Unit
from charter.objectives.pair_metrics import reward_metrics

CPOLoss = Literal["sigmoid", "hinge", "ipo", "simpo", "alphapo"]
AVERAGED = ("ipo", "simpo", "alphapo")
"""Losses on log-probs per token; the others take sums."""
TARGETED = ("simpo", "alphapo")
"""Losses with a target margin."""


def alpha_reward(logps_B: Tensor, alpha: float) -> Tensor:
    """AlphaPO's reward ``(1 - p ** -alpha) / alpha`` of log-probs ``log p``; ``log p`` at ``alpha = 0``.

    Gupta et al. 2025 (2501.03884). Grows without bound on sums of many tokens: meant for means.
    """
    return logps_B if alpha == 0 else -torch.expm1(-alpha * logps_B) / alpha


def cpo_loss(
    better_P: Tensor,
    worse_P: Tensor,
    beta: float,
    loss_type: CPOLoss,
    gamma: float,
    probability_P: Tensor,
) -> Tensor:
    """Loss of pairs of rewards, ``(P,)``; with ``m = better - worse`` and ``z = beta * m``:

    ``sigmoid``: ``-log sigmoid(z)`` (CPO, Xu et al. 2024, 2401.08417, equation 3).
    ``simpo`` and ``alphapo``: the same with ``z = beta * m - gamma`` (Meng et al. 2024, 2405.14734,
    equation 6: gamma stands outside beta). ``hinge``: ``max(0, 1 - z)``. ``ipo``:
    ``(m - 1 / (2 beta)) ** 2``.

    With label smoothing, ``probability_P`` below 1, a pair costs ``p * loss(z) + (1 - p) * loss(-z)``
    as in TRL, target margin and all. That is not the pair the other way round, whose margin is
    ``-beta * m - gamma``: where the data say how probable a pair is, :class:`CPO` mixes both.
    """
    z_P = beta * (better_P - worse_P) - (gamma if loss_type in TARGETED else 0.0)
    right_P, wrong_P = (_one_sided(side_P, beta, loss_type) for side_P in (z_P, -z_P))
    return probability_P * right_P + (1 - probability_P) * wrong_P


def _one_sided(z_P: Tensor, beta: float, loss_type: CPOLoss) -> Tensor:
    if loss_type == "hinge":
        return torch.relu(1 - z_P)
    if loss_type == "ipo":
        return ((z_P - 0.5) / beta) ** 2
    return -F.logsigmoid(z_P)


def log1mexp(x_B: Tensor) -> Tensor:
    """``log(1 - exp(x))`` of log-probs ``x``, exact near 0 and far from it.

    Maechler 2012, "Accurately computing log(1 - exp(-|a|))". A probability of 1 counts as the
    largest number below it, and has no gradient.
    """
    x_B = x_B.clamp(max=-torch.finfo(x_B.dtype).eps)
    near_B = x_B > -math.log(2)
    # Both forms are computed everywhere, so each gets inputs on which its gradient is finite.
    close_B = torch.where(near_B, x_B, -0.1)
    far_B = torch.where(near_B, -1.0, x_B)
    return torch.where(near_B, torch.log(-torch.expm1(close_B)), torch.log1p(-torch.exp(far_B)))


def log_odds(mean_logps_B: Tensor) -> Tensor:
    """``log(p / (1 - p))`` of the mean probability per token, ``(B,)``."""
    return mean_logps_B - log1mexp(mean_logps_B)


def odds_ratio_loss(better_P: Tensor, worse_P: Tensor, probability_P: Tensor) -> Tensor:
    """ORPO's odds-ratio loss, ``(P,)``: ``-log sigmoid(log odds(better) - log odds(worse))``.

    Hong et al. 2024 (2403.07691), equation 7.

    Args:
        better_P, worse_P: log-probs per token of each side. With sums ``1 - p`` is 1 to all
            digits and the odds are the probability.
        probability_P: probability that the pair is the right way round.
    """
    ratio_P = log_odds(better_P) - log_odds(worse_P)
    return -probability_P * F.logsigmoid(ratio_P) - (1 - probability_P) * F.logsigmoid(-ratio_P)


def slic_loss(better_P: Tensor, worse_P: Tensor, delta: float, probability_P: Tensor) -> Tensor:
    """SLiC-HF's ranking loss, ``(P,)``: ``max(0, delta - log pi(better) + log pi(worse))``.

    Zhao et al. 2023 (2305.10425). Summed log-probs, no reference: the hinge that
    measures against a reference is RSO's (2309.06657).
    """
    m_P = better_P - worse_P
    return probability_P * torch.relu(delta - m_P) + (1 - probability_P) * torch.relu(delta + m_P)


class CPO:
    """CPO and its relatives over the pairs of a batch; see :func:`cpo_loss`.

    Args:
        beta: scale of the difference of rewards.
        loss_type: see :func:`cpo_loss`; :data:`AVERAGED` take log-probs per token, as in TRL.
        label_smoothing: how often the pairs are assumed to be the wrong way round.
        simpo_gamma: target margin of :data:`TARGETED`.
        alpha: see :func:`alpha_reward`.
    """

    needs = frozenset({Need.LOGPS})

    def __init__(
        self,
        beta: float = 0.1,
        loss_type: CPOLoss = "sigmoid",
        label_smoothing: float = 0.0,
        simpo_gamma: float = 0.5,
        alpha: float = 0.0,
    ) -> None:
        self.beta, self.loss_type, self.gamma, self.alpha = beta, loss_type, simpo_gamma, alpha
        self.label_smoothing = label_smoothing
        self.name = loss_type if loss_type in TARGETED else "cpo"

    def stated_by(self) -> tuple[Callable[..., Tensor], ...]:
        """For the documentation: the loss, and the reward where it is not the log-prob itself."""
        return (cpo_loss, alpha_reward) if self.alpha else (cpo_loss,)

    def counts(self, layout: Layout) -> dict[str, float]:
        """One unit per pair, weighted."""
        return {self.name: layout.count(Unit.PAIR)}

    def __call__(self, scored: Scored, stats: Stats) -> dict[str, Term]:
        """Sum of pair losses, with the metrics every pair method reports."""
        layout, probability_P = scored.layout, scored.layout.probability_P
        logps_B = scored.mean_logps_B if self.loss_type in AVERAGED else scored.logps_B
        reward_B = alpha_reward(logps_B, self.alpha)
        better_P, worse_P = scored.better(reward_B), scored.worse(reward_B)
        right_P, flipped_P = self._losses(better_P, worse_P), self._losses(worse_P, better_P)
        loss_P = probability_P * right_P + (1 - probability_P) * flipped_P
        total = (loss_P * layout.weight_P).sum()
        metrics = reward_metrics(scored, self.beta * reward_B)
        return {self.name: Term(total, layout.count(Unit.PAIR), metrics)}

    def _losses(self, better_P: Tensor, worse_P: Tensor) -> Tensor:
        kept_P = torch.full_like(better_P, 1 - self.label_smoothing)
        return cpo_loss(better_P, worse_P, self.beta, self.loss_type, self.gamma, kept_P)


class OddsRatio:
    """ORPO's odds-ratio term (:func:`odds_ratio_loss`) over the pairs of a batch.

    Args:
        beta: its weight, the paper's lambda.
    """

    needs = frozenset({Need.LOGPS})

    def __init__(self, beta: float = 0.1) -> None:
        self.beta = beta

    def counts(self, layout: Layout) -> dict[str, float]:
        """One unit per pair, weighted."""
        return {"odds_ratio": layout.count(Unit.PAIR)}

    def __call__(self, scored: Scored, stats: Stats) -> dict[str, Term]:
        """Sum of pair losses; ``log_odds_chosen`` and ``log_odds_ratio`` are TRL's names."""
        layout = scored.layout
        mean_B = scored.mean_logps_B
        better_P, worse_P = scored.better(mean_B), scored.worse(mean_B)
        loss_P = self.beta * odds_ratio_loss(better_P, worse_P, layout.probability_P)
        with torch.no_grad():
            ratio_P = log_odds(better_P) - log_odds(worse_P)
            metrics = reward_metrics(scored, self.beta * mean_B)
            metrics["log_odds_chosen"] = (ratio_P * layout.weight_P).sum()
            metrics["log_odds_ratio"] = (F.logsigmoid(ratio_P) * layout.weight_P).sum()
        return {"odds_ratio": Term((loss_P * layout.weight_P).sum(), layout.count(Unit.PAIR), metrics)}


class SLiC:
    """SLiC-HF's ranking term (:func:`slic_loss`) over the pairs of a batch.

    Args:
        delta: margin in nats per sequence beyond which a pair costs nothing.
    """

    needs = frozenset({Need.LOGPS})

    def __init__(self, delta: float = 1.0) -> None:
        self.delta = delta

    def counts(self, layout: Layout) -> dict[str, float]:
        """One unit per pair, weighted."""
        return {"slic": layout.count(Unit.PAIR)}

    def __call__(self, scored: Scored, stats: Stats) -> dict[str, Term]:
        """Sum of pair losses; the reward is the log-prob."""
        layout = scored.layout
        better_P, worse_P = scored.better(scored.logps_B), scored.worse(scored.logps_B)
        loss_P = slic_loss(better_P, worse_P, self.delta, layout.probability_P)
        metrics = reward_metrics(scored, scored.logps_B)
        return {"slic": Term((loss_P * layout.weight_P).sum(), layout.count(Unit.PAIR), metrics)}


class ChosenNLL:
    """Token-mean NLL of the better side of each pair: CPO's behaviour cloning (2401.08417)."""

    needs = frozenset({Need.LOGPS})

    def counts(self, layout: Layout) -> dict[str, float]:
        """One unit per token of a better side, weighted as its pair."""
        return {"nll": _tokens(layout, better_weight(layout))}

    def __call__(self, scored: Scored, stats: Stats) -> dict[str, Term]:
        """Sum of token losses."""
        return {"nll": _per_token(scored, better_weight(scored.layout))}


class ORPONLL:
    """ORPO's token-mean NLL.

    The paper's is over the answer; the authors' code and TRL take the prompt too. For that the
    data hold the whole text once more, as a sample that is marked (see :func:`marked_weight`).

    Args:
        completion_only_loss: the answer only.
    """

    needs = frozenset({Need.LOGPS})

    def __init__(self, completion_only_loss: bool = True) -> None:
        self.weight = better_weight if completion_only_loss else marked_weight

    def counts(self, layout: Layout) -> dict[str, float]:
        """One unit per token, weighted."""
        return {"nll": _tokens(layout, self.weight(layout))}

    def __call__(self, scored: Scored, stats: Stats) -> dict[str, Term]:
        """Sum of token losses."""
        return {"nll": _per_token(scored, self.weight(scored.layout))}


class SLiCNLL:
    """SLiC-HF's regularisation: NLL of whole target sequences, a mean over sequences, not tokens.

    Args:
        nll_target: ``chosen``: the better side of each pair; ``target``: samples that are marked.
    """

    needs = frozenset({Need.LOGPS})

    def __init__(self, nll_target: Literal["chosen", "target"] = "chosen") -> None:
        self.weight = better_weight if nll_target == "chosen" else marked_weight

    def counts(self, layout: Layout) -> dict[str, float]:
        """One unit per target, weighted."""
        return {"nll": float(self.weight(layout).sum())}

    def __call__(self, scored: Scored, stats: Stats) -> dict[str, Term]:
        """Sum of sequence losses."""
        weight_B = self.weight(scored.layout)
        return {"nll": Term(-(weight_B * scored.logps_B).sum(), float(weight_B.sum()))}


def better_weight(layout: Layout) -> Tensor:
    """How much each sample counts as the better side of pairs, ``(B,)``.

    A pair that holds with probability p counts as p of itself and 1 - p of its opposite, here as in
    the losses on pairs.
    """
    better_P, worse_P = layout.pairs_P2.unbind(1)
    right_P = layout.weight_P * layout.probability_P
    zeros_B = torch.zeros_like(layout.weight_B)
    return zeros_B.index_add(0, better_P, right_P).index_add(0, worse_P, layout.weight_P - right_P)


def marked_weight(layout: Layout) -> Tensor:
    """How much each sample counts that something was said about by itself, ``(B,)``."""
    return layout.weight_B * layout.judged_B


def _tokens(layout: Layout, weight_B: Tensor) -> float:
    return float(weight_B[layout.sample_N].sum())


def _per_token(scored: Scored, weight_B: Tensor) -> Term:
    return Term(-(weight_B * scored.logps_B).sum(), _tokens(scored.layout, weight_B))
