"""What is taken off a reward before REINFORCE: something that does not know the sample's own answer.

Else the gradient is biased. A missing reward is NaN.

Shapes: B samples.
"""

from __future__ import annotations

import torch
from torch import Tensor

from charter.objectives.advantages import leave_one_out


def ema_advantages(
    rewards_B: Tensor, before: float | None, decay: float = 0.9
) -> tuple[Tensor, float | None]:
    """``r - b`` with ``b`` the running mean of earlier rounds' rewards, ``(B,)``, and the mean for the next.

    ``b <- decay b + (1 - decay) mean(r)`` (reinforcement comparison, Williams 1992). In the first round
    the baseline is the mean of the round's other samples. A round without any reward leaves it as it is.

    Args:
        rewards_B: NaN = missing: advantage 0.
        before: what this returned for the round before; None = this is the first one.
        decay: how much of the old mean stays, in [0, 1).
    """
    known_B = ~rewards_B.isnan()
    if not bool(known_B.any()):
        return torch.zeros_like(rewards_B), before
    mean = float(rewards_B[known_B].mean())
    if before is None:
        whole_B = torch.zeros(len(rewards_B), dtype=torch.long, device=rewards_B.device)
        return leave_one_out(rewards_B, whole_B), mean
    return torch.where(known_B, rewards_B - before, 0.0), decay * before + (1 - decay) * mean


def greedy_advantages(rewards_B: Tensor, group_B: Tensor, greedy_B: Tensor) -> Tensor:
    """``r - reward of the group's greedy answer``, ``(B,)`` (ReMax, 2310.10505).

    0 for the greedy answers themselves, which are not trained on; NaN where a reward or that of the
    group's greedy answer is missing, as there is nothing to compare.

    Args:
        rewards_B: NaN = missing.
        group_B: which group each sample belongs to, in any order.
        greedy_B: bool, one sample of each group.
    """
    groups = int(group_B.max()) + 1 if len(group_B) else 0
    baseline_G = rewards_B.new_full((groups,), torch.nan)
    baseline_G[group_B[greedy_B]] = rewards_B[greedy_B]
    return rewards_B - baseline_G[group_B]
