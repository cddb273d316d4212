"""Where an optimizer step's groups come from."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import Protocol

from charter.types import Group


class Source(Protocol):
    """Groups for each optimizer step: a dataset, or rollouts with feedback."""

    def step(self, number: int) -> Sequence[Group]:
        """The groups of optimizer step ``number`` (0-based). The same number gives the same groups."""
        ...

    def policy_updated(self, version: int) -> None:
        """The policy has taken ``version`` steps."""
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

    def policy_updated(self, version: int) -> None:
        """A dataset does not change with the policy."""
