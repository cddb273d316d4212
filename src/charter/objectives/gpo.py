"""GPO's likelihood: how well predicted shares fit the shares of a group of people.

Zhao et al. 2023 (2310.11523), as in the authors' code.

Shapes: B groups of people, R options of all their questions.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from charter.objectives.listwise import group_log_softmax


def option_log_shares(mean_BR: Tensor, question_BR: Tensor) -> Tensor:
    """Log of each option's predicted share: a softmax over the options of its question, ``(B, R)``.

    Args:
        mean_BR: the network's means, on a scale of its own.
        question_BR: which question of its group each option belongs to, from 0 and below R.
    """
    batch, rows = mean_BR.shape
    start_B1 = rows * torch.arange(batch, device=mean_BR.device)[:, None]
    flat = group_log_softmax(mean_BR.flatten(), (question_BR + start_B1).flatten(), batch * rows)
    return flat.reshape(batch, rows)


def gpo_nll(
    mean_BR: Tensor, log_std_BR: Tensor, share_BR: Tensor, question_BR: Tensor, target_BR: Tensor
) -> Tensor:
    """``-sum over targets of log N(share; softmax(mean), std)`` of each group, ``(B,)``.

    2310.11523, equation 3; a sum over options, not a mean.

    Args:
        mean_BR, log_std_BR: what the network gives.
        share_BR: the share of the group's people that chose the option.
        question_BR: see :func:`option_log_shares`.
        target_BR: options that count, bool. All options of a question are targets, or none.
    """
    error_BR = share_BR - option_log_shares(mean_BR, question_BR).exp()
    each_BR = log_std_BR + 0.5 * math.log(2 * math.pi) + 0.5 * (error_BR / log_std_BR.exp()) ** 2
    return torch.where(target_BR, each_BR, torch.zeros_like(each_BR)).sum(1)
