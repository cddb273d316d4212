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
from charter.models.reference import ReferenceCache
from charter.models.score import score
from charter.objectives.base import NO_STATS, Need, Objective, Scored, Stats, StepObjective, Term
from charter.training.batch import MicroBatch


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
        reference: cached log-probs, where a term needs them.
        max_grad_norm: see :class:`charter.catalogue.options.TrainOptions`.
    """

    def __init__(
        self,
        policy: Policy,
        terms: Sequence[WeightedTerm],
        optimizer: torch.optim.Optimizer,
        reference: ReferenceCache | None,
        max_grad_norm: float,
    ) -> None:
        self.policy = policy
        self.terms = tuple(terms)
        self.optimizer = optimizer
        self.reference = reference
        self.max_grad_norm = max_grad_norm

    def step(self, batches: Sequence[MicroBatch], lr: float) -> StepResult:
        """One optimizer step over ``batches``.

        Raises:
            TrainingFault: loss or gradient is not finite; the weights are as before.
        """
        sums = self._accumulate(batches)
        parameters = list(self.policy.trainable().values())
        norm = float(nn.utils.clip_grad_norm_(parameters, self.max_grad_norm))
        if not math.isfinite(norm):
            self.optimizer.zero_grad(set_to_none=True)
            raise TrainingFault(
                f"gradient norm is {norm}; the weights are as before this step",
                fix="lower learning_rate, or look at the rows",
            )
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.policy.version += 1
        return StepResult({**sums, "grad_norm": norm, "learning_rate": lr})

    def evaluate(self, batches: Sequence[MicroBatch]) -> dict[str, float]:
        """Loss and metrics without a step, and without dropout.

        Raises:
            TrainingFault: the loss is not finite.
        """
        training = self.policy.model.training
        self.policy.model.eval()
        try:
            with torch.no_grad():
                return self._accumulate(batches)
        finally:
            self.policy.model.train(training)

    def _accumulate(self, batches: Sequence[MicroBatch]) -> dict[str, float]:
        counts = [self._counts(term, batches) for term in self.terms]
        stats = [self._prepare(term, batches) for term in self.terms]
        sums: dict[str, float] = defaultdict(float)
        for batch in batches:
            scored = self._score(batch)
            loss = torch.zeros(())
            for term, count, stat in zip(self.terms, counts, stats, strict=True):
                for name, part in term.objective(scored, stat).items():
                    loss = loss + term.weight * _mean(part, count[name], name, sums)
            if not torch.isfinite(loss):
                self.optimizer.zero_grad(set_to_none=True)
                seen = "the weights are as before this step" if torch.is_grad_enabled() else "in evaluation"
                raise TrainingFault(
                    f"loss is {float(loss.detach())}; {seen}", fix="lower learning_rate, or look at the rows"
                )
            if loss.requires_grad:
                loss.backward()  # type: ignore[no-untyped-call]
            sums["loss"] += float(loss.detach())
        sums["tokens"] = float(sum(b.packed.logical_tokens for b in batches))
        sums["tokens_scored"] = float(sum(len(b.packed.sample_N) for b in batches))
        sums["tokens_computed"] = float(sum(len(b.packed.input_ids_T) for b in batches))
        return dict(sums)

    def _score(self, batch: MicroBatch) -> Scored:
        out = score(self.policy.model, batch.packed, compute_dtype=self.policy.compute_dtype)
        assert out.logps_N is not None
        reference = None
        if self.reference is not None:
            reference = torch.from_numpy(self.reference.logps(batch.samples))
        return Scored(batch.layout, out.logps_N, reference)

    def _counts(self, term: WeightedTerm, batches: Sequence[MicroBatch]) -> dict[str, float]:
        totals: dict[str, float] = defaultdict(float)
        for batch in batches:
            for name, count in term.objective.counts(batch.layout).items():
                totals[name] += count
        return totals

    def _prepare(self, term: WeightedTerm, batches: Sequence[MicroBatch]) -> Stats:
        if Need.STEP_STATISTICS not in term.objective.needs:
            return NO_STATS
        objective: StepObjective = term.objective  # type: ignore[assignment]
        totals: dict[str, Tensor] = {}
        with torch.no_grad():
            for batch in batches:
                for name, value in objective.prepare(self._score(batch)).items():
                    totals[name] = totals[name] + value if name in totals else value
        return totals


def _mean(part: Term, count: float, name: str, sums: dict[str, float]) -> Tensor:
    """This micro-batch's share of the step's mean; adds its metrics to ``sums``."""
    divisor = max(count, 1e-12)
    sums[f"loss/{name}"] += float(part.total.detach()) / divisor
    for metric, value in part.metrics.items():
        sums[metric] += float(value) / divisor
    return part.total / divisor
