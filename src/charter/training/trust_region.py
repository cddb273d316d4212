"""Trust-region policy optimisation: a natural-gradient step, as long as a bound on the KL allows.

Shapes: N scored tokens of the step, P trained weights.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from charter.errors import ConfigError, TrainingFault
from charter.models.plain_scores import next_token_logps, summed_kl
from charter.models.policy import Policy
from charter.objectives.base import Need
from charter.objectives.conjugate_gradient import Solution, conjugate_gradient
from charter.objectives.trust_region import Accepted, Trial, backtrack, step_size
from charter.training.batch import MicroBatch
from charter.training.fisher import FisherProduct, flat, install
from charter.training.recorded import has_credit
from charter.training.references import without_dropout
from charter.training.scoring import Scorer
from charter.training.step import Stepper, StepResult, WeightedTerm
from charter.types import Credit, Sample


class TrustRegionStepper(Stepper):
    """Takes TRPO's steps on one policy (Schulman et al. 2015, 1502.05477, appendix C).

    The surrogate is minus the weighted sum of the terms; TRPO's own is
    :class:`charter.objectives.trust_region.ImportanceSurrogate`. With its gradient ``g``, and the Fisher
    matrix ``F`` of the policy at the scored tokens, conjugate gradient solves ``H x = g``, where
    ``H = F + damping I``. The step ``sqrt(2 max_kl_step / x^T H x) x`` is shortened until the KL from the
    policy before the step to the policy after it, exact over the whole vocabulary, is at most
    ``max_kl_step`` nats in the mean over scored tokens, and the surrogate is not worse. Where no trial is
    good enough the weights stay as they were, to the bit.

    Dropout is off. There is no learning rate, no clipping of the gradient and no optimizer: the bound alone
    says how far a step goes. Rollouts that carry no old log-probs are given the policy's own before the step.

    Time: up to ``cg_iters`` products (:class:`charter.training.fisher.FisherProduct`), and three forwards a
    trial. Memory: ``cg_iters`` and eight more vectors of P floats, and gradients of gradients of one
    micro-batch through a padded forward (:func:`charter.models.plain_scores.next_token_logps`), so that the
    size of micro-batches bounds it. Practical with LoRA.

    Args:
        policy: its trainable parameters are changed; computed in float32.
        terms: what is minimised; no term of a critic.
        optimizer: not used; held as other steppers hold theirs.
        scorer: computes what the terms need.
        max_grad_norm: not used.
        max_kl_step: nats per token that a step may go.
        damping: added to every eigenvalue of ``F``.
        cg_iters: products with ``F`` at most.
        cg_tolerance: residual, relative to the gradient, at which no more are taken.
        backtrack_coeff: what a step is multiplied by when it is too long.
        backtrack_iters: steps that are tried.

    Raises:
        ConfigError: the policy is not computed in float32, or a term trains a critic.
        ValueError: an option out of range.
    """

    def __init__(
        self,
        policy: Policy,
        terms: Sequence[WeightedTerm],
        optimizer: torch.optim.Optimizer,
        scorer: Scorer,
        max_grad_norm: float = math.inf,
        *,
        max_kl_step: float = 0.01,
        damping: float = 0.1,
        cg_iters: int = 10,
        cg_tolerance: float = 1e-6,
        backtrack_coeff: float = 0.8,
        backtrack_iters: int = 10,
    ) -> None:
        super().__init__(policy, terms, optimizer, scorer, max_grad_norm)
        if policy.compute_dtype != torch.float32:
            raise ConfigError(
                f"trust-region steps are computed in float32, not {policy.compute_dtype}",
                where="bf16",
                fix="set bf16: false",
            )
        if any(Need.VALUES in term.objective.needs for term in terms):
            raise ConfigError(
                "a critic takes no trust-region steps", fix="train it with a stepper of its own"
            )
        if not (max_kl_step > 0 and damping >= 0 and cg_iters >= 1 and cg_tolerance >= 0):
            raise ValueError("max_kl_step must be positive, damping not negative, cg_iters at least 1")
        if not (0 < backtrack_coeff < 1 and backtrack_iters >= 1):
            raise ValueError("backtrack_coeff must be between 0 and 1, backtrack_iters at least 1")
        self.max_kl_step, self.damping = max_kl_step, damping
        self.cg_iters, self.cg_tolerance = cg_iters, cg_tolerance
        self.backtrack_coeff, self.backtrack_iters = backtrack_coeff, backtrack_iters

    def step(self, batches: Sequence[MicroBatch], lr: float) -> StepResult:
        """One step over ``batches``; ``lr`` is not used.

        Metrics beside those of the terms, which are of the policy before the step: ``grad_norm`` of the
        surrogate, and after ``trust_region/`` ``kl`` (nats per token), ``surrogate_before``,
        ``surrogate_after``, ``accepted`` (1 or 0), ``backtracks`` (trials that failed), ``cg_residual``
        (relative to the gradient), ``cg_iters``.

        Raises:
            TrainingFault: loss, gradient or Fisher matrix is not finite; the weights are as before this step.
        """
        parameters = list(self.policy.trainable().values())
        with without_dropout(self.policy):
            batches = [self._with_old_logps(batch) for batch in batches]
            self._learning = True
            sums, gradient_P = self._gradient(batches, parameters)
            surrogate = -sums["loss"]
            found, done = None, None
            if bool(gradient_P.any()):
                found = self._solve(batches, parameters, gradient_P)
                step_P = found.x_P * step_size(found.curvature, self.max_kl_step)
                done = self._search(batches, parameters, step_P, surrogate)
        self.policy.version += 1
        norm = {"grad_norm": float(gradient_P.norm())}
        return StepResult({**sums, **norm, **_metrics(surrogate, found, done, self.backtrack_iters)})

    def _with_old_logps(self, batch: MicroBatch) -> MicroBatch:
        """The batch with what its ratios are to: without it a trial would be held against itself."""
        if Need.OLD_LOGPS not in self.scorer.needs or has_credit(batch.samples, "old_logps"):
            return batch
        with torch.no_grad():
            old_N = self.scorer(batch).need("old_logps_N")
        per_sample = torch.split(old_N.cpu(), batch.packed.lengths_B.tolist())
        samples = [_carrying(s, old) for s, old in zip(batch.samples, per_sample, strict=True)]
        return replace(batch, samples=tuple(samples))

    def _gradient(
        self, batches: Sequence[MicroBatch], parameters: Sequence[Tensor]
    ) -> tuple[dict[str, float], Tensor]:
        """The terms' metrics, and the gradient of the surrogate, ``(P,)``."""
        _forget(parameters)
        try:
            sums = self._accumulate(batches)
            parts = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
            gradient_P = -flat(parts)
        finally:
            _forget(parameters)
        _finite("the gradient norm", float(gradient_P.norm()))
        return sums, gradient_P

    def _solve(
        self, batches: Sequence[MicroBatch], parameters: Sequence[Tensor], gradient_P: Tensor
    ) -> Solution:
        """The natural gradient, damped."""
        product = FisherProduct(
            self.policy.model, [batch.packed for batch in batches], parameters, self.scorer.temperature
        )
        found = conjugate_gradient(
            product,
            gradient_P,
            damping=self.damping,
            iterations=self.cg_iters,
            tolerance=self.cg_tolerance,
            reorthogonalize=True,  # else the split into micro-batches decides where the step goes
        )
        _finite("the residual of conjugate gradient", found.residual)
        if not 0 < found.curvature < math.inf:
            raise TrainingFault(
                f"curvature along the step is {found.curvature}; the weights are as before this step",
                fix="raise damping, or look at the rows",
            )
        return found

    def _search(
        self,
        batches: Sequence[MicroBatch],
        parameters: Sequence[Tensor],
        step_P: Tensor,
        surrogate: float,
    ) -> Accepted | None:
        """Install the longest step that is good enough; None and the old weights where none is."""
        old_P = flat([p.detach() for p in parameters])

        def attempt(share: float) -> Trial:
            new_P = old_P + share * step_P
            kl = self._kl(batches, parameters, old_P, new_P)
            if not kl <= self.max_kl_step:
                return Trial(kl, -math.inf)  # too far, whatever the surrogate is
            install(parameters, new_P)
            return Trial(kl, -self.evaluate(batches)["loss"])

        done = None
        try:
            done = backtrack(attempt, surrogate, self.max_kl_step, self.backtrack_coeff, self.backtrack_iters)
        finally:  # after an error or an interrupt too
            if done is None:
                install(parameters, old_P)
        return done

    @torch.no_grad()
    def _kl(
        self, batches: Sequence[MicroBatch], parameters: Sequence[Tensor], old_P: Tensor, new_P: Tensor
    ) -> float:
        """Mean of ``KL(old || new)`` over the scored tokens; the old ones are computed anew, not held."""
        model, temperature = self.policy.model, self.scorer.temperature
        total, count = 0.0, 0
        for packed in (batch.packed for batch in batches):
            if len(packed.sample_N):
                install(parameters, old_P)
                old_DV = next_token_logps(model, packed, temperature)
                install(parameters, new_P)
                total += float(summed_kl(old_DV, next_token_logps(model, packed, temperature), packed))
                count += len(packed.sample_N)
        return total / max(count, 1)


