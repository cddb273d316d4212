"""TRPO's optimizer step with a critic: a trust-region step for the policy, AdamW for the critic."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from charter.catalogue.actor_critic import TRPOOptions
from charter.models.policy import Policy
from charter.objectives.base import Need
from charter.training.batch import MicroBatch
from charter.training.scoring import Scorer
from charter.training.step import Stepper, StepResult, WeightedTerm
from charter.training.trust_region import TrustRegionStepper


class NaturalStepper(Stepper):
    """Steps a policy along its natural gradient, then its critic by AdamW.

    Args:
        policy, terms, optimizer, scorer, max_grad_norm: see :class:`charter.training.step.Stepper`;
            terms that need values are the critic's.
        options: of TRPO.
    """

    def __init__(
        self,
        policy: Policy,
        terms: Sequence[WeightedTerm],
        optimizer: torch.optim.Optimizer,
        scorer: Scorer,
        max_grad_norm: float,
        options: TRPOOptions,
    ) -> None:
        super().__init__(policy, terms, optimizer, scorer, max_grad_norm)
        of_critic = [term for term in terms if Need.VALUES in term.objective.needs]
        of_policy = [term for term in terms if Need.VALUES not in term.objective.needs]
        self._policy_stepper = TrustRegionStepper(
            policy,
            of_policy,
            optimizer,
            _scorer(scorer, of_policy),
            max_kl_step=options.max_kl_step,
            damping=options.damping,
            cg_iters=options.cg_iters,
            backtrack_coeff=options.backtrack_coeff,
            backtrack_iters=options.backtrack_iters,
        )
        self._critic_stepper = Stepper(
            policy, of_critic, optimizer, _scorer(scorer, of_critic), max_grad_norm
        )

    def step(self, batches: Sequence[MicroBatch], lr: float) -> StepResult:
        """One step of each; see :meth:`charter.training.step.Stepper.step`."""
        own = self._policy_stepper.step(batches, lr).metrics
        critic = self._critic_stepper.step(batches, lr).metrics
        loss = own["loss"] + critic["loss"]
        return StepResult({**critic, **own, "loss": loss})


def natural_stepper(options: TRPOOptions) -> Callable[..., NaturalStepper]:
    """Makes the steppers of runs with ``options``."""

    def make(
        policy: Policy,
        terms: Sequence[WeightedTerm],
        optimizer: torch.optim.Optimizer,
        scorer: Scorer,
        max_grad_norm: float,
    ) -> NaturalStepper:
        return NaturalStepper(policy, terms, optimizer, scorer, max_grad_norm, options)

    return make


def _scorer(scorer: Scorer, terms: Sequence[WeightedTerm]) -> Scorer:
    """A scorer of what ``terms`` need, and nothing else."""
    needs = frozenset(need for term in terms for need in term.objective.needs)
    critic = scorer.critic if Need.VALUES in needs else None
    return Scorer(scorer.policy, needs, scorer.reference, scorer.teacher, critic, scorer.temperature)
