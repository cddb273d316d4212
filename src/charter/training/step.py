"""One optimizer step: score, sum the terms, divide by the step's counts, step.

Every term divides by its own count over the whole step. Splitting the step into
micro-batches, packing it differently or spreading it over ranks changes nothing.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from charter.errors import TrainingFault
from charter.models.policy import Policy
from charter.objectives.base import (
    NO_STATS,
    Need,
    Objective,
    Remembers,
    Scored,
    Stats,
    StepObjective,
    Term,
)
from charter.training.batch import MicroBatch
from charter.training.references import without_dropout
from charter.training.scoring import Scorer
from charter.training.tally import Tally


@dataclass(frozen=True, slots=True)
class WeightedTerm:
    """An objective and its weight in the sum."""

    objective: Objective
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class StepResult:
    """What one step measured: ``loss``, ``grad_norm``, each term, each metric, token counts."""

    metrics: dict[str, float]


class Stepper:
    """Takes optimizer steps on one policy.

    Args:
        policy: its trainable parameters are changed.
        terms: the loss.
        optimizer: over those parameters.
        scorer: computes what the terms need.
        max_grad_norm: see :class:`charter.catalogue.options.TrainOptions`.
    """

    def __init__(
        self,
        policy: Policy,
        terms: Sequence[WeightedTerm],
        optimizer: torch.optim.Optimizer,
        scorer: Scorer,
        max_grad_norm: float,
    ) -> None:
        self.policy = policy
        self.terms = tuple(terms)
        self.optimizer = optimizer
        self.scorer = scorer
        self.max_grad_norm = max_grad_norm
        self._learning = True  # False while evaluating: what objectives remember is not touched

    def step(self, batches: Sequence[MicroBatch], lr: float) -> StepResult:
        """One optimizer step over ``batches``.

        Raises:
            TrainingFault: loss or gradient is not finite; the weights are as before.
        """
        self._learning = True
        sums = self._accumulate(batches)
        norms = {"grad_norm": self._clip(self.policy)}
        if self.scorer.critic is not None:  # by itself, as its gradient has another scale
            norms["critic/grad_norm"] = self._clip(self.scorer.critic)
        for group in self.optimizer.param_groups:
            group["lr"] = lr * group.get("lr_scale", 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.policy.version += 1
        return StepResult({**sums, **norms, "learning_rate": lr})

    def _clip(self, policy: Policy) -> float:
        """Scale the gradients down to the norm allowed; returns the norm they had."""
        norm = float(nn.utils.clip_grad_norm_(list(policy.trainable().values()), self.max_grad_norm))
        if not math.isfinite(norm):
            self.optimizer.zero_grad(set_to_none=True)
            raise TrainingFault(
                f"gradient norm is {norm}; the weights are as before this step",
                fix="lower learning_rate, or look at the rows",
            )
        return norm

    def evaluate(self, batches: Sequence[MicroBatch]) -> dict[str, float]:
        """Loss and metrics without a step, and without dropout.

        Raises:
            TrainingFault: the loss is not finite.
        """
        training = self.policy.model.training
        self.policy.model.eval()
        self._learning = False
        try:
            with torch.no_grad():
                return self._accumulate(batches)
        finally:
            self.policy.model.train(training)

    def _accumulate(self, batches: Sequence[MicroBatch]) -> dict[str, float]:
        counts = [self._counts(term, batches) for term in self.terms]
        # One batch is scored once, unless dropout makes its statistics another draw.
        alone = len(batches) == 1 and not self.policy.model.training
        first = self.scorer(batches[0]) if alone else None
        stats = [self._prepare(term.objective, batches, first) for term in self.terms]
        sums: dict[str, float] = defaultdict(float)
        tally = Tally()
        for index, batch in enumerate(batches):
            scored = self.scorer(batch) if first is None else first
            loss = torch.zeros((), device=self.scorer.device)
            for term, count, stat in zip(self.terms, counts, stats, strict=True):
                for name, part in term.objective(scored, stat[index]).items():
                    loss = loss + term.weight * _mean(part, count[name], name, sums)
                    tally.add(part)
            if not torch.isfinite(loss):
                self.optimizer.zero_grad(set_to_none=True)
                seen = "the weights are as before this step" if torch.is_grad_enabled() else "in evaluation"
                raise TrainingFault(
                    f"loss is {float(loss.detach())}; {seen}", fix="lower learning_rate, or look at the rows"
                )
            if loss.requires_grad:
                loss.backward()  # type: ignore[no-untyped-call]
            sums["loss"] += float(loss.detach())
        sums |= tally.metrics()
        sums["tokens"] = float(sum(b.packed.logical_tokens for b in batches))
        sums["tokens_scored"] = float(sum(len(b.packed.sample_N) for b in batches))
        sums["tokens_computed"] = float(sum(len(b.packed.input_ids_T) for b in batches))
        return dict(sums)

    def _counts(self, term: WeightedTerm, batches: Sequence[MicroBatch]) -> dict[str, float]:
        totals: dict[str, float] = defaultdict(float)
        for batch in batches:
            for name, count in term.objective.counts(batch.layout).items():
                totals[name] += count
        return totals

    @torch.no_grad()
    def _prepare(
        self, objective: Objective, batches: Sequence[MicroBatch], first: Scored | None
    ) -> list[Stats]:
        """Statistics over the step, as each micro-batch is given them."""
        if not objective.needs & {Need.STEP_STATISTICS, Need.MISMATCHED}:
            return [NO_STATS] * len(batches)
        with without_dropout(self.policy):
            found = [self._statistics(objective, batch, first) for batch in batches]
        names = list(dict.fromkeys(name for one in found for name in one))
        whole = {name: torch.cat([one[name] for one in found if name in one]) for name in names}
        stats = []
        start = dict.fromkeys(names, 0)
        for one in found:
            own = {name: slice(start[name], start[name] + len(value)) for name, value in one.items()}
            stats.append(Stats(whole, own))
            start |= {name: part.stop for name, part in own.items()}
        if isinstance(objective, Remembers) and self._learning:
            objective.update(stats[0])
        return stats

    def _statistics(self, objective: Objective, batch: MicroBatch, first: Scored | None) -> dict[str, Tensor]:
        step_objective: StepObjective = objective  # type: ignore[assignment]
        if Need.MISMATCHED in objective.needs:
            side = self.scorer.mismatched(batch)
            return {} if side is None else step_objective.prepare(side)
        return step_objective.prepare((first or self.scorer(batch)).detached())


def _mean(part: Term, count: float, name: str, sums: dict[str, float]) -> Tensor:
    """This micro-batch's share of the step's mean; adds its metrics to ``sums``."""
    divisor = max(count, 1e-12)
    sums[f"loss/{name}"] += float(part.total.detach()) / divisor
    for metric, value in part.metrics.items():
        sums[metric] += float(value) / divisor
    return part.total / divisor
