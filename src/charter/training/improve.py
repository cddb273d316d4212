"""Improve steps: a round gone over several times, each time on what reaches a higher threshold (ReST)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from charter.types import Group, Sample, SampleTarget


@dataclass(frozen=True)
class Improve:
    """One improve step of a round (Gulcehre et al. 2023, 2308.08998, algorithm 1).

    Attributes:
        number: within the round, from 0.
        threshold: least reward of its samples.
        groups: the round's, with the samples that reach it; groups without one are left out.
    """

    number: int
    threshold: float
    groups: Sequence[Group]

    @classmethod
    def of(cls, number: int, groups: Sequence[Group], threshold: float) -> Improve:
        """The samples of ``groups`` that reach ``threshold``, by the rewards that stand beside them."""
        kept = [made for group in groups if (made := _reaching(group, threshold)).samples]
        return cls(number, threshold, kept)

    def metrics(self) -> dict[str, float]:
        """Which step it is, its threshold, how many samples reach it and their mean reward."""
        rewards = [j.value for group in self.groups for j in group.judgements if j.value is not None]
        found = {
            "selected": float(sum(len(group.samples) for group in self.groups)),
            "selected/threshold": self.threshold,
            "selected/improve_step": float(self.number + 1),
        }
        return found | ({"selected/reward": sum(rewards) / len(rewards)} if rewards else {})


def _reaching(group: Group, threshold: float) -> Group:
    samples: list[Sample] = []
    said = []
    for one in group.judgements:
        if isinstance(one.target, SampleTarget) and one.value is not None and one.value >= threshold:
            said.append(replace(one, target=SampleTarget(len(samples))))
            samples.append(group.samples[one.target.sample])
    return replace(group, samples=tuple(samples), judgements=tuple(said))
