from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import nn
from training_setup import options_of

from charter.training.optimizer import learning_rate, make_optimizer


def rates(total: int, **changes: Any) -> list[float]:
    options = options_of("sft", learning_rate=1.0, max_steps=total, **changes)
    return [learning_rate(step, total, options) for step in range(total)]


def test_linear_falls_from_the_peak_to_one_step_above_zero() -> None:
    assert rates(4) == pytest.approx([1.0, 0.75, 0.5, 0.25])


def test_linear_after_warmup() -> None:
    assert rates(6, warmup_steps=2) == pytest.approx([0.5, 1.0, 1.0, 0.75, 0.5, 0.25])


def test_warmup_below_one_is_a_share_of_all_steps_rounded_up() -> None:
    assert rates(10, warmup_steps=0.25)[:4] == pytest.approx([1 / 3, 2 / 3, 1.0, 1.0])


def test_cosine() -> None:
    expected = [0.5 * (1 + math.cos(math.pi * k / 4)) for k in range(4)]
    assert rates(4, lr_scheduler_type="cosine") == pytest.approx(expected)
    assert expected[2] == pytest.approx(0.5)


def test_constant() -> None:
    assert rates(3, lr_scheduler_type="constant") == [1.0, 1.0, 1.0]
    assert rates(4, lr_scheduler_type="constant_with_warmup", warmup_steps=2) == [0.5, 1.0, 1.0, 1.0]


def test_warmup_longer_than_the_run_never_reaches_the_peak() -> None:
    assert rates(2, warmup_steps=4) == pytest.approx([0.25, 0.5])


def test_weight_decay_is_on_matrices_only() -> None:
    parameters = {
        "proj.weight": nn.Parameter(torch.ones(2, 2)),
        "norm.weight": nn.Parameter(torch.ones(2)),
        "proj.bias": nn.Parameter(torch.ones(2)),
    }
    optimizer = make_optimizer(parameters, options_of("sft", weight_decay=0.5, learning_rate=0.1))
    for parameter in parameters.values():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    assert torch.equal(parameters["proj.weight"], torch.full((2, 2), 1 - 0.1 * 0.5))
    assert torch.equal(parameters["norm.weight"], torch.ones(2))
    assert torch.equal(parameters["proj.bias"], torch.ones(2))


def test_one_step_of_adam_by_hand() -> None:
    parameter = nn.Parameter(torch.tensor([[1.0, -2.0]]))
    options = options_of("sft", learning_rate=0.1, adam_beta1=0.8, adam_beta2=0.9, adam_epsilon=1e-3)
    optimizer = make_optimizer({"w": parameter}, options)
    for gradient in ([[0.5, -0.25]], [[0.1, 0.3]]):
        parameter.grad = torch.tensor(gradient)
        optimizer.step()
    expected = torch.tensor([[1.0, -2.0]])
    m = v = torch.zeros(1, 2)
    for t, gradient in enumerate(([[0.5, -0.25]], [[0.1, 0.3]]), start=1):
        g = torch.tensor(gradient)
        m, v = 0.8 * m + 0.2 * g, 0.9 * v + 0.1 * g * g
        expected = expected - 0.1 * (m / (1 - 0.8**t)) / ((v / (1 - 0.9**t)).sqrt() + 1e-3)
    torch.testing.assert_close(parameter.detach(), expected, rtol=0, atol=1e-6)


def test_gradients_are_clipped_to_the_norm(tiny: str, tmp_path: Any) -> None:
    from training_setup import make_loop

    from charter.training.batch import split

    loop = make_loop(tiny, tmp_path, "sft", max_grad_norm=1e-3, max_steps=1)
    seen: list[float] = []
    step = loop.optimizer.step

    def looked(*args: Any) -> Any:
        norms = [p.grad.norm() for p in loop.policy.trainable().values() if p.grad is not None]
        seen.append(float(torch.stack(norms).norm()))
        return step(*args)

    loop.optimizer.step = looked  # type: ignore[method-assign]
    found = loop.stepper.step(split(loop.groups, 1000), 1e-3).metrics
    assert seen == pytest.approx([1e-3], rel=1e-4)
    assert found["grad_norm"] > 1  # as it was before
