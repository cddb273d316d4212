"""DPO and every loss of its kind: pairs of a better and a worse answer, held against a reference.

Shapes: P pairs, B samples.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from charter.objectives import f_divergence, length_desensitised, pair_losses, transport
from charter.objectives.base import Layout, Need, Scored, Stats, Term, Unit
from charter.objectives.f_divergence import FDivergence
from charter.objectives.pair_losses import dpo_sigmoid
from charter.objectives.pair_metrics import pair_metrics
from charter.objectives.pair_objective import PairLogps, PairObjective, Sides, soft
from charter.objectives.pair_weights import on_policy_weights
from charter.objectives.reference_free import ChosenNLL

__all__ = ["DPO", "IPO", "PAIR_LOSSES", "Knobs", "dpo_sigmoid", "pair_metrics", "win_rates"]


@dataclass(frozen=True, slots=True)
class Knobs:
    """Settings of the losses in :data:`PAIR_LOSSES`."""

    beta: float = 0.1
    label_smoothing: float = 0.0
    discopop_tau: float = 0.05


PairLoss = Callable[[Sides, Knobs], Tensor]

PAIR_LOSSES: Mapping[str, PairLoss] = {
    "sigmoid": lambda s, k: pair_losses.dpo_sigmoid(s.better_P, s.worse_P, k.beta),
    "sigmoid_norm": lambda s, k: pair_losses.dpo_sigmoid(*s.means(), k.beta),
    "cdpo": lambda s, k: pair_losses.dpo_sigmoid(s.better_P, s.worse_P, k.beta, 1 - k.label_smoothing),
    "robust": lambda s, k: pair_losses.robust(s.better_P, s.worse_P, k.beta, k.label_smoothing),
    "hinge": lambda s, k: pair_losses.hinge(s.better_P, s.worse_P, k.beta),
    "ipo": lambda s, k: pair_losses.ipo(*s.means(), k.beta),
    "exo_pair": lambda s, k: pair_losses.exo_pair(s.better_P, s.worse_P, k.beta, k.label_smoothing),
    "nca_pair": lambda s, k: pair_losses.nca_pair(s.better_P, s.worse_P, k.beta),
    "bco_pair": lambda s, k: pair_losses.bco_pair(s.better_P, s.worse_P, k.beta),
    "sppo_hard": lambda s, k: pair_losses.sppo_hard(s.better_P, s.worse_P, k.beta),
    "apo_zero": lambda s, k: pair_losses.apo_zero(s.better_P, s.worse_P, k.beta),
    "apo_down": lambda s, k: pair_losses.apo_down(s.better_P, s.worse_P, k.beta),
    "discopop": lambda s, k: pair_losses.discopop(s.better_P, s.worse_P, k.beta, k.discopop_tau),
}
"""Losses of one pair by itself, by TRL's names."""

TRANSPORTED: Mapping[str, Callable[[PairLogps, Layout], tuple[transport.Atoms, transport.Atoms]]] = {
    "aot": transport.paired_atoms,
    "aot_unpaired": transport.unpaired_atoms,
}
"""Losses of a whole step: what each of them compares."""

_OTHER = ("sppo", "sft")
_TERM = {"sigmoid": "dpo", "sft": "nll"}
"""Names of terms where they are not the names of the losses."""