def _carrying(sample: Sample, old_N: Tensor) -> Sample:
    """The rollout with its old log-probs; other data as it is."""
    if sample.credit is None:
        return sample
    credit: Credit = replace(sample.credit, old_logps=tuple(old_N.tolist()))
    return replace(sample, credit=credit)


def _forget(parameters: Sequence[Tensor]) -> None:
    for parameter in parameters:
        parameter.grad = None


def _finite(name: str, value: float) -> None:
    if not math.isfinite(value):
        raise TrainingFault(
            f"{name} is {value}; the weights are as before this step",
            fix="raise damping, or look at the rows",
        )


def _metrics(surrogate: float, found: Solution | None, done: Accepted | None, tried: int) -> dict[str, float]:
    """What the step says of itself; without a gradient nothing was solved, and nothing tried."""
    said = {
        "kl": 0.0 if done is None else done.trial.kl,
        "surrogate_before": surrogate,
        "surrogate_after": surrogate if done is None else done.trial.surrogate,
        "accepted": float(done is not None),
        "backtracks": float(tried if done is None else done.backtracks) if found is not None else 0.0,
        "cg_residual": 0.0 if found is None else found.residual,
        "cg_iters": 0.0 if found is None else float(found.iterations),
    }
    return {f"trust_region/{name}": value for name, value in said.items()}
