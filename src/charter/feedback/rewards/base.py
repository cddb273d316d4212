"""What every kind of reward offers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from charter.errors import EnvironmentFault, Interrupted
from charter.feedback.rewards.outcome import Said, judgement, raised
from charter.types import Group, Judgement, Sample


class Reward:
    """Judges every sample of a group: one judgement each, with the reward's name as its principle.

    Attributes:
        name: unique among the rewards of a run.
    """

    name: str

    @property
    def needs(self) -> frozenset[str]:
        """Columns of the prompts it cannot do without."""
        return frozenset()

    @property
    def reads(self) -> tuple[str, ...]:
        """Rewards that must have spoken first; what they said stands among the groups' judgements."""
        return ()

    def judge(self, groups: Sequence[Group]) -> list[list[Judgement]]:
        """Judgements of each group, those of :attr:`name` and others kept for the trace."""
        raise NotImplementedError

    def close(self) -> None:
        """Give back what it holds (processes)."""


@dataclass(frozen=True)
class SampleReward(Reward):
    """A reward that looks at one sample at a time.

    Attributes:
        name: see :class:`Reward`.
        score: the reward of a sample of a group; what it raises is an error of that sample.
        judge_name: ``judge`` of the judgements.
    """

    name: str
    score: Callable[[Sample, Group], Said]
    judge_name: str = "rule"

    def judge(self, groups: Sequence[Group]) -> list[list[Judgement]]:
        """See :class:`Reward`."""
        return [
            [
                judgement(self.name, self.judge_name, index, self._said(sample, group))
                for index, sample in enumerate(group.samples)
            ]
            for group in groups
        ]

    def _said(self, sample: Sample, group: Group) -> Said:
        try:
            return self.score(sample, group)
        except (Interrupted, EnvironmentFault):
            raise
        except Exception as fault:
            return raised(fault)


@dataclass(frozen=True)
class RecordedReward(Reward):
    """A reward that is said before the rewards are asked: by the environment that was played.

    Attributes:
        name: the principle its judgements carry.
    """

    name: str = "environment"

    def judge(self, groups: Sequence[Group]) -> list[list[Judgement]]:
        """Nothing new; a sample nobody rewarded counts as missing."""
        return [[] for _ in groups]
