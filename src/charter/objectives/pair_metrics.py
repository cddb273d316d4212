"""What every pair method reports.

Shapes: P pairs.
"""

from __future__ import annotations

from torch import Tensor

from charter.objectives.base import Scored


def pair_metrics(scored: Scored, beta: float) -> dict[str, Tensor]:
    """Weighted sums over pairs: implicit rewards with margin and accuracy, log-probs and lengths.

    Accuracy is the probability that the order of the rewards is right, as the data say it.
    The reward is ``beta`` times the summed log-ratio whatever the loss, so that runs of different
    losses can be compared. ``logps/chosen`` falling while the margin grows is likelihood displacement.
    """
    return reward_metrics(scored, beta * scored.logratios_B)


def reward_metrics(scored: Scored, reward_B: Tensor) -> dict[str, Tensor]:
    """:func:`pair_metrics` of any reward, such as one without a reference."""
    scored = scored.detached()  # sums that `scored` keeps must not be made here without gradient
    better_P, worse_P = scored.better(reward_B.detach()), scored.worse(reward_B.detach())
    per_pair = {
        "rewards/chosen": better_P,
        "rewards/rejected": worse_P,
        "rewards/margins": better_P - worse_P,
        "rewards/accuracies": accuracy(better_P, worse_P, scored.layout.probability_P),
        "logps/chosen": scored.better(scored.logps_B),
        "logps/rejected": scored.worse(scored.logps_B),
        "length/chosen": scored.better(scored.lengths_B),
        "length/rejected": scored.worse(scored.lengths_B),
    }
    return {name: (x_P * scored.layout.weight_P).sum() for name, x_P in per_pair.items()}


def accuracy(better_P: Tensor, worse_P: Tensor, probability_P: Tensor) -> Tensor:
    """Probability that each pair is in the order its rewards give it, ``(P,)``; equal rewards are wrong."""
    right_P, wrong_P = (better_P > worse_P).float(), (better_P < worse_P).float()
    return probability_P * right_P + (1 - probability_P) * wrong_P
