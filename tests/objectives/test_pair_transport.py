"""Alignment by optimal transport: what it compares, in any split and any numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import permutations
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pair_setup import prepared, step_loss
from torch import Tensor

from charter.objectives.base import Scored, Stats
from charter.objectives.preference import DPO
from charter.objectives.transport import AOTUnpaired, monotone_coupling

Batch = Callable[..., Scored]
LENGTHS = [3, 1, 4, 2, 1, 5, 2, 2]
weights = st.lists(st.integers(0, 4).map(float), min_size=1, max_size=6).filter(any)


def random(seed: int, count: int = sum(LENGTHS)) -> Tensor:
    return -3 * torch.rand(count, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def split_loss(objective: Any, parts: list[Scored]) -> tuple[float, list[Tensor]]:
    """Loss of a step in micro-batches as the loop computes it, and the gradient of each part."""
    found = [objective.prepare(part.detached()) for part in parts]
    whole = {name: torch.cat([one[name] for one in found]) for name in found[0]}
    (name,) = objective.counts(parts[0].layout)
    count = sum(objective.counts(part.layout)[name] for part in parts)
    start, loss, grads = dict.fromkeys(whole, 0), 0.0, []
    for part, one in zip(parts, found, strict=True):
        own = {key: slice(start[key], start[key] + len(value)) for key, value in one.items()}
        start = {key: place.stop for key, place in own.items()}
        total = objective(part, Stats(whole, own))[name].total / count
        loss += float(total.detach())
        grads.append(torch.autograd.grad(total, part.logps_N)[0])
    return loss, grads


# -- the coupling ----------------------------------------------------------------------


@given(left=weights, right=weights)
def test_the_coupling_has_the_right_margins_and_is_monotone(left: list[float], right: list[float]) -> None:
    values, others = random(0, len(left)), random(1, len(right))
    i_K, j_K, mass_K = monotone_coupling(values, torch.tensor(left), others, torch.tensor(right))
    for index_K, given_weights in ((i_K, left), (j_K, right)):
        wanted = torch.tensor(given_weights).double() / sum(given_weights)
        found = torch.zeros_like(wanted).index_add(0, index_K, mass_K)
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-9)
    assert (values[i_K].diff() >= 0).all() and (others[j_K].diff() >= 0).all()


def test_no_other_pairing_costs_less() -> None:
    """For a convex cost of the difference, sorting is optimal: every permutation of 5 was tried."""
    left, right = random(0, 5), random(1, 5)
    ones = torch.ones(5)
    i_K, j_K, mass_K = monotone_coupling(left, ones, right, ones)
    cost = float((mass_K * (left[i_K] - right[j_K]).square()).sum())
    assert cost == pytest.approx(
        min(float((left - right[list(order)]).square().mean()) for order in permutations(range(5)))
    )


def test_equal_counts_meet_rank_by_rank() -> None:
    left, right = random(0, 7), random(1, 7)
    i_K, j_K, mass_K = monotone_coupling(left, torch.ones(7), right, torch.ones(7))
    assert torch.equal(left[i_K], left.sort().values) and torch.equal(right[j_K], right.sort().values)
    torch.testing.assert_close(mass_K, torch.full_like(mass_K, 1 / 7))


# -- paired and unpaired -----------------------------------------------------------------


@pytest.mark.parametrize("loss_type", ["aot", "aot_unpaired"])
def test_with_one_pair_it_is_dpo(batch: Batch, loss_type: str) -> None:
    scored = batch(random(0, 5), random(1, 5), lengths=[2, 3])
    found = step_loss(DPO(0.3, loss_type), scored)
    assert float(found) == pytest.approx(float(step_loss(DPO(0.3), scored)), rel=1e-12)


@pytest.mark.parametrize("loss_type", ["aot", "aot_unpaired"])
@pytest.mark.parametrize("probability", [[1, 1, 1, 1], [1, 0.8, 0.5, 0.9]], ids=["hard", "soft"])
@pytest.mark.parametrize("cut", [1, 2, 3])
def test_any_split_of_a_step_is_the_step(
    batch: Batch, loss_type: str, probability: list[float], cut: int
) -> None:
    weight = [1.0, 2.0, 0.5, 1.5]

    def part(first: int, last: int) -> Scored:
        tokens = slice(sum(LENGTHS[: 2 * first]), sum(LENGTHS[: 2 * last]))
        return batch(
            random(0)[tokens].requires_grad_(),
            random(1)[tokens],
            lengths=LENGTHS[2 * first : 2 * last],
            probability=probability[first:last],
            weight=weight[first:last],
        )

    objective = DPO(0.3, loss_type, label_smoothing=0.1)
    loss, (grad_N,) = split_loss(objective, [part(0, 4)])
    parts_loss, grads = split_loss(objective, [part(0, cut), part(cut, 4)])
    assert parts_loss == pytest.approx(loss, rel=1e-12)
    torch.testing.assert_close(torch.cat(grads), grad_N)


@pytest.mark.parametrize("loss_type", ["aot", "aot_unpaired"])
def test_sorting_each_micro_batch_alone_would_give_another_loss(batch: Batch, loss_type: str) -> None:
    objective, own, ref = DPO(2.0, loss_type), random(4), random(14)
    whole = batch(own, ref, lengths=LENGTHS)
    halves = [
        batch(own[:10], ref[:10], lengths=LENGTHS[:4]),
        batch(own[10:], ref[10:], lengths=LENGTHS[4:]),
    ]
    mean_of_halves = sum(float(step_loss(objective, half)) for half in halves) / 2
    assert mean_of_halves != pytest.approx(float(step_loss(objective, whole)), rel=1e-2)


def labelled(batch: Batch, labels: list[float], logps_N: Tensor, ref_N: Tensor, lengths: list[int]) -> Scored:
    scored = batch(logps_N, ref_N, lengths=lengths, pairs=[])
    value_B = torch.tensor(labels, dtype=torch.float64)
    return replace(scored, layout=replace(scored.layout, value_BZ=value_B[:, None]))


def test_labelled_answers_are_pairs_taken_apart(batch: Batch) -> None:
    """The entry on labelled rows is TRL's loss on the pairs they came from."""
    pairs = batch(random(0), random(1), lengths=LENGTHS)
    apart = labelled(batch, [1.0, 0.0] * 4, random(0), random(1), LENGTHS)
    found, wanted = (
        step_loss(AOTUnpaired(0.3, 0.1), apart),
        step_loss(DPO(0.3, "aot_unpaired", None, 0.1), pairs),
    )
    assert float(found) == pytest.approx(float(wanted), rel=1e-12)


