"""Rewards, returns and advantages of tokens: against plain loops, sample by sample."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from charter.objectives.returns import (
    discounted,
    gae,
    last_tokens,
    rewards_to_go,
    terminal_targets,
    token_rewards,
)

LENGTHS = (3, 1, 0, 6, 2)
"""The third sample has no token that is trained."""
SAMPLE_N = torch.repeat_interleave(torch.arange(len(LENGTHS)), torch.tensor(LENGTHS))


def draws(count: int = 1, seed: int = 0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return list(torch.randn(count, len(SAMPLE_N), generator=generator, dtype=torch.float64))


def looped(
    rewards: list[float], values: list[float], gamma: float, lam: float
) -> tuple[list[float], list[float]]:
    """Of one sample, as the sums of equation 16 are written: every later TD error, discounted."""
    values = [*values, 0.0]
    delta = [r + gamma * values[t + 1] - values[t] for t, r in enumerate(rewards)]
    later = [range(t, len(delta)) for t in range(len(delta))]
    found = [sum((gamma * lam) ** (s - steps[0]) * delta[s] for s in steps) for steps in later]
    return found, [a + v for a, v in zip(found, values, strict=False)]


@pytest.mark.parametrize("gamma", [1.0, 0.9])
@pytest.mark.parametrize("lam", [0.0, 0.95, 1.0])
def test_gae_of_each_sample_alone(gamma: float, lam: float) -> None:
    for seed in range(5):
        rewards_N, values_N = draws(2, seed)
        advantage_N, return_N = gae(rewards_N, values_N, SAMPLE_N, gamma=gamma, lam=lam)
        for b in range(len(LENGTHS)):
            own = b == SAMPLE_N
            wanted = looped(rewards_N[own].tolist(), values_N[own].tolist(), gamma, lam)
            for ours, theirs in zip((advantage_N, return_N), wanted, strict=True):
                torch.testing.assert_close(ours[own], torch.tensor(theirs, dtype=torch.float64))


def test_lambda_1_is_what_came_less_what_was_expected() -> None:
    rewards_N, values_N = draws(2)
    advantage_N, return_N = gae(rewards_N, values_N, SAMPLE_N, gamma=0.9, lam=1.0)
    to_go_N = rewards_to_go(rewards_N, SAMPLE_N, 0.9)
    torch.testing.assert_close(return_N, to_go_N)
    torch.testing.assert_close(advantage_N, to_go_N - values_N)


def test_a_perfect_critic_leaves_no_advantage() -> None:
    (rewards_N,) = draws()
    values_N = rewards_to_go(rewards_N, SAMPLE_N, 0.9)
    advantage_N, return_N = gae(rewards_N, values_N, SAMPLE_N, gamma=0.9, lam=0.7)
    torch.testing.assert_close(advantage_N, torch.zeros_like(advantage_N))
    torch.testing.assert_close(return_N, values_N)


def test_the_score_is_at_the_last_token_and_the_kl_at_every_one() -> None:
    (gap_N,) = draws()
    score_B = torch.tensor([1.0, -2.0, 50.0, 4.0, 8.0], dtype=torch.float64)
    reward_N = token_rewards(gap_N, score_B, SAMPLE_N, beta=0.1)
    torch.testing.assert_close(reward_N[~last_tokens(SAMPLE_N)], -0.1 * gap_N[~last_tokens(SAMPLE_N)])
    sums = [reward_N[b == SAMPLE_N].sum() for b in range(len(LENGTHS))]
    for b, length in enumerate(LENGTHS):
        own = score_B[b] - 0.1 * gap_N[b == SAMPLE_N].sum() if length else torch.zeros(()).double()
        torch.testing.assert_close(sums[b], own)
    first_of = torch.cat([torch.ones(1).bool(), last_tokens(SAMPLE_N)[:-1]])
    torch.testing.assert_close(
        rewards_to_go(reward_N, SAMPLE_N)[first_of],
        torch.stack([sums[b] for b, n in enumerate(LENGTHS) if n]),
    )


def test_last_tokens() -> None:
    assert last_tokens(SAMPLE_N).nonzero().flatten().tolist() == [2, 3, 9, 11]


@pytest.mark.parametrize("missing", [0, 3])
def test_what_is_missing_stays_in_its_sample(missing: int) -> None:
    gap_N, values_N = draws(2)
    score_B = torch.arange(len(LENGTHS)).double()
    holed_B = score_B.clone()
    holed_B[missing] = torch.nan
    own = missing == SAMPLE_N
    found, whole = (
        gae(token_rewards(gap_N, b, SAMPLE_N, beta=0.1), values_N, SAMPLE_N) for b in (holed_B, score_B)
    )
    for ours, theirs in zip(found, whole, strict=True):
        torch.testing.assert_close(ours[~own], theirs[~own], rtol=0, atol=0)
        assert ours[own].isnan().all()


def test_terminal_targets() -> None:
    reward_B = torch.arange(5).double()
    assert terminal_targets(reward_B, SAMPLE_N).tolist() == [0, 0, 0, 1, 3, 3, 3, 3, 3, 3, 4, 4]


def test_inputs_are_not_changed() -> None:
    rewards_N, values_N = draws(2)
    kept = rewards_N.clone(), values_N.clone()
    gae(rewards_N, values_N, SAMPLE_N)
    discounted(rewards_N, SAMPLE_N, 0.5)
    assert torch.equal(rewards_N, kept[0]) and torch.equal(values_N, kept[1])


def test_no_tokens() -> None:
    none, whose = torch.empty(0), torch.empty(0, dtype=torch.long)
    assert [len(x) for x in gae(none, none, whose)] == [0, 0]
    assert len(token_rewards(none, torch.empty(0), whose, beta=0.1)) == 0


def test_gradients() -> None:
    rewards_N, values_N = (x.requires_grad_() for x in draws(2))
    assert torch.autograd.gradcheck(
        lambda r, v: gae(r, v, SAMPLE_N, gamma=0.9, lam=0.8), (rewards_N, values_N)
    )
    assert torch.autograd.gradcheck(
        lambda gap: rewards_to_go(token_rewards(gap, torch.ones(5).double(), SAMPLE_N, beta=0.3), SAMPLE_N),
        rewards_N,
    )