class DPO:
    """The mean over the pairs of a step of one or several losses, held against a reference.

    ``better`` and ``worse`` are the answers' log-ratios ``log pi(y|x) - log ref(y|x)``, summed over tokens
    unless the loss says otherwise; ``b`` and ``w``, the implicit rewards, are ``beta`` times these, and
    ``h = b - w``. A pair that is the right way round with probability ``p`` counts as ``p`` of itself and
    ``1 - p`` of its opposite, where the loss does not say otherwise. Losses have TRL's names.

    Args:
        beta: strength of the implicit KL constraint.
        loss_type: keys of :data:`PAIR_LOSSES` or :data:`TRANSPORTED`; ``sppo`` (soft win rates, see
            :func:`win_rates`); ``sft`` (token-mean NLL of the better answers).
        loss_weights: one for each of them; None = 1 each.
        label_smoothing: of ``cdpo``, ``robust``, ``exo_pair`` and AOT.
        f_divergence_type, f_alpha_divergence_coef: see :func:`charter.objectives.f_divergence.f_score`.
        ld_alpha: see :mod:`charter.objectives.length_desensitised`; None = off.
        use_weighting: see :mod:`charter.objectives.pair_weights`; weighs losses of pairs, not ``sft``.
        discopop_tau: of ``discopop``.
    """

    def __init__(
        self,
        beta: float = 0.1,
        loss_type: str | Sequence[str] = "sigmoid",
        loss_weights: Sequence[float] | None = None,
        label_smoothing: float = 0.0,
        f_divergence_type: FDivergence = "reverse_kl",
        f_alpha_divergence_coef: float = 0.5,
        ld_alpha: float | None = None,
        use_weighting: bool = False,
        discopop_tau: float = 0.05,
    ) -> None:
        self.types = (loss_type,) if isinstance(loss_type, str) else tuple(loss_type)
        unknown = [name for name in self.types if name not in {*PAIR_LOSSES, *TRANSPORTED, *_OTHER}]
        if unknown:
            raise ValueError(f"unknown loss_type {unknown[0]!r}")
        self.weights = tuple(loss_weights or [1.0] * len(self.types))
        self.knobs = Knobs(beta, label_smoothing, discopop_tau)
        self.divergence, self.alpha = f_divergence_type, f_alpha_divergence_coef
        self.ld_alpha, self.use_weighting = ld_alpha, use_weighting

    @property
    def needs(self) -> frozenset[Need]:
        """What the chosen losses read."""
        found = {Need.LOGPS, Need.REFERENCE}
        if self.use_weighting:
            found.add(Need.SQUARED_PROBS)
        if any(name in TRANSPORTED for name in self.types):
            found.add(Need.STEP_STATISTICS)
        return frozenset(found)

    def stated_by(self) -> tuple[Callable[..., object], ...]:
        """For the documentation: what states the chosen losses, their log-ratios and their weights."""
        found = [_statement(name) for name in self.types]
        found += [TRANSPORTED[name] for name in self.types if name in TRANSPORTED]
        if self.divergence != "reverse_kl":
            found.append(f_divergence.f_score)
        if self.ld_alpha is not None:
            found.append(length_desensitised.desensitised_sums)
        if self.use_weighting:
            found.append(on_policy_weights)
        return tuple(found)

    def counts(self, layout: Layout) -> dict[str, float]:
        """One unit per pair, weighted; per token of the better answers for ``sft``."""
        pairs = layout.count(Unit.PAIR)
        nll = ChosenNLL().counts(layout)["nll"]
        return {_TERM.get(name, name): nll if name == "sft" else pairs for name in self.types}

    def prepare(self, scored: Scored) -> dict[str, Tensor]:
        """What AOT compares, of one micro-batch."""
        logps = PairLogps.of(scored, self.ld_alpha)
        found: dict[str, Tensor] = {}
        for name in self.types:
            if name in TRANSPORTED:
                better, worse = TRANSPORTED[name](logps, scored.layout)
                found |= better.stored(f"{name}/better") | worse.stored(f"{name}/worse")
        return found

    def __call__(self, scored: Scored, stats: Stats) -> dict[str, Term]:
        """One term per loss; the first has the metrics that every pair method reports."""
        layout = scored.layout
        logps = PairLogps.of(scored, self.ld_alpha)
        sides = Sides.of(scored, logps, self.divergence, self.alpha)
        terms: dict[str, Term] = {}
        for name, weight in zip(self.types, self.weights, strict=True):
            if name == "sft":
                nll = ChosenNLL()(scored, stats)["nll"]
                terms["nll"] = Term(weight * nll.total, nll.count)
                continue
            if name in TRANSPORTED:
                total = self._transported(name, logps, layout, stats)
            else:
                total = self._summed(self._losses(name, sides, layout), scored)
            terms[_TERM.get(name, name)] = Term(weight * total, layout.count(Unit.PAIR))
        return _with_metrics(terms, scored, self.knobs.beta)

    def _losses(self, name: str, sides: Sides, layout: Layout) -> Tensor:
        """One loss per pair."""
        if name == "sppo":
            better_P, worse_P = win_rates(layout)
            return pair_losses.sppo(sides.better_P, sides.worse_P, self.knobs.beta, better_P, worse_P)
        return soft(lambda s: PAIR_LOSSES[name](s, self.knobs), sides)

    def _summed(self, loss_P: Tensor, scored: Scored) -> Tensor:
        weight_P = scored.layout.weight_P
        if self.use_weighting:
            weight_P = weight_P * on_policy_weights(scored)
        return (loss_P * weight_P).sum()

    def _transported(self, name: str, logps: PairLogps, layout: Layout, stats: Stats) -> Tensor:
        better, worse = TRANSPORTED[name](logps, layout)
        return transport.aot_loss(
            better.of_step(f"{name}/better", stats),
            worse.of_step(f"{name}/worse", stats),
            self.knobs.beta,
            self.knobs.label_smoothing,
        )


