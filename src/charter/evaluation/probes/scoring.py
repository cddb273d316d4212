"""What rewards say of answers that are put to them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from charter.data.render import Template
from charter.feedback.rewards import Rewards
from charter.types import Completion, Context, Group, Message, Sample


@dataclass(frozen=True)
class Scores:
    """Rewards of answers.

    Attributes:
        names: of the rewards that could be asked.
        table: for each group, answer and reward its value; NaN = missing.
        refused: rewards that could not be asked at all, and why.
        missing: values that are not there, by reward and reason.
    """

    names: tuple[str, ...]
    table: Sequence[Sequence[Sequence[float]]]
    refused: dict[str, str]
    missing: Counter[str]

    def column(self, name: str) -> list[list[float | None]]:
        """Each group's values under one reward; None = missing."""
        at = self.names.index(name)
        return [[None if math.isnan(answer[at]) else answer[at] for answer in group] for group in self.table]


def put(question: str, answers: Sequence[str], template: Template | None) -> Group:
    """A question with answers that somebody else wrote, as rewards see a model's."""
    context = Context((Message("user", question),))
    samples = tuple(
        Sample(context, Completion(content=(Message("assistant", one),) if one else "")) for one in answers
    )
    group = Group(samples, id=question)
    return group if template is None else template.render(group)


def scored(rewards: Rewards, groups: Sequence[Group]) -> Scores:
    """Ask every reward that these groups have the columns for."""
    have = {name for group in groups for name in group.meta}
    refused = {
        reward.name: f"it needs the column {min(reward.needs - have)!r}"
        for reward in rewards.rewards
        if reward.needs - have
    }
    usable = [reward for reward in rewards.rewards if reward.name not in refused]
    if not usable:
        return Scores((), [[[] for _ in group.samples] for group in groups], refused, Counter())
    asked = Rewards(usable)
    judged = [g.with_judgements(*new) for g, new in zip(groups, asked.judge(groups), strict=True)]
    missing: Counter[str] = Counter()
    for one in asked.missing(judged):
        missing[f"{one.reward}: {one.kind}"] += one.count
    return Scores(asked.names, asked.table(judged), refused, missing)
