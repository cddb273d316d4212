"""Process rewards: how good each step of an answer is.

Shapes: S judged steps, B samples, N rollouts.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from charter.errors import ConfigError
from charter.objectives.base import Layout, Need, Scored, Stats, Term, Unit

Solution = Literal["product", "min", "last"]
"""How step probabilities become one score: ``product`` (Lightman et al. 2023, 2305.20050), ``min``
(Wang et al. 2023, 2312.08935), ``last``."""

RIGHT = 0.5


def step_loss(logit_S: Tensor, label_S: Tensor) -> Tensor:
    """Binary cross-entropy of each step, ``(S,)``.

    ``-y log sigmoid(z) - (1 - y) log sigmoid(-z)`` for a label ``y`` in [0, 1] (Lightman et al.
    2023, 2305.20050; soft labels: Wang et al. 2023, 2312.08935). One logit, where TRL's
    PRM trainer had two classes.
    """
    return F.binary_cross_entropy_with_logits(logit_S, label_S.to(logit_S.dtype), reduction="none")


def solution_scores(logit_S: Tensor, sample_S: Tensor, num_samples: int, solution: Solution) -> Tensor:
    """One score for each answer from the logits of its steps, ``(B,)``; 1 without steps.

    Args:
        logit_S: reward at the end of each step.
        sample_S: which answer each step belongs to, ascending.
        num_samples: B.
        solution: see :data:`Solution`.
    """
    logp_S = F.logsigmoid(logit_S)
    found_B = logp_S.new_zeros(num_samples)
    if solution == "product":
        return found_B.index_add(0, sample_S, logp_S).exp()
    if solution == "min":
        return found_B.scatter_reduce(0, sample_S, logp_S, "amin", include_self=True).exp()
    if solution == "last":
        count_B = torch.bincount(sample_S, minlength=num_samples)
        at_B = count_B.cumsum(0)[count_B > 0] - 1
        return found_B.masked_scatter(count_B > 0, logp_S[at_B]).exp()
    raise ConfigError(f"solution is 'product', 'min' or 'last', not {solution!r}")


def math_shepherd_labels(rollouts_SN: Tensor) -> tuple[Tensor, Tensor]:
    """Soft and hard labels of steps from completions sampled after each, two of ``(S,)``.

    Soft: the share of rollouts that reach the right answer; hard: 1 where any does
    (soft and hard estimation of 2312.08935).

    Args:
        rollouts_SN: 1 where rollout n from step s ended with the right answer, else 0.
    """
    correct_SN = rollouts_SN.float() if not rollouts_SN.is_floating_point() else rollouts_SN
    return correct_SN.mean(-1), correct_SN.amax(-1)


class ProcessReward:
    """Mean binary cross-entropy (:func:`step_loss`) over the labelled steps of the optimizer step."""

    needs = frozenset({Need.STEP_REWARD})

    def counts(self, layout: Layout) -> dict[str, float]:
        """One unit for each labelled step, weighted."""
        return {"step": layout.count(Unit.STEP)}

    def __call__(self, scored: Scored, stats: Stats) -> dict[str, Term]:
        """Sum of step losses; accuracy over right and over wrong steps apart, as most steps are right."""
        layout = scored.layout
        logit_S, weight_S = _one_dimension(scored.need("step_reward_SZ")), layout.step_weight_S
        loss_S = step_loss(logit_S, layout.step_value_S)
        with torch.no_grad():
            right_S = layout.step_value_S >= RIGHT
            agrees_S = ((logit_S > 0) == right_S).to(weight_S.dtype) * weight_S
            metrics = {"steps/accuracy": agrees_S.sum(), "steps/right": (weight_S * right_S).sum()}
            ratios = {
                f"steps/accuracy_{name}": (agrees_S[kind_S].sum(), weight_S[kind_S].sum())
                for name, kind_S in (("right", right_S), ("wrong", ~right_S))
            }
        return {"step": Term((loss_S * weight_S).sum(), layout.count(Unit.STEP), metrics, ratios)}


def _one_dimension(reward_SZ: Tensor) -> Tensor:
    if reward_SZ.shape[1] != 1:
        raise ConfigError(f"a process reward has one dimension, not {reward_SZ.shape[1]}")
    return reward_SZ[:, 0]
