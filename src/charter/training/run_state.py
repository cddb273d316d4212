"""How far a training run is, and everything that a checkpoint of it holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor, nn

from charter.models.policy import Policy
from charter.objectives.base import Objective, Remembers
from charter.training import checkpoint
from charter.training.feed import Feed
from charter.training.hooks import Hook, Stop
from charter.training.teacher import Teacher

_TEACHER = "teacher/"
"""Before the names of a teacher's weights in a checkpoint."""

_CRITIC = "critic."
"""Begins the names of the critic's weights in a checkpoint."""


class RunState:
    """The state of a run: its own numbers, and whatever else in it has a state.

    Args:
        policy: what is trained.
        optimizer: over its trainable parameters.
        objectives: the terms of the loss; some remember beyond the step.
        hooks: see :mod:`charter.training.hooks`.
        feed: its source has a state; its reference may follow the policy, its critic is trained beside it.
        teacher: may follow the policy.

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
        feed: Feed,
        teacher: Teacher | None,
    ) -> None:
        self.policy, self.optimizer, self.hooks = policy, optimizer, hooks
        self.source, self.critic = feed.source, feed.critic
        self.remembering = [one for one in objectives if isinstance(one, Remembers)]
        self.reference, self.teacher = feed.reference, teacher
        self.done = 0
        self.good: dict[str, Tensor] = {}
        self.good_step = 0
        self.stopped: Stop | None = None
        self.pending: dict[str, float] | None = None

    def parameters(self) -> dict[str, nn.Parameter]:
        """Everything that is trained, by name."""
        found = self.policy.trainable()
        if self.critic is None:
            return found
        return {**found, **{_CRITIC + name: p for name, p in self.critic.trainable().items()}}

    def weights(self) -> dict[str, Tensor]:
        """A copy of everything that is trained."""
        return {name: p.detach().clone() for name, p in self.parameters().items()}

    def start_afresh(self, weights: Mapping[str, Tensor]) -> None:
        """Train on from ``weights``, with nothing in the optimizer."""
        self._put(weights)
        self.optimizer.state.clear()

    def _put(self, weights: Mapping[str, Tensor]) -> None:
        with torch.no_grad():
            for name, parameter in self.parameters().items():
                parameter.copy_(weights[name])

    def memories(self) -> list[dict[str, float]]:
        """What objectives remember beyond the step."""
        return [objective.state() for objective in self.remembering]

    def remember(self, memories: Sequence[Mapping[str, float]]) -> None:
        """Put back what :meth:`memories` returned."""
        for objective, memory in zip(self.remembering, memories, strict=True):
            objective.load_state(memory)

    def keep_as_good(self) -> None:
        """The weights as they are now can be gone back to."""
        if self.good:  # in its place: two copies at once are one too many
            for name, parameter in self.parameters().items():
                self.good[name].copy_(parameter.detach())
        else:
            self.good = self.weights()
        self.good_step = self.done

    def go_back(self) -> None:
        """Put back the weights last found well, where there are some."""
        if not self.good:
            return
        self._put(self.good)
        self.policy.version = self.good_step

    def capture(self, fingerprint: dict[str, Any]) -> checkpoint.TrainState:
        """As a checkpoint of a run with ``fingerprint`` holds it."""
        extra: dict[str, Any] = {
            "hooks": {hook.name: hook.state() for hook in self.hooks},
            "stopped": asdict(self.stopped) if self.stopped else None,
            "good_step": self.good_step,
            "pending": self.pending,
            "memories": self.memories(),
            "source": self.source.state(),
        }
        return checkpoint.capture(
            self.done,
            self.parameters(),
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
        checkpoint.restore(saved, self.parameters(), self.optimizer)
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
        self.source.load_state(saved.extra.get("source", {}), saved.step)
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