def _statement(loss_type: str) -> Callable[..., object]:
    """The function or class whose docstring states a loss."""
    if loss_type in TRANSPORTED:
        return transport.aot_loss
    if loss_type in ("sigmoid", "sigmoid_norm", "cdpo"):
        return pair_losses.dpo_sigmoid
    stated: Callable[..., object] = ChosenNLL if loss_type == "sft" else getattr(pair_losses, loss_type)
    return stated


def win_rates(layout: Layout) -> tuple[Tensor, Tensor]:
    """How often each answer of a pair beats the reference's answers, ``(P,)`` and ``(P,)``.

    What was said about each answer by itself, where both have something (a win rate between 0 and
    1); else the pair's probability and its complement, as if the other answer were the reference's.
    """
    p_P, value_B = layout.probability_P, layout.value_B.to(layout.probability_P.dtype)
    better_P, worse_P = value_B[layout.pairs_P2[:, 0]], value_B[layout.pairs_P2[:, 1]]
    known_P = ~(better_P.isnan() | worse_P.isnan())
    return torch.where(known_P, better_P, p_P), torch.where(known_P, worse_P, 1 - p_P)


def _with_metrics(terms: dict[str, Term], scored: Scored, beta: float) -> dict[str, Term]:
    """Metrics with the first term that counts pairs, or with weights of their own where none does."""
    metrics = pair_metrics(scored, beta)
    name = next((name for name in terms if name != "nll"), "")
    if name:
        return {**terms, name: Term(terms[name].total, terms[name].count, metrics)}
    weight = scored.layout.weight_P.sum()
    ratios = {metric: (total, weight) for metric, total in metrics.items()}
    return {"nll": Term(terms["nll"].total, terms["nll"].count, ratios=ratios)}


class IPO(PairObjective):
    """IPO over the pairs of a batch; see :func:`charter.objectives.pair_losses.ipo`.

    ``better`` and ``worse`` are the answers' log-ratios ``log pi(y|x) - log ref(y|x)``.

    Args:
        beta: the paper's tau.
        length_normalize: log-ratios per token; off = sums, as the equation is written.
    """

    name = "ipo"

    def __init__(self, beta: float = 0.1, length_normalize: bool = True) -> None:
        super().__init__(beta)
        self.length_normalize = length_normalize

    def losses(self, sides: Sides) -> Tensor:
        """See :func:`charter.objectives.pair_losses.ipo`."""
        return soft(self._hard, sides)

    def _hard(self, sides: Sides) -> Tensor:
        better_P, worse_P = sides.means() if self.length_normalize else (sides.better_P, sides.worse_P)
        return pair_losses.ipo(better_P, worse_P, self.beta)
