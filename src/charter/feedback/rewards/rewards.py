"""The rewards of a run, together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from charter.errors import ConfigError, DataError, did_you_mean
from charter.feedback.rewards.base import Reward
from charter.feedback.rewards.combine import MissingCount, missing_counts, said_in, weighted_sum
from charter.feedback.rewards.gate import check_reads
from charter.feedback.rewards.outcome import Missing
from charter.types import Group, Judgement


class Rewards:
    """Several rewards and what each counts.

    Args:
        rewards: of different names.
        weights: one for each; None = 1 each.

    Raises:
        ConfigError: names used twice, or another number of weights.
    """

    def __init__(self, rewards: Sequence[Reward], weights: Sequence[float] | None = None) -> None:
        self.rewards = tuple(rewards)
        self.names = tuple(reward.name for reward in rewards)
        self.weights = (1.0,) * len(rewards) if weights is None else tuple(map(float, weights))
        if not self.rewards:
            raise ConfigError("no reward")
        if len(self.weights) != len(self.rewards):
            raise ConfigError(f"{len(self.weights)} weights for {len(self.rewards)} rewards")
        if len(set(self.names)) < len(self.names):
            raise ConfigError(f"rewards of the same name: {', '.join(self.names)}")

    @property
    def needs(self) -> frozenset[str]:
        """Columns of the prompts that some reward cannot do without."""
        return frozenset().union(*(reward.needs for reward in self.rewards))

    def check(self, prompts: Sequence[Group]) -> None:
        """Refuse prompts that lack a column a reward cannot do without, before anything is sampled.

        Raises:
            ConfigError: a reward reads another that is not there.
            DataError: names the reward, the column and the nearest one there is.
        """
        check_reads(self.rewards, self.names)
        have = {name for group in prompts for name in group.meta}
        for reward in self.rewards:
            for column in sorted(reward.needs - have):
                raise DataError(
                    f"the reward {reward.name} needs the column {column!r}",
                    where=prompts[0].source if prompts else None,
                    fix=did_you_mean(column, have) if have else "the prompts have no further columns",
                )

    def judge(self, groups: Sequence[Group]) -> list[list[Judgement]]:
        """Everything said about each group's samples: one judgement of each sample by each reward.

        The reward's name is the principle. Judgements of single principles stand beside them.
        """
        first = _all_of([reward for reward in self.rewards if not reward.reads], groups)
        derived = [reward for reward in self.rewards if reward.reads]
        if not derived:
            return first
        judged = [
            replace(group, judgements=(*group.judgements, *said))
            for group, said in zip(groups, first, strict=True)
        ]
        return [[*said, *more] for said, more in zip(first, _all_of(derived, judged), strict=True)]

    async def __call__(self, groups: Sequence[Group]) -> list[list[Judgement]]:
        """As :meth:`judge`."""
        return self.judge(groups)

    def reward(self, group: Group) -> list[float]:
        """One reward for each sample of a judged group; NaN = missing.

        The weighted sum; see :func:`charter.feedback.rewards.combine.weighted_sum` for what a missing
        judgement does.
        """
        said = [said_in(group, name) for name in self.names]
        return [weighted_sum(row, self.weights) for row in zip(*said, strict=True)]

    def combined(self, groups: Sequence[Group]) -> list[list[float]]:
        """:meth:`reward` of each group."""
        return [self.reward(group) for group in groups]

    def table(self, groups: Sequence[Group]) -> list[list[list[float]]]:
        """For each group and sample, the value of each named reward; NaN = missing."""
        return [
            [
                [math.nan if isinstance(one, Missing) else one for one in row]
                for row in zip(*(said_in(group, name) for name in self.names), strict=True)
            ]
            for group in groups
        ]

    def missing(self, groups: Sequence[Group]) -> list[MissingCount]:
        """What is missing in judged groups, by reward and reason; see :class:`MissingCount`."""
        return missing_counts(groups, self.names)

    def close(self) -> None:
        """End the processes of sandboxed rewards."""
        for reward in self.rewards:
            reward.close()


def _all_of(rewards: Sequence[Reward], groups: Sequence[Group]) -> list[list[Judgement]]:
    each = [reward.judge(groups) for reward in rewards]
    return [[one for said in each for one in said[index]] for index in range(len(groups))]
