"""Losses of answers that are labelled one by one: KTO, APO-zero unpaired, BCO.

Shapes: B samples.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from charter.errors import ConfigError
from charter.objectives.base import Layout, Need, Scored, Stats, Term
from charter.objectives.label_metrics import label_metrics, labelled

LossType = Literal["kto", "apo_zero_unpaired"]


def kto_loss(logratio_B: Tensor, desirable_B: Tensor, z0: float, beta: float) -> Tensor:
    """One minus the Kahneman-Tversky value of each answer, ``(B,)``.

    ``1 - sigmoid(beta (D - z0))`` of a desirable answer, ``1 - sigmoid(beta (z0 - D))`` of an
    undesirable one, ``D = log pi(y|x) - log ref(y|x)`` (Ethayarajh et al. 2024, 2402.01306,
    equation 7 with both lambdas 1). With ``z0 = 0`` it is APO-zero unpaired: ``1 - sigmoid(beta D)``
    and ``sigmoid(beta D)`` (D'Oosterlinck et al. 2024, 2408.06266, equation 7 taken apart).

    Args:
        logratio_B: D of each answer, nats.
        desirable_B: bool.
        z0: the reference point, nats; no gradient flows to it.
        beta: risk aversion.
    """
    above_B = beta * (logratio_B - z0)
    # 1 - sigmoid(x) is sigmoid(-x), which keeps its digits where the answer is already far.
    return torch.sigmoid(torch.where(desirable_B, -above_B, above_B))


def bco_loss(reward_B: Tensor, desirable_B: Tensor, delta: float) -> Tensor:
    """Logistic loss of a classifier whose logit is the shifted reward, ``(B,)``.

    ``-log sigmoid(r - delta)`` of a desirable answer, ``-log sigmoid(delta - r)`` of an undesirable
    one (Jung et al. 2024, 2404.04656, section 4.1).

    Args:
        reward_B: ``beta (log pi(y|x) - log ref(y|x))`` of each answer.
        desirable_B: bool.
        delta: the reward shift.
    """
    above_B = reward_B - delta
    return -functional.logsigmoid(torch.where(desirable_B, above_B, -above_B))


class KTO:
    """Kahneman-Tversky optimisation, and APO-zero on labelled answers: the mean of :func:`kto_loss`.

    The mean is over answers: ``desirable_weight`` and ``undesirable_weight`` change what an answer
    counts, not what the sum is divided by, as in TRL. The reference point ``z0`` is the mean
    log-ratio of the step's mismatched answers, over all micro-batches, and then clamped at 0
    (clamping each micro-batch's own mean would bias it upwards).

    Args:
        beta: risk aversion: how soon an answer far from the reference point stops mattering.
        loss_type: ``kto``, or ``apo_zero_unpaired``, whose reference point is 0.
        desirable_weight: lambda of desirable answers.
        undesirable_weight: lambda of undesirable answers.
    """

    def __init__(
        self,
        beta: float = 0.1,
        loss_type: LossType = "kto",
        desirable_weight: float = 1.0,
        undesirable_weight: float = 1.0,
    ) -> None:
        self.beta, self.loss_type = beta, loss_type
        self.desirable_weight, self.undesirable_weight = desirable_weight, undesirable_weight

    @property
    def needs(self) -> frozenset[Need]:
        """Only KTO needs mismatched answers."""
        common = {Need.LOGPS, Need.REFERENCE}
        return frozenset(common | {Need.MISMATCHED} if self.loss_type == "kto" else common)

    def counts(self, layout: Layout) -> dict[str, float]:
        """One unit per labelled answer, weighted by its row's weight."""
        return {self.loss_type: _count(layout)}

    def prepare(self, scored: Scored) -> dict[str, Tensor]:
        """Log-ratios of mismatched answers."""
        return {"mismatched": scored.logratios_B}

    def __call__(self, scored: Scored, stats: Stats) -> dict[str, Term]:
        """Sum over labelled answers."""
        layout = scored.layout
        desirable_B, undesirable_B = labelled(layout)
        ratios = label_metrics(scored, self.beta)
        z0 = 0.0
        if self.loss_type == "kto":
            z0 = reference_point(stats)
            ratios["kl/mismatched"] = _as_ratio(z0)
        loss_B = kto_loss(scored.logratios_B, desirable_B, z0, self.beta)
        lambda_B = self.desirable_weight * desirable_B + self.undesirable_weight * undesirable_B
        total = (loss_B * lambda_B * layout.weight_B).sum()
        return {self.loss_type: Term(total, _count(layout), ratios=ratios)}


def reference_point(stats: Stats) -> float:
    """KTO's ``z0``: how far the policy is from its reference, in nats, at least 0.

    The mean over the whole step of ``log pi(y'|x) - log ref(y'|x)`` with ``y'`` an answer to another
    prompt (2402.01306, section 4.1). It is a biased estimate of ``KL(pi || ref)``.

    Raises:
        ConfigError: the step holds no mismatched answers.
    """
    if "mismatched" not in stats.whole:
        raise ConfigError(
            "KTO's reference point needs prompts with answers to other prompts, and this step has none",
            fix="pass the groups through charter.training.mismatch.with_mismatched first",
        )
    return max(float(stats["mismatched"].detach().mean()), 0.0)


_KINDS = ("desirable", "undesirable")


class BCO:
    """Binary classifier optimisation (:func:`bco_loss`) with a reward shift remembered from step to step.

    ``delta`` is half the sum of the mean rewards of both kinds of answers, each mean an exponential
    moving average over steps that starts at its first step's mean. (TRL took one mean over all
    rewards so far, which leans to the commoner kind and to the beginning of training.) A kind not
    yet met counts as 0, the reward of an answer under the reference itself. The shift takes in a
    training step before its loss is computed, and is left alone by evaluation.

    Weights of rows, which is where the density ratio goes, count in the sum, in what it is divided
    by, and in the means of rewards. (TRL divided by the number of answers: the ratio of desirable to
    undesirable gradients is the same, the scale of the step is not.)

    Args:
        beta: strength of the implicit KL constraint.
        delta_decay: share of the old mean that is kept at each step; 0 = only the step itself.
    """

    needs = frozenset({Need.LOGPS, Need.REFERENCE, Need.STEP_STATISTICS})

    def __init__(self, beta: float = 0.1, delta_decay: float = 0.9) -> None:
        self.beta, self.delta_decay = beta, delta_decay
        self._means: dict[str, float] = {}

    @property
    def delta(self) -> float:
        """The reward shift."""
        return sum(self._means.get(kind, 0.0) for kind in _KINDS) / 2

    def counts(self, layout: Layout) -> dict[str, float]:
        """One unit per labelled answer, weighted."""
        return {"bco": _count(layout)}

    def prepare(self, scored: Scored) -> dict[str, Tensor]:
        """Rewards and weights of both kinds of answers."""
        found = {}
        for kind, of_B in zip(_KINDS, labelled(scored.layout), strict=True):
            found[kind] = self.beta * scored.logratios_B[of_B]
            found[f"{kind}/weight"] = scored.layout.weight_B[of_B]
        return found

    def update(self, stats: Stats) -> None:
        """Take a step's mean rewards into the moving averages; a kind it lacks keeps its own."""
        for kind in _KINDS:
            weight, reward = stats[f"{kind}/weight"].cpu().double(), stats[kind].cpu().double()
            if not float(weight.sum()) > 0:
                continue
            mean = float((reward * weight).sum() / weight.sum())
            old = self._means.get(kind, mean)
            self._means[kind] = self.delta_decay * old + (1 - self.delta_decay) * mean

    def state(self) -> dict[str, float]:
        """The moving averages of the kinds met so far."""
        return dict(self._means)

    def load_state(self, state: Mapping[str, float]) -> None:
        """Put back what :meth:`state` returned."""
        self._means = dict(state)

    def __call__(self, scored: Scored, stats: Stats) -> dict[str, Term]:
        """Sum over labelled answers."""
        layout, delta = scored.layout, self.delta
        desirable_B, undesirable_B = labelled(layout)
        loss_B = bco_loss(self.beta * scored.logratios_B, desirable_B, delta)
        total = (loss_B * layout.weight_B * (desirable_B | undesirable_B)).sum()
        ratios = label_metrics(scored, self.beta) | {"delta": _as_ratio(delta)}
        return {"bco": Term(total, _count(layout), ratios=ratios)}


def _as_ratio(value: float) -> tuple[Tensor, Tensor]:
    """A number of the whole step as a metric: the same from every micro-batch."""
    return torch.tensor(value, dtype=torch.float64), torch.ones((), dtype=torch.float64)


def _count(layout: Layout) -> float:
    desirable_B, undesirable_B = labelled(layout)
    return float(layout.weight_B[desirable_B | undesirable_B].sum())
