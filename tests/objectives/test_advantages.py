"""Advantages of samples: invariances, missing rewards, exact expectations, and TRL's own lines."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import pytest
import torch
from credit_trl import advantages_of_trl
from torch import Tensor

from charter.objectives.advantages import (
    Scale,
    decoupled,
    group_advantages,
    leave_one_out,
    whiten,
)
from charter.objectives.baselines import ema_advantages, greedy_advantages

NAN = math.nan
GROUP_B = torch.tensor([0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2])
SEEDS = range(20)

Advantages = Callable[[Tensor, Tensor], Tensor]

SCALES: tuple[Scale, ...] = ("group", "batch", "none")
METHODS: dict[str, Advantages] = {
    **{f"grpo-{s}": lambda r, g, s=s: group_advantages(r, g, scale_rewards=s) for s in SCALES},
    "grpo-population": lambda r, g: group_advantages(r, g, unbiased=False),
    "rloo": leave_one_out,
    "decoupled": lambda r, g: decoupled(torch.stack([r, 0.3 - 2 * r], 1), torch.tensor([1.0, 0.2]), g),
}
every_method = pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def rewards(seed: int, *more: int) -> Tensor:
    """Reals on even seeds, right or wrong on odd ones."""
    drawn = torch.randn(len(GROUP_B), *more, generator=generator(seed), dtype=torch.float64)
    return drawn if seed % 2 == 0 else (drawn > 0).double()


def holed(seed: int, *more: int, share: float = 0.4) -> Tensor:
    found = rewards(seed, *more)
    lost = torch.rand(found.shape, generator=generator(seed + 100)) < share
    return found.masked_fill(lost, NAN)


# -- against TRL ---------------------------------------------------------------


def grpo_of_trl(rewards_BK: Tensor, scale: Scale, aggregation: str, weights_K: Tensor) -> Tensor:
    held = {"reward_weights": weights_K, "scale_rewards": scale, "reward_funcs": [None] * len(weights_K)}
    names = {"rewards_per_func": rewards_BK.clone(), "num_generations": 4, "device": "cpu"}
    found: Tensor = advantages_of_trl("grpo", held | {"multi_objective_aggregation": aggregation}, names)
    return found


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("make", [rewards, holed], ids=["known", "nan"])
def test_grpo_of_trl(scale: Scale, make: Callable[[int], Tensor]) -> None:
    """Bessel's correction is a float32 in TRL: eight digits agree."""
    one = torch.ones(1, dtype=torch.float64)
    for seed in SEEDS:
        rewards_B = make(seed)
        theirs_B = grpo_of_trl(rewards_B[:, None], scale, "sum_then_normalize", one)
        torch.testing.assert_close(
            group_advantages(rewards_B, GROUP_B, scale_rewards=scale), theirs_B, rtol=1e-7, atol=1e-9
        )


@pytest.mark.parametrize("make", [rewards, holed], ids=["known", "nan"])
def test_decoupled_of_trl(make: Callable[..., Tensor]) -> None:
    """TRL adds 1e-4 to the last deviation and we 1e-8 to its variance: a factor for all samples."""
    weights_K = torch.tensor([1.0, 0.3, 2.0], dtype=torch.float64)
    for seed in SEEDS:
        rewards_BK = make(seed, 3)
        ours_B = decoupled(rewards_BK, weights_K, GROUP_B)
        theirs_B = grpo_of_trl(rewards_BK, "group", "normalize_then_sum", weights_K)
        assert theirs_B.abs().max() > 0.5
        torch.testing.assert_close(ours_B, theirs_B, rtol=1e-3, atol=1e-9)
        torch.testing.assert_close(
            ours_B / ours_B.abs().max(), theirs_B / theirs_B.abs().max(), rtol=1e-7, atol=1e-9
        )


@pytest.mark.parametrize("make", [rewards, holed], ids=["known", "nan"])
def test_rloo_of_trl(make: Callable[[int], Tensor]) -> None:
    held = {
        "reward_weights": torch.ones(1, dtype=torch.float64),
        "reward_clip_range": None,
        "beta": 0.0,
        "normalize_advantages": False,
    }
    for seed in SEEDS:
        rewards_B = make(seed)
        names = {"rewards_per_func": rewards_B[:, None], "num_generations": 4, "device": "cpu"}
        torch.testing.assert_close(leave_one_out(rewards_B, GROUP_B), advantages_of_trl("rloo", held, names))


