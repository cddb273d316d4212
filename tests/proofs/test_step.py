"""How a step is split and ordered changes nothing, and its gradient is that of its loss, for every entry."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from unittest import mock

import pytest
import torch
from declared import DECLARED, PROVED
from running import Workshop, groups_of, loss_and_gradient, nudge
from torch import Tensor

from charter.training.batch import MicroBatch, split
from charter.training.loop import Loop
from charter.types import Group

each = pytest.mark.parametrize("name", PROVED)

TOLERANCE = 1e-5
MOVE = 2e-3
"""How far weights move along the gradient for a difference quotient, as a first-order change of the loss."""


Made = tuple[Loop, list[Group]]


@pytest.fixture(scope="module")
def loops(workshop: Workshop) -> dict[str, Made]:
    return {}


@pytest.fixture
def made(name: str, loops: dict[str, Made], workshop: Workshop) -> Made:
    """Away from the reference; made once for each algorithm and left as it was found."""
    if name not in loops:
        loops.clear()  # one at a time in memory
        loop = workshop.loop(name)
        loops[name] = loop, groups_of(loop)
        nudge(loop)
    return loops[name]


@pytest.fixture
def loop(made: Made) -> Loop:
    return made[0]


@pytest.fixture
def groups(made: Made) -> list[Group]:
    return list(made[1])


@each
def test_split_and_order_change_nothing(name: str, loop: Loop, groups: list[Group]) -> None:
    assert len(groups) > 2
    whole = loss_and_gradient(loop, [MicroBatch.of(groups, loop.columns)])
    assert any(gradient.abs().max() > 0 for gradient in whole[1].values())
    parts = split(groups, 1, loop.columns)
    assert len(parts) == len(groups)
    assert_same(loss_and_gradient(loop, parts), whole)
    random.Random(3).shuffle(groups)
    halves = [MicroBatch.of(part, loop.columns) for part in (groups[:2], groups[2:])]
    assert_same(loss_and_gradient(loop, halves), whole)


@pytest.mark.parametrize("name", ["sft", "grpo", "ppo"])
def test_a_mean_of_micro_batch_means_would_be_seen(name: str, loop: Loop, groups: list[Group]) -> None:
    parts = split(groups, 1, loop.columns)
    whole = loss_and_gradient(loop, [MicroBatch.of(groups, loop.columns)])[0]
    means = [loss_and_gradient(loop, [part])[0] for part in parts]
    assert abs(sum(means) / len(means) - whole) > 100 * TOLERANCE * whole


@each
def test_gradient_is_that_of_the_loss(name: str, loop: Loop, groups: list[Group]) -> None:
    """A central difference along the gradient, with the statistics of the step held."""
    batches = [MicroBatch.of(groups, loop.columns)]
    loss, gradient = loss_and_gradient(loop, batches)
    norm = float(torch.stack([g.square().sum() for g in gradient.values()]).sum().sqrt())
    step = min(MOVE * max(abs(loss), 1.0) / norm, 3e-3)
    held = [loop.stepper._prepare(term.objective, batches, None) for term in loop.stepper.terms]
    with mock.patch.object(loop.stepper, "_prepare", side_effect=held * 2):
        higher = moved_loss(loop, batches, gradient, step / norm)
        lower = moved_loss(loop, batches, gradient, -step / norm)
    quotient = (higher - lower) / (2 * step)
    if DECLARED[name].surrogate:
        assert quotient != pytest.approx(norm, rel=0.1), "the gradient is that of the value: not a surrogate"
    else:
        assert quotient == pytest.approx(norm, rel=0.02)


@torch.no_grad()
def moved_loss(
    loop: Loop, batches: Sequence[MicroBatch], direction: Mapping[str, Tensor], step: float
) -> float:
    parameters = loop.state.parameters()
    before = {name: parameters[name].clone() for name in direction}
    for name, gradient in direction.items():
        parameters[name].add_(gradient, alpha=step)
    loss = loop.stepper._accumulate(batches)["loss"]
    for name, value in before.items():
        parameters[name].copy_(value)
    return loss


def assert_same(found: tuple[float, dict[str, Tensor]], expected: tuple[float, dict[str, Tensor]]) -> None:
    assert found[0] == pytest.approx(expected[0], rel=TOLERANCE, abs=1e-6)
    assert found[1].keys() == expected[1].keys()
    largest = max(float(value.abs().max()) for value in expected[1].values())
    for key, value in expected[1].items():
        assert float((found[1][key] - value).abs().max()) <= TOLERANCE * largest, key