def test_unequal_numbers_compare_quantiles(batch: Batch) -> None:
    """Two good answers against one bad one: both are held against it, each with half its mass."""
    scored = labelled(batch, [1.0, 0.0, 1.0], random(0, 3), random(1, 3), [1, 1, 1])
    good, bad = scored.logratios_B[[0, 2]], scored.logratios_B[1]
    wanted = -torch.nn.functional.logsigmoid(0.3 * (good - bad)).mean()
    assert float(step_loss(AOTUnpaired(0.3), scored)) == pytest.approx(float(wanted), rel=1e-12)


def test_every_answer_twice_changes_nothing(batch: Batch) -> None:
    labels, lengths = [1.0, 0.0, 1.0, 1.0, 0.0], LENGTHS[:5]
    tokens = sum(lengths)
    once = labelled(batch, labels, random(0, tokens), random(1, tokens), lengths)
    twice = labelled(batch, labels * 2, random(0, tokens).repeat(2), random(1, tokens).repeat(2), lengths * 2)
    objective = AOTUnpaired(0.3)
    assert float(step_loss(objective, once)) == pytest.approx(float(step_loss(objective, twice)), rel=1e-12)


@pytest.mark.parametrize("cut", [1, 2, 4, 7])
def test_labelled_answers_in_any_split_even_of_one_kind(batch: Batch, cut: int) -> None:
    labels = [1.0, 1.0, 0.0, 1.0, 0.0, 1.0, 1.0, 0.0]

    def part(first: int, last: int) -> Scored:
        tokens = slice(sum(LENGTHS[:first]), sum(LENGTHS[:last]))
        return labelled(
            batch,
            labels[first:last],
            random(0)[tokens].requires_grad_(),
            random(1)[tokens],
            LENGTHS[first:last],
        )

    loss, (grad_N,) = split_loss(AOTUnpaired(0.3), [part(0, 8)])
    parts_loss, grads = split_loss(AOTUnpaired(0.3), [part(0, cut), part(cut, 8)])
    assert parts_loss == pytest.approx(loss, rel=1e-12)
    torch.testing.assert_close(torch.cat(grads), grad_N)
    assert all(
        (g < 0).all() if y else (g > 0).all() for g, y in zip(grad_N.split(LENGTHS), labels, strict=True)
    )


@pytest.mark.parametrize("label", [1.0, 0.0])
def test_a_step_of_one_kind_trains_nothing(batch: Batch, label: float) -> None:
    logps_N = random(0, 4).requires_grad_()
    scored = labelled(batch, [label, label], logps_N, random(1, 4), [2, 2])
    objective = AOTUnpaired(0.3)
    (term,) = objective(scored, prepared(objective, scored)).values()
    assert float(term.total) == 0.0 and term.count == 2 * label
    assert torch.autograd.grad(term.total, logps_N)[0].abs().max() == 0


def test_gradient_in_float64(batch: Batch) -> None:
    def loss(logps_N: Tensor) -> Tensor:
        return step_loss(
            AOTUnpaired(0.3, 0.1), labelled(batch, [1.0, 0.0, 1.0, 0.0] * 2, logps_N, random(1), LENGTHS)
        )

    assert torch.autograd.gradcheck(loss, random(0).requires_grad_())