# -- invariances -----------------------------------------------------------------


@every_method
def test_a_shift_of_a_group_changes_nothing(method: Advantages) -> None:
    """Of all rewards where the deviation of the batch divides."""
    for seed in SEEDS:
        rewards_B, shift_G = rewards(seed), torch.tensor([3.0, -1.0, 0.25], dtype=torch.float64)
        shift_B = shift_G[0].expand(12) if method is METHODS["grpo-batch"] else shift_G[GROUP_B]
        torch.testing.assert_close(
            method(rewards_B + shift_B, GROUP_B), method(rewards_B, GROUP_B), rtol=1e-9, atol=1e-9
        )


@pytest.mark.parametrize("scale", [0.01, 100.0])
def test_a_scale(scale: float) -> None:
    """Divided out where a deviation divides, kept elsewhere."""
    for seed in SEEDS:
        rewards_B = rewards(seed)
        for by in ("group", "batch"):
            before_B, after_B = (
                group_advantages(r, GROUP_B, scale_rewards=by, eps=0.0)
                for r in (rewards_B, scale * rewards_B)
            )
            torch.testing.assert_close(after_B, before_B, rtol=1e-9, atol=1e-9)
        for method in (METHODS["grpo-none"], leave_one_out):
            torch.testing.assert_close(method(scale * rewards_B, GROUP_B), scale * method(rewards_B, GROUP_B))


@every_method
def test_the_order_of_samples_and_the_names_of_groups_change_nothing(method: Advantages) -> None:
    for seed in SEEDS:
        rewards_B, order = holed(seed), torch.randperm(12, generator=generator(seed))
        whole_B = method(rewards_B, GROUP_B)
        torch.testing.assert_close(method(rewards_B[order], GROUP_B[order]), whole_B[order])
        torch.testing.assert_close(method(rewards_B, torch.tensor([5, 0, 9])[GROUP_B]), whole_B)


@every_method
def test_advantages_of_a_group_sum_to_0(method: Advantages) -> None:
    for seed in SEEDS:
        sums_G = torch.zeros(3, dtype=torch.float64).index_add(0, GROUP_B, method(holed(seed), GROUP_B))
        torch.testing.assert_close(sums_G, torch.zeros_like(sums_G), atol=1e-9, rtol=0)


def test_deviation() -> None:
    """Of each group 1, but for eps; Bessel's correction or not is a factor."""
    for seed in range(0, 20, 2):
        rewards_B = rewards(seed)
        bessel_B, population_B = (
            group_advantages(rewards_B, GROUP_B, eps=0.0, unbiased=flag) for flag in (True, False)
        )
        torch.testing.assert_close(bessel_B.reshape(3, 4).std(1), torch.ones(3).double())
        torch.testing.assert_close(population_B, bessel_B * math.sqrt(4 / 3))


def test_leave_one_out_is_less_the_mean_of_the_others() -> None:
    for seed in SEEDS:
        rewards_B = rewards(seed)
        for i, found in enumerate(leave_one_out(rewards_B, GROUP_B)):
            others = rewards_B[(GROUP_B[i] == GROUP_B) & (torch.arange(12) != i)]
            torch.testing.assert_close(found, rewards_B[i] - others.mean())


# -- missing rewards, groups that say nothing --------------------------------------


@every_method
def test_missing_rewards_are_as_if_never_sampled(method: Advantages) -> None:
    for seed in SEEDS:
        rewards_B = holed(seed)
        known_B = ~rewards_B.isnan()
        found_B = method(rewards_B, GROUP_B)
        torch.testing.assert_close(found_B[known_B], method(rewards_B[known_B], GROUP_B[known_B]))
        assert (found_B[~known_B] == 0).all()


@every_method
def test_nan_poisons_nothing(method: Advantages) -> None:
    for known in range(13):
        rewards_B = torch.full((12,), NAN, dtype=torch.float64)
        rewards_B[:known] = rewards(0)[:known]
        assert method(rewards_B, GROUP_B).isfinite().all()


