"""A number that is not finite stops training before the step, and the state before it is saved."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from test_resume import At, interrupt_at_once
from torch import Tensor
from training_setup import assert_same_bits, make_loop, metrics_of, moments_of, weights_of

from charter.errors import TrainingFault, exit_code_of
from charter.models.policy import Policy
from charter.objectives.base import Layout, Scored, Stats, Term
from charter.training import checkpoint
from charter.training.batch import split
from charter.training.hooks import HookResult
from charter.training.loop import Loop
from charter.training.step import WeightedTerm

STEP = 3
LORA = {"use_peft": True, "lora_dropout": 0.2, "learning_rate": 1e-2}


class Breaks:
    """A loss that is sound until ``broken``, then has the loss or the gradient given."""

    def __init__(self, inner: Any, act: Callable[[Tensor], Tensor]) -> None:
        self.inner, self.act, self.needs, self.broken = inner, act, inner.needs, False

    def counts(self, layout: Layout) -> dict[str, float]:
        counts: dict[str, float] = self.inner.counts(layout)
        return counts

    def __call__(self, scored: Scored, stats: Stats) -> dict[str, Term]:
        terms: dict[str, Term] = self.inner(scored, stats)
        if not self.broken:
            return terms
        return {name: Term(self.act(term.total), term.count) for name, term in terms.items()}


class NaNGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return grad * math.nan


FAULTS: dict[str, tuple[Callable[[Tensor], Tensor], str]] = {
    "nan loss": (lambda x: x * math.nan, "loss is nan"),
    "infinite loss": (lambda x: x * math.inf, "loss is inf"),
    "nan gradient": (lambda x: NaNGradient.apply(x), "gradient norm is nan"),
}


def broken_loop(tiny: str, directory: Path, fault: str, **changes: Any) -> Loop:
    """Breaks in step STEP."""
    loop = make_loop(tiny, directory, "dpo", **changes)
    (term,) = loop.stepper.terms
    broken = Breaks(term.objective, FAULTS[fault][0])
    loop.stepper.terms = (WeightedTerm(broken),)

    def break_it() -> None:
        broken.broken = True

    loop.hooks = (At(STEP - 1, break_it),)
    return loop


@pytest.mark.parametrize("changes", [{}, LORA], ids=["full", "lora"])
@pytest.mark.parametrize("fault", FAULTS)
def test_the_weights_are_those_before_the_step_and_are_saved(
    fault: str, changes: dict[str, Any], tiny: str, tmp_path: Path
) -> None:
    before = make_loop(tiny, tmp_path / "before", "dpo", hooks=[At(STEP - 1, interrupt_at_once)], **changes)
    with pytest.raises(KeyboardInterrupt):
        before.run()
    loop = broken_loop(tiny, tmp_path / "run", fault, **changes)
    with pytest.raises(TrainingFault) as raised:
        loop.run()
    message = str(raised.value)
    assert FAULTS[fault][1] in message and "the weights are as before this step" in message
    assert f"step {STEP}, rows " in message  # which rows it was
    rows = [group.source for group in loop.source.step(STEP - 1)]
    assert all(row in message for row in rows)
    assert exit_code_of(raised.value) == 4
    assert_same_bits(weights_of(loop.policy), weights_of(before.policy))
    assert_same_bits(moments_of(loop), moments_of(before))
    assert all(p.grad is None for p in loop.policy.trainable().values())
    state = checkpoint.load_latest(tmp_path / "run" / "checkpoints")
    assert state is not None and state.step == STEP - 1
    assert_same_bits(state.weights, weights_of(before.policy))
    assert [row["step"] for row in metrics_of(tmp_path / "run")] == [1, 2]
    assert not (tmp_path / "run" / "model").exists()


def test_after_the_cause_is_gone_the_run_goes_on_as_if_nothing_had_been(tiny: str, tmp_path: Path) -> None:
    with pytest.raises(TrainingFault):
        broken_loop(tiny, tmp_path / "run", "nan gradient", **LORA).run()
    loop = make_loop(tiny, tmp_path / "run", "dpo", **LORA)
    loop.run()
    whole = make_loop(tiny, tmp_path / "whole", "dpo", **LORA)
    whole.run()
    assert_same_bits(weights_of(loop.policy), weights_of(whole.policy))
    assert metrics_of(tmp_path / "run") == metrics_of(tmp_path / "whole")


def test_a_fault_in_the_last_micro_batch_leaves_no_half_gradient(tiny: str, tmp_path: Path) -> None:
    loop = make_loop(tiny, tmp_path, "sft")
    before = weights_of(loop.policy)
    batches = split(loop.groups, 1)
    calls: list[int] = []

    class LastIsNaN(Breaks):
        def __call__(self, scored: Scored, stats: Stats) -> dict[str, Term]:
            calls.append(1)
            self.broken = len(calls) == len(batches)
            return super().__call__(scored, stats)

    loop.stepper.terms = (WeightedTerm(LastIsNaN(loop.stepper.terms[0].objective, lambda x: x * math.nan)),)
    with pytest.raises(TrainingFault):
        loop.stepper.step(batches, 1e-3)
    assert len(calls) == len(batches) > 3
    assert_same_bits(weights_of(loop.policy), before)
    assert all(p.grad is None for p in loop.policy.trainable().values())


def test_a_checkpoint_is_never_made_of_broken_weights(tiny: str, tmp_path: Path) -> None:
    class Spoils(At):
        def after_step(
            self, policy: Policy, step: int, last: bool, metrics: Mapping[str, float]
        ) -> HookResult:
            if step == STEP:
                with torch.no_grad():
                    next(iter(policy.trainable().values())).fill_(math.nan)
            return super().after_step(policy, step, last, metrics)

    with pytest.raises(TrainingFault):
        make_loop(tiny, tmp_path, "sft", save_steps=2, hooks=[Spoils()]).run()
    state = checkpoint.load_latest(tmp_path / "checkpoints")
    assert state is not None and state.step == 2
    assert all(bool(torch.isfinite(value).all()) for value in state.weights.values())


def test_a_fault_in_evaluation_says_so(tiny: str, tmp_path: Path) -> None:
    loop = make_loop(tiny, tmp_path, "sft")
    broken = Breaks(loop.stepper.terms[0].objective, lambda x: x * math.nan)
    broken.broken = True
    loop.stepper.terms = (WeightedTerm(broken),)
    with pytest.raises(TrainingFault, match="loss is nan; in evaluation"):
        loop.stepper.evaluate(split(loop.groups, 1000))
