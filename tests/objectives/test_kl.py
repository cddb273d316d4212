"""KL estimates against exact expectations over all answers of a small policy."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor

from charter.objectives.advantages import leave_one_out
from charter.objectives.kl import AdaptiveKL, Estimator, kl_estimate
from charter.objectives.kl_penalty import KLEstimator, kl_penalty
from charter.objectives.returns import gae, rewards_to_go, token_rewards

VOCAB, LENGTH = 3, 3
ANSWERS = list(itertools.product(range(VOCAB), repeat=LENGTH))
STATES = [prefix for t in range(LENGTH) for prefix in itertools.product(range(VOCAB), repeat=t)]
SAMPLE_N = torch.arange(len(ANSWERS)).repeat_interleave(LENGTH)
STATE_N = torch.tensor([STATES.index(answer[:t]) for answer in ANSWERS for t in range(LENGTH)])
TOKEN_N = torch.tensor([token for answer in ANSWERS for token in answer])
"""All answers of three tokens one after the other; a state is what has been said."""


def table(seed: int) -> Tensor:
    """Logits of the next token in each state."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(len(STATES), VOCAB, generator=generator, dtype=torch.float64)


LOGITS, REF, OLD = table(0).requires_grad_(), table(1).log_softmax(1), table(2).log_softmax(1)


def tokens(logps_SV: Tensor) -> Tensor:
    return logps_SV[STATE_N, TOKEN_N]


def sums(x_N: Tensor) -> Tensor:
    return torch.zeros(len(ANSWERS), dtype=torch.float64).index_add(0, SAMPLE_N, x_N)


def likely(logps_SV: Tensor) -> Tensor:
    """The probability of each answer."""
    return sums(tokens(logps_SV)).exp().detach()


def expectation(x_N: Tensor, under: Tensor | None = None) -> Tensor:
    """Of the sum over an answer's tokens, under the policy unless told."""
    return (likely(LOGITS.log_softmax(1) if under is None else under) * sums(x_N)).sum()


def gradient(loss: Tensor) -> Tensor:
    return torch.autograd.grad(loss, LOGITS, retain_graph=True)[0]


def kl_of_answers() -> Tensor:
    """``KL(policy || reference)`` of whole answers; carries the gradient of everything."""
    logps_B = sums(tokens(LOGITS.log_softmax(1)))
    return (logps_B.exp() * (logps_B - sums(tokens(REF)))).sum()


def kl_of_next_tokens(forward: bool = False, visited_by: Tensor | None = None) -> Tensor:
    """KL of the next token in each state, weighted by how often the state is visited."""
    logps = LOGITS.log_softmax(1)
    first, second = (REF, logps) if forward else (logps, REF)
    visits_N = likely(logps if visited_by is None else visited_by)[SAMPLE_N]
    per_state_S = (first.exp() * (first - second)).sum(1)
    return (visits_N * per_state_S[STATE_N]).sum()


def close(ours: Tensor, exact: Tensor) -> None:
    torch.testing.assert_close(ours, exact, rtol=1e-10, atol=1e-12)


# -- as values -----------------------------------------------------------------


@pytest.mark.parametrize("estimator", ["k1", "k3"])
def test_k1_and_k3_are_unbiased_as_values(estimator: Estimator) -> None:
    close(expectation(kl_estimate(tokens(LOGITS.log_softmax(1)), tokens(REF), estimator)), kl_of_answers())


def test_k2_is_biased_as_a_value() -> None:
    found = expectation(kl_estimate(tokens(LOGITS.log_softmax(1)), tokens(REF), "k2"))
    assert abs(found - kl_of_answers()).detach() > 0.05


def test_k2_and_k3_are_never_negative_and_0_at_the_reference() -> None:
    logps_N = tokens(LOGITS.log_softmax(1))
    assert kl_estimate(logps_N, tokens(REF), "k1").min() < 0
    for estimator in ("k2", "k3"):
        assert kl_estimate(logps_N, tokens(REF), estimator).min() >= 0
        assert kl_estimate(logps_N, logps_N, estimator).abs().max() == 0


def test_an_impossible_token_does_not_overflow() -> None:
    logps_N = torch.tensor([-1000.0, -0.1], requires_grad=True)
    found_N = kl_estimate(logps_N, torch.tensor([-0.1, -1000.0]), "k3")
    assert found_N.isfinite().all()
    assert torch.autograd.grad(found_N.sum(), logps_N)[0].isfinite().all()


def test_an_unknown_estimator() -> None:
    with pytest.raises(ValueError, match="k4"):
        kl_estimate(torch.zeros(1), torch.zeros(1), "k4")  # type: ignore[arg-type]


# -- as losses -------------------------------------------------------------------


def test_k1_as_a_loss_has_no_expected_gradient() -> None:
    loss = expectation(kl_estimate(tokens(LOGITS.log_softmax(1)), tokens(REF), "k1"))
    close(gradient(loss), torch.zeros_like(LOGITS))


def test_k2_as_a_loss_is_the_kl_and_k3_the_one_in_the_other_direction() -> None:
    logps_N = tokens(LOGITS.log_softmax(1))
    k2, k3 = (gradient(expectation(kl_penalty(logps_N, tokens(REF), k))) for k in ("k2", "k3"))
    reverse, forward = gradient(kl_of_next_tokens()), gradient(kl_of_next_tokens(forward=True))
    close(k2, reverse)
    close(k3, forward)
    assert not torch.allclose(reverse, forward, atol=1e-2)