@every_method
@pytest.mark.parametrize("value", [0.1, 0.7, 1 / 3, -1e8 / 3, 1e-12])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_constant_groups_are_exactly_0(method: Advantages, value: float, dtype: torch.dtype) -> None:
    """In a group of 3 or 7 the mean of equal numbers need not be that number."""
    group_B = torch.tensor([0] * 3 + [1] * 7)
    found_B = method(torch.full((10,), value, dtype=dtype), group_B)
    assert (found_B == 0).all() and found_B.dtype == dtype
    varied_B = torch.tensor([value] * 3 + [0.0, 1, 1, 0, 1, 1, 1], dtype=dtype)
    if method is not METHODS["decoupled"]:  # it is whitened over the batch
        assert (method(varied_B, group_B)[:3] == 0).all()
    assert method(varied_B, group_B)[3:].abs().min() > 0


@every_method
def test_groups_of_one(method: Advantages) -> None:
    rewards_B = torch.tensor([1.0, 5.0, NAN, 7.0, 0.0], dtype=torch.float64)
    found_B = method(rewards_B, torch.tensor([0, 1, 1, 2, 2]))
    assert found_B[:3].abs().max() < 1e-12
    assert found_B[3] > 0 > found_B[4]


@every_method
def test_no_samples(method: Advantages) -> None:
    assert len(method(torch.empty(0), torch.empty(0, dtype=torch.long))) == 0


# -- exact expectations --------------------------------------------------------------


@pytest.mark.parametrize("k", [2, 3, 4])
def test_expected_gradients(k: int) -> None:
    """Over all groups of k answers: leave-one-out is unbiased, the group's mean costs (k - 1) / k."""
    logits = torch.tensor([0.2, -0.4, 0.5], dtype=torch.float64, requires_grad=True)
    value = torch.tensor([1.0, 0.3, -0.5], dtype=torch.float64)
    logps = logits.log_softmax(0)
    true = torch.autograd.grad((logps.exp() * value).sum(), logits, retain_graph=True)[0]
    groups = torch.tensor(list(itertools.product(range(3), repeat=k)))
    answer_B, group_B = groups.flatten(), torch.arange(len(groups)).repeat_interleave(k)
    likely_B = logps[groups].sum(1).exp().detach().repeat_interleave(k)

    def expected(advantage_B: Tensor) -> Tensor:
        gain = (likely_B * advantage_B * logps[answer_B]).sum() / k
        return torch.autograd.grad(gain, logits, retain_graph=True)[0]

    torch.testing.assert_close(expected(leave_one_out(value[answer_B], group_B)), true)
    centred_B = group_advantages(value[answer_B], group_B, scale_rewards="none")
    torch.testing.assert_close(expected(centred_B), true * (k - 1) / k)


# -- decoupled -------------------------------------------------------------------------


def test_rewards_of_any_spread_have_the_same_say() -> None:
    for seed in range(0, 20, 2):
        rewards_BK, even = rewards(seed, 2), torch.ones(2)
        spread_BK = rewards_BK * torch.tensor([1.0, 1000.0])
        ours, ours_spread = (decoupled(r, even, GROUP_B, eps=0.0) for r in (rewards_BK, spread_BK))
        torch.testing.assert_close(ours_spread, ours)
        summed, summed_spread = (group_advantages(r.sum(1), GROUP_B) for r in (rewards_BK, spread_BK))
        assert (summed_spread - summed).abs().max() > 0.1


def test_combinations_that_sum_to_the_same_are_told_apart() -> None:
    """(1, 0) and (0, 1) are one reward when summed; where the second is rare they are not."""
    rewards_BK = torch.tensor([[1.0, 0], [1, 0], [1, 0], [0, 1]], dtype=torch.float64)
    group_B = torch.zeros(4, dtype=torch.long)
    assert (group_advantages(rewards_BK.sum(1), group_B) == 0).all()
    found_B = decoupled(rewards_BK, torch.tensor([1.0, 2.0]), group_B)
    assert found_B[3] > 0 > found_B[0]


