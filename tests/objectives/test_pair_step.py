"""Every pair entry through the stepper, on a tiny model: splits and order change nothing; it trains."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from pair_setup import ENTRIES
from torch import Tensor

from charter.catalogue.entry import Entry
from charter.data.formats import load_groups
from charter.data.prepare import prepare
from charter.models.load import load
from charter.models.trainable import prepare_for_training
from charter.testing import save_tiny
from charter.training.batch import Columns, MicroBatch, split
from charter.training.optimizer import make_optimizer
from charter.training.references import Moving
from charter.training.scoring import Scorer
from charter.training.step import Stepper
from charter.training.terms import terms_of
from charter.types import Group

ROWS = [
    {
        "prompt": f"Say {'abc' * (i % 3)} {i}",
        "chosen": f"yes {i} {'ok ' * (i % 3)}!",
        "rejected": f"no {'never ' * (i % 4)}{i}",
        "weight": 1.0 + i % 2,
        "probability": 1.0 if i % 3 else 0.8,
    }
    for i in range(6)
]
OPTIONS: dict[str, dict[str, Any]] = {
    "dpo": {
        "loss_type": ("sigmoid", "aot", "sft"),
        "loss_weights": (1.0, 0.5, 0.1),
        "use_weighting": False,
        "ld_alpha": 0.4,
    },
}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save_tiny(str(tmp_path_factory.mktemp("tiny")))


def stepper_of(model: str, entry: Entry) -> tuple[Stepper, tuple[Group, ...], Columns]:
    """A policy that has left its reference, and groups to train it on."""
    options = entry.options(bf16=False, **OPTIONS.get(entry.name, {}))
    policy = load(model, bf16=False)
    prepare_for_training(policy, options)
    terms = terms_of(entry, options)
    needs = frozenset(need for term in terms for need in term.objective.needs)
    reference = Moving(policy, 0.5, 1)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in policy.trainable().values():
            parameter += 0.02 * torch.randn(parameter.shape, generator=generator)
    groups = prepare(load_groups(ROWS, entry.data), policy.template).groups
    optimizer = make_optimizer(policy.trainable(), options)
    stepper = Stepper(policy, terms, optimizer, Scorer(policy, needs, reference), 1.0)
    return stepper, groups, Columns.of(groups, needs)


def measured(stepper: Stepper, batches: Sequence[MicroBatch]) -> tuple[dict[str, float], dict[str, Tensor]]:
    metrics = stepper._accumulate(batches)
    grads = {n: p.grad.clone() for n, p in stepper.policy.trainable().items() if p.grad is not None}
    stepper.optimizer.zero_grad()
    return metrics, grads


@pytest.mark.parametrize("name", ENTRIES)
def test_splits_and_order_change_nothing(tiny: str, name: str) -> None:
    stepper, groups, columns = stepper_of(tiny, ENTRIES[name])
    metrics, grads = measured(stepper, split(groups, 100_000, columns))
    shuffled = list(groups)
    random.Random(1).shuffle(shuffled)
    uneven = [MicroBatch.of(shuffled[:1], columns), MicroBatch.of(shuffled[1:], columns)]
    for batches in (split(groups, 1, columns), uneven):
        assert len(batches) > 1
        other_metrics, other_grads = measured(stepper, batches)
        for metric in metrics.keys() - {"tokens_computed"}:
            assert other_metrics[metric] == pytest.approx(metrics[metric], rel=2e-5, abs=1e-6), metric
        assert grads and grads.keys() == other_grads.keys()
        for key, grad in grads.items():
            # DiscoPOP divides by its temperature, which multiplies the last bits by 20.
            bits = 2e-4 if name == "discopop" else 1e-5
            assert (grad - other_grads[key]).abs().max() <= bits * grad.abs().max() + 1e-9, key
    assert max(float(grad.abs().max()) for grad in grads.values()) > 0


@pytest.mark.parametrize("name", [n for n in ENTRIES if n != "discopop"])
def test_a_few_steps_lower_the_loss(tiny: str, name: str) -> None:
    stepper, groups, columns = stepper_of(tiny, ENTRIES[name])
    batches = split(groups, 100_000, columns)
    before = stepper.evaluate(batches)["loss"]
    for _ in range(4):
        stepper.step(batches, 1e-3)
    assert stepper.evaluate(batches)["loss"] < before
