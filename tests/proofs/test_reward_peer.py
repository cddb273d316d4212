"""Our Bradley-Terry loss against ``RewardTrainer.compute_loss`` of TRL, executed as it is."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from toy import pairs

from charter.objectives.base import NO_STATS, Scored
from charter.objectives.reward import BradleyTerry
from charter.training.batch import MicroBatch

MARGINS = [0.0, 0.5, 1.0, 0.25, 2.0, 0.0, 0.75, 1.5]


def theirs(rewards_B: Tensor, margins: list[float] | None, center: float | None) -> Tensor:
    trl = pytest.importorskip("trl", reason="TRL is a development dependency")
    trainer = SimpleNamespace(
        model=SimpleNamespace(training=False),
        args=SimpleNamespace(center_rewards_coefficient=center),
        accelerator=SimpleNamespace(gather=lambda x: x, gather_for_metrics=lambda x: x),
        _metrics={"eval": defaultdict(list)},
        _total_train_tokens=0,
    )
    inputs: dict[str, Any] = {} if margins is None else {"margin": torch.tensor(margins)}

    def model(**given: Any) -> SimpleNamespace:
        chosen_first = torch.cat([rewards_B[0::2], rewards_B[1::2]])
        return SimpleNamespace(logits=chosen_first[:, None])

    model_with_inputs: Any = model
    loss: Tensor = trl.RewardTrainer.compute_loss(trainer, model_with_inputs, inputs)
    return loss


def ours(rewards_B: Tensor, margins: list[float] | None, center: float | None) -> Tensor:
    groups = [
        replace(group, judgements=(replace(group.judgements[0], value=margin),))
        for group, margin in zip(pairs(), margins or MARGINS, strict=True)
    ]
    layout = MicroBatch.of(groups).layout
    scored = Scored(layout, torch.zeros(len(rewards_B)), reward_BZ=rewards_B[:, None])
    objective = BradleyTerry(use_margin=margins is not None, center_rewards_coefficient=center)
    terms = objective(scored, NO_STATS)
    return sum((term.total / term.count for term in terms.values()), torch.zeros(()))


@pytest.mark.parametrize("margins", [None, MARGINS], ids=["plain", "margins"])
@pytest.mark.parametrize("center", [None, 0.01])
def test_bradley_terry_agrees_with_trl(margins: list[float] | None, center: float | None) -> None:
    rewards_B = torch.randn(2 * len(MARGINS), generator=torch.Generator().manual_seed(1))
    values, gradients = [], []
    for side in (ours, theirs):
        leaf_B = rewards_B.clone().requires_grad_()
        loss = side(leaf_B, margins, center)
        values.append(float(loss.detach()))
        gradients.append(torch.autograd.grad(loss, leaf_B)[0])
    assert values[0] == pytest.approx(values[1], rel=1e-6)
    torch.testing.assert_close(*gradients, rtol=1e-5, atol=1e-7)
