"""How a step is split, packed or ordered changes nothing but the last bits."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor
from training_setup import assert_close, make_loop, metrics_of, weights_of

from charter.data.packing import stream_length
from charter.training.batch import MicroBatch, split
from charter.training.loop import Loop
from charter.types import Group, Judgement, PairTarget


@pytest.mark.parametrize("algorithm", ["sft", "dpo"])
@pytest.mark.parametrize(
    "changes",
    [
        {"tokens_per_microbatch": 1},
        {"tokens_per_microbatch": 150},
        {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 4},
        {"per_device_train_batch_size": 1, "gradient_accumulation_steps": 8, "tokens_per_microbatch": 1},
    ],
    ids=["one-group", "few-groups", "2x4", "1x8"],
)
def test_splits_of_a_step_train_the_same_weights(
    algorithm: str, changes: dict[str, int], tiny: str, tmp_path: Path
) -> None:
    whole = make_loop(
        tiny,
        tmp_path / "whole",
        algorithm,
        max_steps=3,
        per_device_train_batch_size=8,
        tokens_per_microbatch=100_000,
    )
    parts = make_loop(
        tiny, tmp_path / "parts", algorithm, max_steps=3, **{"per_device_train_batch_size": 8, **changes}
    )
    whole.run()
    parts.run()
    for one, other in zip(metrics_of(tmp_path / "whole"), metrics_of(tmp_path / "parts"), strict=True):
        for name in one.keys() - {"tokens_computed"}:
            assert one[name] == pytest.approx(other[name], rel=2e-5, abs=2e-6), name
    assert_close(weights_of(whole.policy), weights_of(parts.policy), atol=1e-5)


def gradient(loop: Loop, batches: Sequence[MicroBatch]) -> dict[str, Tensor]:
    loop.stepper._accumulate(batches)
    found = {n: p.grad.clone() for n, p in loop.policy.trainable().items() if p.grad is not None}
    loop.optimizer.zero_grad()
    return found


def assert_same_gradient(left: dict[str, Tensor], right: dict[str, Tensor]) -> None:
    assert left.keys() == right.keys() and left
    for name, value in left.items():
        assert (value - right[name]).abs().max() <= 2e-6 * value.abs().max(), name


@pytest.fixture
def trained(tiny: str, tmp_path: Path) -> Loop:
    """A DPO run away from its start, where the gradient is not special."""
    loop = make_loop(tiny, tmp_path, "dpo", max_steps=2, learning_rate=1e-4)
    loop.run()
    return loop


def test_the_order_of_groups_does_not_change_the_gradient(trained: Loop) -> None:
    groups = list(trained.groups)
    expected = gradient(trained, split(groups, 400))
    random.Random(0).shuffle(groups)
    assert_same_gradient(gradient(trained, [MicroBatch.of(groups[:3]), MicroBatch.of(groups[3:])]), expected)


def test_the_order_of_samples_in_a_group_does_not_change_the_gradient(trained: Loop) -> None:
    expected = gradient(trained, split(trained.groups, 400))
    assert_same_gradient(gradient(trained, split([turned(g) for g in trained.groups], 400)), expected)


def turned(group: Group) -> Group:
    """The same group with its samples the other way round."""

    def moved(said: Judgement) -> Judgement:
        assert isinstance(said.target, PairTarget)
        return replace(said, target=PairTarget(1 - said.target.better, 1 - said.target.worse))

    return replace(group, samples=group.samples[::-1], judgements=tuple(map(moved, group.judgements)))


def test_a_pair_read_the_wrong_way_round_changes_the_gradient(trained: Loop) -> None:
    """The checks above would see it."""
    expected = gradient(trained, split(trained.groups, 400))
    swapped = [replace(g, samples=g.samples[::-1]) for g in trained.groups]
    found = gradient(trained, split(swapped, 400))
    assert any(
        (found[name] - value).abs().max() > 0.1 * value.abs().max() for name, value in expected.items()
    )


def test_the_loss_of_sft_is_a_mean_over_tokens_not_over_rows(tiny: str, tmp_path: Path) -> None:
    loop = make_loop(tiny, tmp_path, "sft")
    batches = split(loop.groups, 1)
    whole = loop.stepper.evaluate(batches)
    alone = [loop.stepper.evaluate([batch]) for batch in batches]
    tokens = [row["tokens_scored"] for row in alone]
    assert len(set(tokens)) > 1
    mean = sum(row["loss"] * n for row, n in zip(alone, tokens, strict=True)) / sum(tokens)
    assert whole["loss"] == pytest.approx(mean, rel=1e-6)
    assert whole["loss"] != pytest.approx(sum(row["loss"] for row in alone) / len(alone), rel=1e-4)


def test_micro_batches_keep_groups_whole_and_within_the_budget(trained: Loop) -> None:
    groups = trained.groups
    for tokens in (1, 60, 200, 10_000):
        batches = split(groups, tokens)
        assert sum(len(b.samples) for b in batches) == 2 * len(groups)
        for batch in batches:
            assert len(batch.samples) == 2 or len(batch.packed.input_ids_T) <= tokens
            for better, worse in batch.layout.pairs_P2.tolist():
                assert batch.samples[better].context == batch.samples[worse].context
    assert len(split(groups, 1)) == len(groups)
    assert len(split(groups, 10_000)) == 1
    lengths = [stream_length(group) for group in groups]
    assert sum(lengths) >= len(split(groups, 10_000)[0].packed.input_ids_T)


def test_only_judged_pairs_are_trained(trained: Loop) -> None:
    group = trained.groups[0]
    abstained = Judgement(PairTarget(1, 0), verdict="abstained")
    layout = MicroBatch.of([replace(group, judgements=(*group.judgements, abstained))]).layout
    assert layout.pairs_P2.tolist() == [[0, 1]]
    assert layout.weight_P.tolist() == [1.0]
    weighted = replace(group.judgements[0], weight=0.5, probability=0.75, value=2.0)
    layout = MicroBatch.of([replace(group, judgements=(weighted,))]).layout
    assert (layout.weight_P.item(), layout.probability_P.item(), layout.margin_P.item()) == (0.5, 0.75, 2.0)


def test_the_weight_of_a_pair_is_its_share_of_the_mean(trained: Loop) -> None:
    one, two = trained.groups[:2]
    heavy = replace(one, judgements=(replace(one.judgements[0], weight=3.0),))
    found = trained.stepper.evaluate(split([heavy, two], 10_000))["loss"]
    alone = [trained.stepper.evaluate(split([g], 10_000))["loss"] for g in (one, two)]
    assert found == pytest.approx((3 * alone[0] + alone[1]) / 4, rel=1e-5)


def test_sharing_prefixes_saves_tokens(tiny: str, tmp_path: Path) -> None:
    loop = make_loop(tiny, tmp_path, "dpo", max_steps=1)
    loop.run()
    (row,) = metrics_of(tmp_path)
    assert row["tokens_computed"] < 0.6 * row["tokens"]
    assert torch.isfinite(torch.tensor(row["loss"]))
