"""Samples against an opponent: the policy's answer and the mixture's or the average's."""

from __future__ import annotations

from typing import Any

import torch

from charter.training.experience import Experience, credited
from charter.training.round import Credited, Memory


def against_opponent(experience: Experience, options: Any, memory: Memory) -> Credited:
    """Each of the policy's samples with the probability that it beats the group's last one.

    The opponent's sample is the last of a group and gets no gradient (2312.00886, section 7).
    """
    won_B = torch.full_like(experience.reward_B, torch.nan)
    start = 0
    for group in experience.groups:
        last = start + len(group.samples) - 1
        gap = (experience.reward_B[start:last] - experience.reward_B[last]) / options.preference_temperature
        won_B[start:last] = torch.sigmoid(gap)
        start = last + 1
    keep_B = ~won_B.isnan() & ~(experience.truncated_B & options.mask_truncated_completions)
    metrics = {"rewards/win_probability": float(won_B[keep_B].mean())} if bool(keep_B.any()) else {}
    return Credited(credited(experience, keep_B, reward_B=won_B), metrics)