@pytest.mark.parametrize("estimator", ["k2", "k3"])
@pytest.mark.parametrize("sampled_by", [None, OLD], ids=["on-policy", "off-policy"])
def test_a_loss_times_the_ratio_is_the_kl(estimator: KLEstimator, sampled_by: Tensor | None) -> None:
    """Prefixes are the old policy's; the ratio sets right the token alone."""
    logps_N = tokens(LOGITS.log_softmax(1))
    old = LOGITS.detach().log_softmax(1) if sampled_by is None else sampled_by
    loss_N = kl_penalty(logps_N, tokens(REF), estimator, (logps_N - tokens(old)).exp())
    found = gradient(expectation(loss_N, under=old))
    close(found, gradient(kl_of_next_tokens(visited_by=old)))
    if sampled_by is not None:
        alone = gradient(expectation(kl_penalty(logps_N, tokens(REF), estimator), under=old))
        assert not torch.allclose(alone, found, atol=1e-2)


# -- in the reward -----------------------------------------------------------------


def in_reward(beta: float, kind: str) -> Tensor:
    """Expected gradient of REINFORCE on rewards that hold the KL and nothing else."""
    logps_N = tokens(LOGITS.log_softmax(1))
    gap_N = kl_estimate(logps_N, tokens(REF), "k1").detach()
    reward_N = token_rewards(gap_N, torch.zeros(len(ANSWERS), dtype=torch.float64), SAMPLE_N, beta=beta)
    if kind == "to_go":
        advantage_N = rewards_to_go(reward_N, SAMPLE_N)
    elif kind == "whole":
        advantage_N = sums(reward_N)[SAMPLE_N]
    else:
        critic_S = table(3)[:, 0]
        advantage_N, _ = gae(reward_N, critic_S[STATE_N], SAMPLE_N, gamma=1.0, lam=1.0)
    return gradient(expectation(-advantage_N * logps_N))


@pytest.mark.parametrize("kind", ["to_go", "whole", "critic"])
def test_k1_in_the_reward_has_the_gradient_of_the_kl_of_answers(kind: str) -> None:
    """Whatever the critic says where lambda is 1: it only lowers the variance."""
    close(in_reward(0.3, kind), 0.3 * gradient(kl_of_answers()))


def test_only_the_reward_knows_that_a_token_leads_to_other_prefixes() -> None:
    assert not torch.allclose(gradient(kl_of_answers()), gradient(kl_of_next_tokens()), atol=1e-2)
    last = [s for s, prefix in enumerate(STATES) if len(prefix) == LENGTH - 1]
    close(gradient(kl_of_answers())[last], gradient(kl_of_next_tokens())[last])


def test_k1_in_the_reward_before_leave_one_out() -> None:
    """Expectation over all pairs of answers."""
    logps_B, ref_B = sums(tokens(LOGITS.log_softmax(1))), sums(tokens(REF))
    first, second = torch.cartesian_prod(torch.arange(len(ANSWERS)), torch.arange(len(ANSWERS))).unbind(1)
    pair_B = torch.stack([first, second], 1).flatten()
    group_B = torch.arange(len(first)).repeat_interleave(2)
    advantage_B = leave_one_out(-0.3 * (logps_B - ref_B).detach()[pair_B], group_B)
    both = (logps_B[first] + logps_B[second]).exp().detach().repeat_interleave(2)
    loss = -(both * advantage_B * logps_B[pair_B]).sum() / 2
    close(gradient(loss), 0.3 * gradient(kl_of_answers()))


# -- gradients ---------------------------------------------------------------------


@pytest.mark.parametrize("estimator", ["k1", "k2", "k3"])
def test_gradients_are_of_the_values(estimator: Estimator) -> None:
    logps_N = tokens(LOGITS.detach().log_softmax(1))[:9].requires_grad_()
    assert torch.autograd.gradcheck(lambda x: kl_estimate(x, tokens(REF)[:9], estimator), logps_N)


def test_the_gradient_of_k3_times_the_ratio_is_of_its_value() -> None:
    logps_N = tokens(LOGITS.detach().log_softmax(1))[:9].requires_grad_()
    ref_N, old_N = tokens(REF)[:9], tokens(OLD)[:9]
    assert torch.autograd.gradcheck(lambda x: kl_penalty(x, ref_N, "k3", (x - old_N).exp()), logps_N)


# -- the controller ------------------------------------------------------------------


def test_the_adaptive_coefficient_finds_its_target() -> None:
    """A policy whose KL falls as the coefficient rises."""
    controller = AdaptiveKL(0.2, target=6.0, horizon=2000)
    for _ in range(1000):
        controller.update(1.0 / controller.coef, samples=64)
    assert controller.coef == pytest.approx(1 / 6, rel=1e-3)


@pytest.mark.parametrize("kl", [0.0, -3.0, 4.0, 6.0, 7.0, 1e9, math.inf])
def test_a_round_moves_it_by_a_fifth_at_most(kl: float) -> None:
    for samples in (64, 10_000, 1_000_000):
        controller = AdaptiveKL(0.2, target=6.0, horizon=10_000)
        controller.update(kl, samples)
        assert 0.16 - 1e-12 <= controller.coef <= 0.24 + 1e-12
        assert (controller.coef > 0.2) == (kl > 6) and (controller.coef < 0.2) == (kl < 6)


def test_an_unknown_kl_changes_nothing() -> None:
    controller = AdaptiveKL(0.2, target=6.0, horizon=100)
    controller.update(math.nan, 64)
    assert controller.coef == 0.2


def test_it_goes_on_from_a_checkpoint() -> None:
    first, second = (AdaptiveKL(0.2, target=6.0, horizon=100) for _ in range(2))
    first.update(9.0, 10)
    second.load_state(first.state())
    for controller in (first, second):
        controller.update(2.0, 10)
    assert first.coef == second.coef != 0.2
