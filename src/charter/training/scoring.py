"""From a micro-batch to what its objectives need computed, and nothing else."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import torch

from charter.models.policy import Policy
from charter.models.score import Output, Outputs, score
from charter.objectives.base import Need, Scored
from charter.training.batch import MicroBatch
from charter.training.references import ReferenceLogps, sampler_logps
from charter.training.teacher import Teacher

_OUTPUTS: dict[Need, Output] = {
    Need.LOGPS: "logps",
    Need.TOKEN_ENTROPY: "entropy",
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
    """

    def __init__(
        self,
        policy: Policy,
        needs: Collection[Need],
        reference: ReferenceLogps | None = None,
        teacher: Teacher | None = None,
    ) -> None:
        self.policy, self.needs = policy, frozenset(needs)
        self.reference, self.teacher = reference, teacher

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
        return score(self.policy.model, batch.packed, outputs=wanted, compute_dtype=self.policy.compute_dtype)

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
        return Scored(
            layout,
            logps_N,
            entropy_N=out.entropy_N,
            squared_probs_N=out.squared_probs_N,
            **extra,
        )
