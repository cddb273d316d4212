"""Three answers with rewards 1, 0 and 1/2: every policy gradient learns to give the first."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from rollout_setup import layout_of, loss_of
from torch import Tensor

from charter.objectives.base import Scored
from charter.objectives.p3o import P3O
from charter.objectives.policy_gradient import RLOO, ClippedSurrogate, Reinforce
from charter.objectives.ppo_penalty import PPOPenalty
from charter.objectives.value import ValueLoss

REWARDS = torch.tensor([1.0, 0.0, 0.5], dtype=torch.float64)
STEPS, RATE, BATCH, G = 200, 0.2, 16, 4

Advantage = Callable[[Tensor], Tensor]


def centred(reward_B: Tensor) -> Tensor:
    groups = reward_B.reshape(-1, G)
    return (groups - groups.mean(1, keepdim=True)).flatten()


def leave_one_out(reward_B: Tensor) -> Tensor:
    return centred(reward_B) * G / (G - 1)


def standardised(reward_B: Tensor) -> Tensor:
    groups = reward_B.reshape(-1, G)
    return (centred(reward_B).reshape(-1, G) / (groups.std(1, keepdim=True) + 1e-4)).flatten()


def whitened(reward_B: Tensor) -> Tensor:
    return (reward_B - reward_B.mean()) / (reward_B.std() + 1e-8)


def baseline(reward_B: Tensor) -> Tensor:
    return reward_B - 0.5


METHODS: dict[str, tuple[Any, Advantage]] = {
    "reinforce": (Reinforce(), baseline),
    "rloo": (RLOO(), leave_one_out),
    "grpo": (ClippedSurrogate("grpo"), standardised),
    "dr_grpo": (ClippedSurrogate("dr_grpo", max_completion_length=1), centred),
    "cispo": (ClippedSurrogate("cispo"), standardised),
    "gspo": (ClippedSurrogate("grpo", importance_sampling_level="sequence"), standardised),
    "reinforce++": (ClippedSurrogate("dapo"), whitened),
    "ppo_penalty": (PPOPenalty(kl_target=None), whitened),
    "p3o-joint": (P3O("joint"), centred),
    "p3o-separate": (P3O("separate"), centred),
    "p3o-none": (P3O("none"), centred),
}


def batches(logits: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Answers and their rewards, drawn from the policy as it is."""
    generator = torch.Generator().manual_seed(0)
    for _ in range(STEPS):
        answer_B = torch.multinomial(logits.detach().softmax(0), BATCH, True, generator=generator)
        yield answer_B, REWARDS[answer_B]


def scored_of(logits: Tensor, answer_B: Tensor, reward_B: Tensor, **more: Tensor) -> Scored:
    logps_N = logits.log_softmax(0)[answer_B]
    made = layout_of([1] * BATCH, reward_B, group=G)
    return Scored(made, logps_N, old_logps_N=more.pop("old_logps_N", logps_N.detach()), **more)


@pytest.mark.parametrize("name", METHODS)
def test_learns_the_best_answer(name: str) -> None:
    objective, advantage = METHODS[name]
    logits = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    for answer_B, reward_B in batches(logits):
        scored = scored_of(logits, answer_B, reward_B, advantage_N=advantage(reward_B))
        logits.data -= RATE * torch.autograd.grad(loss_of(objective, scored), logits)[0]
    assert float(logits.softmax(0)[0].detach()) > 0.9


def test_ppo_with_a_critic_learns_the_best_answer() -> None:
    """Two steps on each batch; the critic learns the mean reward, which tends to 1."""
    policy_loss, value_loss = ClippedSurrogate("dapo"), ValueLoss()
    logits = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    value = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    for answer_B, reward_B in batches(logits):
        old_logps_N, old_N = logits.detach().log_softmax(0)[answer_B], value.detach().expand(BATCH)
        for _ in range(2):
            scored = scored_of(
                logits,
                answer_B,
                reward_B,
                old_logps_N=old_logps_N,
                advantage_N=whitened(reward_B - old_N),
                values_N=value.expand(BATCH),
                old_values_N=old_N,
                returns_N=reward_B,
            )
            loss = loss_of(policy_loss, scored) + loss_of(value_loss, scored)
            for x, grad in zip((logits, value), torch.autograd.grad(loss, (logits, value)), strict=True):
                x.data -= RATE * grad
    assert float(logits.softmax(0)[0].detach()) > 0.9
    assert float(value.detach()) == pytest.approx(1.0, abs=0.1)


def test_reward_shifts_change_nothing() -> None:
    """P3O and what is centred within groups: a constant added to the rewards of each prompt."""
    logits = torch.tensor([0.2, -0.1, 0.3], dtype=torch.float64, requires_grad=True)
    (answer_B, reward_B), *_ = batches(logits)
    shifted_B = reward_B + torch.tensor([3.0, -1.0, 0.5, 10.0]).double().repeat_interleave(G)
    old_logps_N = torch.tensor([0.1, 0.2, 0.0]).double().log_softmax(0)[answer_B]
    for name in ("rloo", "grpo", "dr_grpo", "p3o-joint", "p3o-separate", "p3o-none"):
        objective, advantage = METHODS[name]
        found = [
            torch.autograd.grad(
                loss_of(
                    objective,
                    scored_of(logits, answer_B, r, advantage_N=advantage(r), old_logps_N=old_logps_N),
                ),
                logits,
            )[0]
            for r in (reward_B, shifted_B)
        ]
        torch.testing.assert_close(found[0], found[1], rtol=1e-9, atol=1e-9)
        assert found[0].abs().max() > 0
