"""Where an optimizer step's groups come from."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from charter.types import Group


class Source(Protocol):
    """Groups for each optimizer step: a dataset, or rollouts with feedback."""

    @property
    def steps_per_epoch(self) -> int:
        """Optimizer steps that see every group, or every prompt, once."""
        ...

    def step(self, number: int) -> Sequence[Group]:
        """The groups of optimizer step ``number`` (0-based); none where there is nothing to learn.

        The same number gives the same groups.
        """
        ...

    def metrics(self) -> Mapping[str, float]:
        """What the source measured of the last step's groups."""
        ...

    def starts_afresh(self, number: int) -> bool:
        """Whether step ``number`` is trained from the first weights, with a new optimizer."""
        ...

    def policy_updated(self, version: int, metrics: Mapping[str, float]) -> None:
        """The policy has taken ``version`` steps; ``metrics`` of the last."""
        ...

    def state(self) -> dict[str, Any]:
        """Plain data a checkpoint must hold."""
        ...

    def load_state(self, state: Mapping[str, Any], step: int) -> None:
        """Continue after ``step`` steps from what :meth:`state` returned."""
        ...

    def start_over(self) -> None:
        """The run starts at its beginning: forget what an earlier one left."""
        ...

    def saved(self) -> None:
        """A checkpoint was written."""
        ...


class DatasetSource:
    """A dataset, shuffled anew in every epoch.

    The order is a pure function of the seed and the step number, so a resumed
    run continues with the very next group and nothing has to be saved.

    Args:
        groups: the rendered groups.
        batch_size: groups per optimizer step; the last step of an epoch may have fewer.
        seed: decides the order.
    """

    def __init__(self, groups: Sequence[Group], batch_size: int, seed: int) -> None:
        self._groups = groups
        self._batch_size = batch_size
        self._seed = seed

    @property
    def steps_per_epoch(self) -> int:
        """Optimizer steps that see every group once."""
        return math.ceil(len(self._groups) / self._batch_size)

    def step(self, number: int) -> Sequence[Group]:
        """See :class:`Source`."""
        epoch, within = divmod(number, self.steps_per_epoch)
        order = list(range(len(self._groups)))
        random.Random(f"{self._seed}:{epoch}").shuffle(order)
        chosen = order[within * self._batch_size : (within + 1) * self._batch_size]
        return [self._groups[i] for i in chosen]

    def metrics(self) -> Mapping[str, float]:
        """A dataset measures nothing."""
        return {}

    def starts_afresh(self, number: int) -> bool:
        """Never."""
        return False

    def policy_updated(self, version: int, metrics: Mapping[str, float]) -> None:
        """A dataset does not change with the policy."""

    def state(self) -> dict[str, Any]:
        """Nothing: the order is a function of seed and step."""
        return {}

    def load_state(self, state: Mapping[str, Any], step: int) -> None:
        """Nothing."""

    def start_over(self) -> None:
        """Nothing is left behind."""

    def saved(self) -> None:
        """Nothing to tidy."""