def test_decoupled_is_white_over_the_batch_and_linear_in_no_weight() -> None:
    rewards_BK = rewards(0, 2)
    found_B = decoupled(rewards_BK, torch.tensor([1.0, 0.5]), GROUP_B)
    torch.testing.assert_close(found_B.std(), torch.ones(()).double(), rtol=1e-6, atol=0)
    assert found_B.mean().abs() < 1e-12
    torch.testing.assert_close(
        decoupled(rewards_BK, torch.tensor([2.0, 1.0]), GROUP_B), found_B, rtol=1e-6, atol=0
    )
    only_B = decoupled(rewards_BK, torch.tensor([1.0, 0.0]), GROUP_B)
    torch.testing.assert_close(only_B, decoupled(rewards_BK[:, :1], torch.ones(1), GROUP_B))


# -- whitening ---------------------------------------------------------------------------


def test_whitening() -> None:
    x = 5 + 3 * rewards(0)
    for unbiased in (True, False):
        white = whiten(x, unbiased=unbiased)
        assert white.mean().abs() < 1e-12
        torch.testing.assert_close(
            white.var(correction=int(unbiased)), torch.ones(()).double(), rtol=1e-6, atol=0
        )
        kept = whiten(x, unbiased=unbiased, shift_mean=False)
        torch.testing.assert_close(kept - x.mean(), white)


def test_whitening_reads_the_used_entries_alone() -> None:
    x, used = rewards(0), torch.arange(12) % 3 > 0
    found = whiten(x.masked_fill(~used, NAN), used)
    torch.testing.assert_close(found[used], whiten(x[used]))
    assert (found[~used] == 0).all()
    torch.testing.assert_close(
        whiten(x.masked_fill(~used, 1e9), used, shift_mean=False), found + 0 * x + (x[used].mean() * used)
    )


@pytest.mark.parametrize("values", [[], [3.0], [2.0, 2.0, 2.0]])
def test_whitening_of_little(values: list[float]) -> None:
    x = torch.tensor(values, dtype=torch.float64)
    wanted = torch.zeros_like(x) if len(values) > 1 else x
    torch.testing.assert_close(whiten(x), wanted)
    assert whiten(x, torch.zeros_like(x, dtype=torch.bool)).tolist() == [0.0] * len(values)


# -- baselines -----------------------------------------------------------------------------


def test_ema_baseline() -> None:
    first_B, second_B = rewards(0), rewards(2)
    found_B, mean = ema_advantages(first_B, None, decay=0.9)
    torch.testing.assert_close(found_B, leave_one_out(first_B, torch.zeros(12).long()))
    assert mean == pytest.approx(float(first_B.mean()))
    assert mean is not None
    found_B, after = ema_advantages(second_B, mean, decay=0.9)
    torch.testing.assert_close(found_B, second_B - mean)
    assert after == pytest.approx(0.9 * mean + 0.1 * float(second_B.mean()))


def test_ema_baseline_and_missing_rewards() -> None:
    rewards_B = torch.tensor([1.0, NAN, 0.0], dtype=torch.float64)
    found_B, after = ema_advantages(rewards_B, 0.25, decay=0.5)
    assert found_B.tolist() == [0.75, 0.0, -0.25]
    assert after == 0.375
    for before in (None, 0.25):
        found_B, after = ema_advantages(torch.full((3,), NAN), before)
        assert found_B.tolist() == [0.0, 0.0, 0.0] and after == before
    assert ema_advantages(rewards_B, None)[0].tolist() == [1.0, 0.0, -1.0]


def test_greedy_baseline() -> None:
    rewards_B = torch.tensor([1.0, 0.25, 0.5, 2.0, 3.0, NAN, 4.0, NAN], dtype=torch.float64)
    group_B = torch.tensor([0, 0, 1, 1, 1, 1, 2, 2])
    greedy_B = torch.tensor([False, True, True, False, False, False, False, True])
    found_B = greedy_advantages(rewards_B, group_B, greedy_B)
    assert found_B[:5].tolist() == [0.75, 0.0, 0.0, 1.5, 2.5]
    assert found_B[5:].isnan().all()
    order = torch.randperm(8, generator=generator(0))
    again_B = greedy_advantages(rewards_B[order], group_B[order], greedy_B[order])
    torch.testing.assert_close(again_B, found_B[order], equal_nan=True)
