"""How far a training run is, and everything that a checkpoint of it holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

from charter.models.policy import Policy
from charter.objectives.base import Objective, Remembers
from charter.training import checkpoint
from charter.training.hooks import Hook, Stop
from charter.training.references import ReferenceLogps
from charter.training.teacher import Teacher

_TEACHER = "teacher/"
"""Before the names of a teacher's weights in a checkpoint."""


class RunState:
    """The state of a run: its own numbers, and whatever else in it has a state.

    Args:
        policy: what is trained.
        optimizer: over its trainable parameters.
        objectives: the terms of the loss; some remember beyond the step.
        hooks: see :mod:`charter.training.hooks`.
        reference, teacher: weights of those that follow the policy.

    Attributes:
        done: optimizer steps taken.
        good: weights a hook last found well, of step ``good_step``; empty when none did.
        stopped: why training stopped before its end.
        pending: metrics of a step whose evaluation and hooks are still to come.
    """

    def __init__(
        self,
        policy: Policy,
        optimizer: torch.optim.Optimizer,
        objectives: Sequence[Objective],
        hooks: Sequence[Hook],
        reference: ReferenceLogps | None,
        teacher: Teacher | None,
    ) -> None:
        self.policy, self.optimizer, self.hooks = policy, optimizer, hooks
        self.remembering = [one for one in objectives if isinstance(one, Remembers)]
        self.reference, self.teacher = reference, teacher
        self.done = 0
        self.good: dict[str, Tensor] = {}
        self.good_step = 0
        self.stopped: Stop | None = None
        self.pending: dict[str, float] | None = None

    def memories(self) -> list[dict[str, float]]:
        """What objectives remember beyond the step."""
        return [objective.state() for objective in self.remembering]

    def remember(self, memories: Sequence[Mapping[str, float]]) -> None:
        """Put back what :meth:`memories` returned."""
        for objective, memory in zip(self.remembering, memories, strict=True):
            objective.load_state(memory)

    def keep_as_good(self) -> None:
        """The weights as they are now can be gone back to."""
        self.good = {name: p.detach().clone() for name, p in self.policy.trainable().items()}
        self.good_step = self.done

    def go_back(self) -> None:
        """Put back the weights last found well, where there are some."""
        if not self.good:
            return
        with torch.no_grad():
            for name, parameter in self.policy.trainable().items():
                parameter.copy_(self.good[name])
        self.policy.version = self.good_step

    def capture(self, fingerprint: dict[str, Any]) -> checkpoint.TrainState:
        """As a checkpoint of a run with ``fingerprint`` holds it."""
        extra: dict[str, Any] = {
            "hooks": {hook.name: hook.state() for hook in self.hooks},
            "stopped": asdict(self.stopped) if self.stopped else None,
            "good_step": self.good_step,
            "pending": self.pending,
            "memories": self.memories(),
        }
        return checkpoint.capture(
            self.done,
            self.policy.trainable(),
            self.optimizer,
            self.good,
            extra,
            fingerprint,
            self._moving_weights(),
        )

    def restore(self, saved: checkpoint.TrainState) -> None:
        """Put back what :meth:`capture` returned.

        Raises:
            UserError: its parameters are not the policy's.
        """
        checkpoint.restore(saved, self.policy.trainable(), self.optimizer)
        self.done = self.policy.version = saved.step
        self.good = saved.good
        self.good_step = saved.extra["good_step"]
        self.pending = saved.extra["pending"]
        if self.reference is not None:
            self.reference.load_state(saved.reference)
        if self.teacher is not None:
            own = {k: v for k, v in saved.reference.items() if k.startswith(_TEACHER)}
            self.teacher.load_state({k.removeprefix(_TEACHER): v for k, v in own.items()})
        self.remember(saved.extra["memories"])
        for hook in self.hooks:
            if hook.name in saved.extra["hooks"]:
                hook.restore(saved.extra["hooks"][hook.name])
        stopped = saved.extra["stopped"]
        self.stopped = Stop(**stopped) if stopped else None

    def _moving_weights(self) -> dict[str, Tensor]:
        """Weights of a reference and of a teacher that follow the policy."""
        found = {} if self.reference is None else self.reference.state()
        taught = {} if self.teacher is None else self.teacher.state()
        return {**found, **{_TEACHER + name: weight for name, weight in taught.items()}}
