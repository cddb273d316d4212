"""Policy-gradient objectives through the stepper, on a tiny model: splits and order change nothing."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from charter.catalogue.options import TrainOptions
from charter.data.formats import load_groups
from charter.data.packing import scored_tokens
from charter.data.prepare import prepare
from charter.models.load import load
from charter.models.trainable import prepare_for_training
from charter.objectives.entropy_bonus import EntropyBonus
from charter.objectives.nash import NashMD
from charter.objectives.p3o import P3O
from charter.objectives.policy_gradient import RLOO, ClippedSurrogate, Reinforce
from charter.objectives.ppo_penalty import PPOPenalty
from charter.objectives.xpo import XPO
from charter.testing import save_tiny
from charter.training.batch import Columns, MicroBatch, split
from charter.training.experience import own_logps
from charter.training.optimizer import make_optimizer
from charter.training.references import Moving
from charter.training.scoring import Scorer
from charter.training.step import Stepper, WeightedTerm
from charter.types import Credit, Group, Judgement, Sample, SampleTarget

ROWS = [
    {"prompt": f"Say {'abc' * (i % 3)} {i}", "chosen": f"yes {i} {'ok ' * (i % 3)}!", "rejected": f"no {i}"}
    for i in range(6)
]
OPTIONS = TrainOptions(bf16=False)
METHODS: dict[str, tuple[Any, ...]] = {
    "grpo": (ClippedSurrogate("grpo", beta=0.1),),
    "dapo": (ClippedSurrogate("dapo", 0.01, 0.02, importance_sampling_correction=True),),
    "dr_grpo": (ClippedSurrogate("dr_grpo", max_completion_length=32),),
    "gspo": (ClippedSurrogate("grpo", importance_sampling_level="sequence"),),
    "cispo": (ClippedSurrogate("cispo"),),
    "ppo": (ClippedSurrogate("dapo"), EntropyBonus()),
    "ppo_penalty": (PPOPenalty(0.5),),
    "ppo_penalty_clipped": (PPOPenalty(0.5, epsilon=0.01),),
    "reinforce": (Reinforce(),),
    "rloo": (RLOO(),),
    "p3o": (P3O("joint", beta=0.05),),
    "nash": (NashMD(0.1),),
    "xpo": (XPO(0.1, 0.1),),
}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save_tiny(str(tmp_path_factory.mktemp("tiny")))


def as_rollouts(group: Group, generator: torch.Generator, old: Sequence[list[float]]) -> Group:
    """A pair as if it had been sampled, rewarded and scored; the reference wrote the second."""
    samples: list[Sample] = []
    for index, sample in enumerate(group.samples):
        count = scored_tokens(sample)
        advantage = float(torch.randn((), generator=generator))
        noise = (0.02 * torch.randn(count, generator=generator)).tolist()
        credit = Credit((advantage,) * count, tuple(a + b for a, b in zip(old[index], noise, strict=True)))
        completion = replace(
            sample.completion,
            logps=(-2.0,) * len(sample.completion.token_ids),
            sampled_by="reference" if index else "policy",
            weight_version=4,
        )
        samples.append(replace(sample, completion=completion, credit=credit))
    said = [
        Judgement(SampleTarget(i), float(torch.rand((), generator=generator)), judge="reward")
        for i in range(len(samples))
    ]
    return replace(group, samples=tuple(samples)).with_judgements(*said)


def stepper_of(model: str, name: str) -> tuple[Stepper, list[Group], Columns]:
    policy = load(model, bf16=False)
    prepare_for_training(policy, OPTIONS)
    terms = [WeightedTerm(objective) for objective in METHODS[name]]
    needs = frozenset(need for term in terms for need in term.objective.needs)
    reference = Moving(policy, 0.5, 1)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in policy.trainable().values():
            parameter += 0.02 * torch.randn(parameter.shape, generator=generator)
    pairs = prepare(load_groups(ROWS, "preference"), policy.template).groups
    groups = []
    for pair in pairs:
        batch = MicroBatch.of([pair])
        with torch.no_grad():
            logps_N = own_logps(policy, batch, 1.0)
        old = [logps_N[batch.layout.sample_N == i].tolist() for i in range(2)]
        groups.append(as_rollouts(pair, generator, old))
    scorer = Scorer(policy, needs, reference)
    optimizer = make_optimizer(policy.trainable(), OPTIONS)
    return Stepper(policy, terms, optimizer, scorer, 1.0), groups, Columns.of(groups, needs)


def measured(stepper: Stepper, batches: Sequence[MicroBatch]) -> tuple[dict[str, float], dict[str, Tensor]]:
    metrics = stepper._accumulate(batches)
    grads = {n: p.grad.clone() for n, p in stepper.policy.trainable().items() if p.grad is not None}
    stepper.optimizer.zero_grad()
    return metrics, grads


@pytest.mark.parametrize("name", METHODS)
def test_splits_and_order_change_nothing(tiny: str, name: str) -> None:
    stepper, groups, columns = stepper_of(tiny, name)
    metrics, grads = measured(stepper, split(groups, 100_000, columns))
    shuffled = list(groups)
    random.Random(1).shuffle(shuffled)
    uneven = [MicroBatch.of(shuffled[:1], columns), MicroBatch.of(shuffled[1:], columns)]
    for batches in (split(groups, 1, columns), uneven):
        assert len(batches) > 1
        other_metrics, other_grads = measured(stepper, batches)
        assert metrics.keys() == other_metrics.keys()
        for metric in metrics.keys() - {"tokens_computed"}:
            assert other_metrics[metric] == pytest.approx(metrics[metric], rel=2e-5, abs=2e-6), metric
        assert grads and grads.keys() == other_grads.keys()
        for key, grad in grads.items():
            assert (grad - other_grads[key]).abs().max() <= 2e-5 * grad.abs().max() + 1e-9, key
    assert max(float(grad.abs().max()) for grad in grads.values()) > 0


MEASURED_BY = {"cispo": Reinforce("token_mean"), "p3o": P3O("none", beta=0.05)}
"""Where a weight without gradient changes the loss beside the step, what the step is down."""


@pytest.mark.parametrize("name", METHODS)
def test_steps_go_down(tiny: str, name: str) -> None:
    stepper, groups, columns = stepper_of(tiny, name)
    batches = split(groups, 100_000, columns)
    terms = stepper.terms
    measure = (WeightedTerm(MEASURED_BY[name]),) if name in MEASURED_BY else terms

    def loss() -> float:
        stepper.terms = measure
        found = stepper.evaluate(batches)["loss"]
        stepper.terms = terms
        return found

    before = loss()
    for _ in range(3):
        stepper.step(batches, 1e-4)
    assert loss() < before


def test_the_batch_knows_who_wrote_what(tiny: str) -> None:
    _, groups, columns = stepper_of(tiny, "xpo")
    layout = MicroBatch.of(groups, columns).layout
    assert layout.by_reference_B.tolist() == [False, True] * len(groups)
    assert layout.version_B.tolist() == [4] * 2 * len(groups)


def test_extremes_and_deviations_are_of_the_whole_step(tiny: str) -> None:
    stepper, groups, columns = stepper_of(tiny, "dapo")
    found, _ = measured(stepper, split(groups, 1, columns))
    scored = stepper.scorer(MicroBatch.of(groups, columns)).detached()
    ratio_N = (scored.logps_N - scored.need("old_logps_N")).exp()
    assert found["ratio/max"] == pytest.approx(float(ratio_N.max()), rel=1e-5)
    deviation = float(scored.need("advantage_N").std(correction=0))
    assert found["advantages/std"] == pytest.approx(deviation, rel=1e-5)
