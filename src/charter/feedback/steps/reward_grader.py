"""Rewards as the judge of whole solutions that step labels are made with."""

from __future__ import annotations

import math

from charter.feedback.rewards.rewards import Rewards
from charter.feedback.steps.rollouts import Grader
from charter.types import Completion, Content, Group, Message, Sample


def grader_of(rewards: Rewards, threshold: float) -> Grader:
    """A solution is right where its combined reward is at least ``threshold``; missing = cannot be told.

    Args:
        rewards: as :func:`charter.feedback.rewards.open_rewards` opens them.
        threshold: least reward of a right solution.
    """

    def right(text: str, group: Group) -> bool | None:
        context = group.samples[0].context
        content: Content = text if isinstance(context.content, str) else (Message("assistant", text),)
        asked = Group(
            (Sample(context, Completion(content)),), id=group.id, source=group.source, meta=group.meta
        )
        (said,) = rewards.judge([asked])
        ((value,),) = rewards.combined([asked.with_judgements(*said)])
        return None if math.isnan(value) else value >= threshold

    return right
