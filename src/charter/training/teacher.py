"""Whose next-token distribution a policy is distilled from."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from charter.models.policy import Policy
from charter.training.batch import MicroBatch


class Teacher(Protocol):
    """A model whose distributions are the target, given its own context."""

    def divergence(self, policy: Policy, batch: MicroBatch) -> Tensor:
        """Divergence between teacher and policy at each scored token, ``(N,)``; carries gradient.

        ``batch.sides["teacher"]`` holds the same completions under the teacher's contexts.
        """
        ...

    def after_step(self, policy: Policy, step: int) -> None:
        """The policy has taken ``step`` optimizer steps."""
        ...
