"""From a micro-batch to what its objectives need computed, and nothing else."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import torch
from torch import Tensor

from charter.models.policy import Policy
from charter.models.score import VALUES, Output, Outputs, score
from charter.objectives.base import Need, Scored
from charter.training.batch import MicroBatch
from charter.training.recorded import CreditField, credit_of, has_credit, sampler_logps
from charter.training.references import ReferenceLogps
from charter.training.teacher import Teacher

_OUTPUTS: dict[Need, Output] = {
    Need.LOGPS: "logps",
    Need.TOKEN_ENTROPY: "entropy",
    Need.ENTROPY_GRADIENT: "entropy_gradient",
    Need.SQUARED_PROBS: "squared_probs",
    Need.REWARD: "reward",
    Need.STEP_REWARD: "reward",
}


class Scorer:
    """Scores micro-batches under a policy, its reference and its teacher.

    Args:
        policy: carries the gradient.
        needs: what to compute; see :class:`charter.objectives.base.Need`.
        reference: where a need asks for one.
        teacher: where a need asks for one.
        critic: where a need asks for values; carries the gradient of those.
        temperature: logits are divided by it; the sampling temperature for rollouts.
    """

    def __init__(
        self,
        policy: Policy,
        needs: Collection[Need],
        reference: ReferenceLogps | None = None,
        teacher: Teacher | None = None,
        critic: Policy | None = None,
        temperature: float = 1.0,
    ) -> None:
        self.policy, self.needs = policy, frozenset(needs)
        self.reference, self.teacher, self.critic = reference, teacher, critic
        self.temperature = temperature

    def __call__(self, batch: MicroBatch) -> Scored:
        """Score the samples a loss is computed on."""
        if Need.TEACHER in self.needs:
            assert self.teacher is not None
            return Scored(
                batch.layout.to(self.device),
                torch.zeros(len(batch.packed.sample_N), device=self.device),
                divergence_N=self.teacher.divergence(self.policy, batch),
            )
        return self._scored(batch, self._forward(batch))

    @torch.no_grad()
    def mismatched(self, batch: MicroBatch) -> Scored | None:
        """Score prompts with answers to other prompts, without gradient."""
        side = batch.sides.get("mismatched")
        return None if side is None else self._scored(side, self._forward(side))

    @property
    def device(self) -> torch.device:
        """Where the policy is."""
        return next(self.policy.model.parameters()).device  # type: ignore[no-any-return]

    def _forward(self, batch: MicroBatch) -> Outputs:
        wanted = {_OUTPUTS[need] for need in self.needs if need in _OUTPUTS}
        if not wanted:  # all that is asked for is the critic's
            return Outputs()
        return score(
            self.policy.model,
            batch.packed,
            outputs=wanted,
            compute_dtype=self.policy.compute_dtype,
            temperature=self.temperature,
        )

    def _credit(self, batch: MicroBatch, name: CreditField) -> Tensor:
        return credit_of(batch.samples, name).to(self.device)

    def _values(self, batch: MicroBatch) -> Tensor:
        """What the critic says of the state before each scored token."""
        assert self.critic is not None
        out = score(self.critic.model, batch.packed, outputs=VALUES, compute_dtype=self.critic.compute_dtype)
        assert out.values_N is not None
        return out.values_N

    def _scored(self, batch: MicroBatch, out: Outputs) -> Scored:
        layout = batch.layout.to(self.device)
        logps_N = out.logps_N
        extra: dict[str, Any] = {}
        if Need.REFERENCE in self.needs:
            assert self.reference is not None
            extra["ref_logps_N"] = self.reference.logps(self.policy, batch).to(self.device)
        if Need.SAMPLER in self.needs:
            extra["sampler_logps_N"] = sampler_logps(batch.samples).to(self.device)
        if Need.REWARD in self.needs:
            extra["reward_BZ"] = out.reward_RZ
        if Need.STEP_REWARD in self.needs:
            extra["step_reward_SZ"] = out.reward_RZ
        if logps_N is None:
            logps_N = torch.zeros(len(batch.packed.sample_N), device=self.device)
        if Need.OLD_LOGPS in self.needs:
            known = has_credit(batch.samples, "old_logps")
            extra["old_logps_N"] = self._credit(batch, "old_logps") if known else logps_N.detach()
        if Need.ADVANTAGES in self.needs:
            extra["advantage_N"] = self._credit(batch, "advantages")
        if Need.VALUES in self.needs:
            extra["values_N"] = self._values(batch)
            extra["old_values_N"] = self._credit(batch, "values")
            extra["returns_N"] = self._credit(batch, "returns")
        return Scored(
            layout,
            logps_N,
            entropy_N=out.entropy_N,
            squared_probs_N=out.squared_probs_N,
            **extra,
        )
