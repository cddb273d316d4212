"""Importance weights between trainer and sampler: exact expectations, bounds, and TRL's own lines."""

from __future__ import annotations

import itertools
import math
from typing import get_args

import pytest
import torch
from credit_trl import weights_of_trl
from torch import Tensor

from charter.objectives.importance import Mode, importance_weights

MODES = get_args(Mode)
LENGTHS = (3, 1, 4, 2, 5)
SAMPLE_N = torch.repeat_interleave(torch.arange(len(LENGTHS)), torch.tensor(LENGTHS))
NAN = math.nan


def logps(seed: int = 0, spread: float = 0.4) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    old_N = -3 * torch.rand(len(SAMPLE_N), generator=generator, dtype=torch.float64)
    return old_N, old_N + spread * torch.randn(len(SAMPLE_N), generator=generator, dtype=torch.float64)


def padded(x_N: Tensor) -> Tensor:
    rows = x_N.split(LENGTHS)
    return torch.nn.utils.rnn.pad_sequence(list(rows), batch_first=True)


# -- against TRL ---------------------------------------------------------------


@pytest.mark.parametrize("bounds", [(None, None), (1.5, None), (2.0, 0.5), (1.05, 0.95)])
@pytest.mark.parametrize("missing", [False, True], ids=["known", "nan"])
@pytest.mark.parametrize("mode", MODES)
def test_trl(mode: Mode, missing: bool, bounds: tuple[float | None, float | None]) -> None:
    if bounds == (None, None) and mode.endswith("truncate"):
        bounds = (1e9, None)  # TRL's clamp takes no two Nones
    for seed in range(5):
        old_N, sampler_N = logps(seed)
        if missing:
            sampler_N[[0, 5, 9]] = NAN
        trainer = {
            "use_vllm": True,
            "vllm_importance_sampling_correction": True,
            "vllm_importance_sampling_mode": mode,
            "vllm_importance_sampling_clip_max": bounds[0],
            "vllm_importance_sampling_clip_min": bounds[1],
        }
        held = {
            "completion_mask": padded(torch.ones(len(SAMPLE_N))),
            "tool_mask": None,
            "old_per_token_logps": padded(old_N),
            "sampling_per_token_logps": padded(sampler_N),
        }
        theirs = weights_of_trl(trainer, held).expand(len(LENGTHS), max(LENGTHS))
        theirs_N = torch.cat([row[:n] for row, n in zip(theirs, LENGTHS, strict=True)])
        ours_N = importance_weights(old_N, sampler_N, SAMPLE_N, mode, *bounds)
        torch.testing.assert_close(ours_N, theirs_N, rtol=1e-12, atol=0)


# -- exact expectations ----------------------------------------------------------


def test_unbounded_weights_of_whole_answers_are_unbiased() -> None:
    """Expectation of any quantity of two tokens: sampled by one policy, weighted to another."""
    generator = torch.Generator().manual_seed(0)
    old, sampler = torch.randn(2, 2, 3, 3, generator=generator, dtype=torch.float64).log_softmax(-1)
    answers = torch.tensor(list(itertools.product(range(3), repeat=2)))
    first, second = answers.unbind(1)
    quantity_B = torch.randn(len(answers), generator=generator, dtype=torch.float64)

    def of(policy: Tensor) -> Tensor:
        return torch.stack([policy[0, 0, first], policy[1, first, second]], 1).flatten()

    def mean(policy: Tensor, x_B: Tensor) -> Tensor:
        return (of(policy).reshape(-1, 2).sum(1).exp() * x_B).sum()

    sample_N = torch.arange(len(answers)).repeat_interleave(2)
    weight_N = importance_weights(of(old), of(sampler), sample_N, "sequence_truncate", None)
    torch.testing.assert_close(mean(sampler, weight_N[::2] * quantity_B), mean(old, quantity_B))
    bounded_N = importance_weights(of(old), of(sampler), sample_N, "sequence_truncate", 1.0)
    assert mean(sampler, bounded_N[::2]) < 0.95


# -- properties --------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_equal_log_probs_weigh_1(mode: Mode) -> None:
    old_N, _ = logps()
    assert (importance_weights(old_N, old_N, SAMPLE_N, mode) == 1).all()


@pytest.mark.parametrize("mode", MODES)
def test_unknown_sampler_log_probs_weigh_1(mode: Mode) -> None:
    old_N, sampler_N = logps(spread=2.0)
    unknown_N = torch.full_like(sampler_N, NAN)
    assert (importance_weights(old_N, unknown_N, SAMPLE_N, mode) == 1).all()
    one = sampler_N.clone()
    one[SAMPLE_N == 2] = NAN
    found_N = importance_weights(old_N, one, SAMPLE_N, mode)
    whole_N = importance_weights(old_N, sampler_N, SAMPLE_N, mode)
    assert (found_N[SAMPLE_N == 2] == 1).all()
    torch.testing.assert_close(found_N[SAMPLE_N != 2], whole_N[SAMPLE_N != 2], rtol=0, atol=0)


@pytest.mark.parametrize("mode", MODES)
def test_bounds(mode: Mode) -> None:
    for seed in range(20):
        weight_N = importance_weights(*logps(seed, spread=1.0), SAMPLE_N, mode, 2.0, 0.5)
        inside_N = (weight_N >= 0.5) & (weight_N <= 2.0)
        assert (inside_N | (weight_N == 0)).all() if mode.endswith("mask") else inside_N.all()
        if mode.startswith("sequence"):
            assert all(len(weight_N[b == SAMPLE_N].unique()) == 1 for b in range(len(LENGTHS)))


def test_each_level_reads_its_own_ratio() -> None:
    old_N, sampler_N = torch.tensor([-1.0, -1.0, -2.0]), torch.tensor([-1.2, -1.3, -1.9])
    sample_N = torch.tensor([0, 0, 1])
    token_N = importance_weights(old_N, sampler_N, sample_N, "token_truncate", 1.3)
    torch.testing.assert_close(token_N, torch.tensor([math.exp(0.2), 1.3, math.exp(-0.1)]))
    whole_N = importance_weights(old_N, sampler_N, sample_N, "sequence_mask", 1.6)
    torch.testing.assert_close(whole_N, torch.tensor([0.0, 0.0, math.exp(-0.1)]))


@pytest.mark.parametrize("mode", MODES)
def test_nothing_overflows(mode: Mode) -> None:
    sample_N = torch.tensor([0, 0, 1])
    far = torch.tensor([-900.0, -0.1, -900.0]), torch.tensor([-0.1, -900.0, -0.1])
    for old_N, sampler_N in (far, far[::-1]):
        for clip_max in (2.0, None):
            assert importance_weights(old_N, sampler_N, sample_N, mode, clip_max).isfinite().all()
    never = importance_weights(torch.zeros(1), torch.tensor([-torch.inf]), torch.zeros(1).long(), mode, 2.0)
    assert never == (0.0 if mode.endswith("mask") else 2.0)


def test_weights_carry_no_gradient() -> None:
    old_N, sampler_N = logps()
    assert not importance_weights(old_N.requires_grad_(), sampler_N, SAMPLE_N).requires_grad


@pytest.mark.parametrize("mode", MODES)
def test_no_tokens(mode: Mode) -> None:
    assert len(importance_weights(torch.empty(0), torch.empty(0), torch.empty(0).long(), mode)) == 0


def test_an_unknown_mode() -> None:
    with pytest.raises(ValueError, match="importance_sampling_mode"):
        importance_weights(torch.zeros(1), torch.zeros(1), torch.zeros(1).long(), "token")  # type: ignore[arg-type]
