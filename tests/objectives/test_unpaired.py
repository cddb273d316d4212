from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MethodType, SimpleNamespace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from tiny_runs import asked, make_loop, said, step_of
from torch import Tensor

from charter.catalogue import ENTRIES, lookup
from charter.config import validate
from charter.errors import ConfigError
from charter.objectives.base import NO_STATS, Layout, Remembers, Scored, Stats
from charter.objectives.label_metrics import label_metrics
from charter.objectives.unpaired import BCO, KTO, bco_loss, kto_loss, reference_point
from charter.testing import save_tiny
from charter.training.batch import split
from charter.training.loop import Loop

LN2 = math.log(2)
NAMES = ("kto", "apo-zero-unpaired", "bco")
LENGTHS = (3, 1, 4, 2, 2, 5)
LABELS = (1.0, 0.0, 1.0, 0.0, 0.0, 1.0)


def random_logps(seed: int, size: int = sum(LENGTHS)) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return -3 * torch.rand(size, generator=generator, dtype=torch.float64)


def batch(
    own_N: Tensor,
    ref_N: Tensor,
    labels: Sequence[float] = LABELS,
    lengths: Sequence[int] = LENGTHS,
    weights: Sequence[float] | None = None,
) -> Scored:
    size = len(lengths)
    layout = Layout(
        sample_N=torch.repeat_interleave(torch.arange(size), torch.tensor(lengths)),
        num_samples=size,
        group_B=torch.arange(size),
        part_B=torch.zeros(size, dtype=torch.long),
        value_BZ=torch.tensor(labels, dtype=own_N.dtype)[:, None],
        weight_B=torch.tensor(weights or [1.0] * size, dtype=own_N.dtype),
    )
    return Scored(layout, own_N, ref_N)


def one_token(logratios: Sequence[float], labels: Sequence[float], **more: Any) -> Scored:
    """Answers whose log-ratios are given."""
    own = torch.tensor(logratios, dtype=torch.float64, requires_grad=True)
    return batch(own, torch.zeros_like(own), labels, [1] * len(labels), **more)


def stats_of(*parts: Mapping[str, Tensor]) -> Stats:
    """What the loop makes of the micro-batches' statistics."""
    whole = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
    return Stats(whole, {name: slice(0, len(value)) for name, value in whole.items()})


def mismatched(*logratios: float) -> Stats:
    return stats_of({"mismatched": torch.tensor(logratios, dtype=torch.float64)})


def prepared(objective: KTO | BCO, scored: Scored) -> Stats:
    """Statistics of a step that holds ``scored`` alone; mismatched answers are 0.3 nats off."""
    if isinstance(objective, KTO):
        return mismatched(0.5, -0.1, 0.5) if objective.loss_type == "kto" else NO_STATS
    stats = stats_of(objective.prepare(scored.detached()))
    objective.update(stats)
    return stats


def loss_of(objective: KTO | BCO, scored: Scored, stats: Stats | None = None) -> Tensor:
    (term,) = objective(scored, prepared(objective, scored) if stats is None else stats).values()
    (count,) = objective.counts(scored.layout).values()
    assert term.count == count
    return term.total / count


def value_of(objective: KTO | BCO, scored: Scored, stats: Stats | None = None) -> float:
    return float(loss_of(objective, scored, stats).detach())


MADE: dict[str, Callable[[], KTO | BCO]] = {
    "kto": lambda: KTO(0.4, "kto", 1.3, 0.8),
    "apo-zero-unpaired": lambda: KTO(0.4, "apo_zero_unpaired", 1.3, 0.8),
    "bco": lambda: BCO(0.4),
}
each = pytest.mark.parametrize("name", NAMES)


# -- the formulas -------------------------------------------------------------------------


def test_gradients_are_those_of_the_values() -> None:
    labels = torch.tensor(LABELS) == 1
    x_B = random_logps(3, len(LABELS)).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: kto_loss(x, labels, 0.3, 0.7), x_B)
    assert torch.autograd.gradcheck(lambda x: bco_loss(x, labels, 0.3), x_B)


@each
def test_gradient_of_the_whole_objective(name: str) -> None:
    own, ref = random_logps(0).requires_grad_(), random_logps(1)
    objective = MADE[name]()
    stats = prepared(objective, batch(own, ref))
    assert torch.autograd.gradcheck(lambda x: loss_of(objective, batch(x, ref), stats), own)


def test_kto_is_the_published_formula() -> None:
    x_B = random_logps(2, 4)
    desirable = torch.tensor([True, False, True, False])
    expected = torch.where(
        desirable, 1 - torch.sigmoid(0.5 * (x_B - 0.2)), 1 - torch.sigmoid(0.5 * (0.2 - x_B))
    )
    torch.testing.assert_close(kto_loss(x_B, desirable, 0.2, 0.5), expected)


def test_kto_at_reference_point_0_is_apo_zero() -> None:
    scored = batch(random_logps(0), random_logps(1))
    kto, apo = KTO(0.5), KTO(0.5, "apo_zero_unpaired")
    assert value_of(kto, scored, mismatched(-1.0, 0.5)) == value_of(apo, scored, NO_STATS)


def test_a_pair_of_answers_taken_apart_is_half_of_apo_zero() -> None:
    from charter.objectives.pair_losses import apo_zero

    better, worse = torch.tensor([0.7, -0.4]).double(), torch.tensor([-0.2, 1.1]).double()
    scored = one_token([0.7, -0.4, -0.2, 1.1], [1, 1, 0, 0])
    paired = apo_zero(better, worse, 0.3).mean()
    assert value_of(KTO(0.3, "apo_zero_unpaired"), scored) == pytest.approx(float(paired) / 2)


def test_digits_survive_far_from_the_reference() -> None:
    """``1 - sigmoid(50)`` is 0 in floating point; the loss and its gradient are not."""
    far = torch.tensor([50.0, -50.0], dtype=torch.float64, requires_grad=True)
    loss = kto_loss(far, torch.tensor([True, False]), 0.0, 1.0)
    assert loss.tolist() == pytest.approx([math.exp(-50)] * 2, rel=1e-9)
    (grad,) = torch.autograd.grad(loss.sum(), far)
    assert grad.tolist() == pytest.approx([-math.exp(-50), math.exp(-50)], rel=1e-9)
    wrong = bco_loss(torch.tensor([-800.0, 800.0]), torch.tensor([True, False]), 0.0)
    assert wrong.tolist() == [800.0, 800.0]


# -- limits --------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "expected"), [("kto", 0.5), ("apo-zero-unpaired", 0.5), ("bco", LN2)])
def test_loss_where_the_policy_is_its_reference(name: str, expected: float) -> None:
    logps = random_logps(0)
    (spec,) = lookup(name).terms
    objective = {"KTO": KTO, "BCO": BCO}[spec.objective.rpartition(":")[2]](**spec.fixed)
    scored = batch(logps, logps.clone())
    stats = mismatched(0.0) if name == "kto" else None
    assert value_of(objective, scored, stats) == pytest.approx(expected, rel=1e-12)


def test_kto_at_the_reference_is_half_the_mean_lambda() -> None:
    logps = random_logps(0)
    found = loss_of(
        KTO(0.1, "kto", 1.3, 0.8), batch(logps, logps.clone(), (*LABELS[:-1], 0.0)), mismatched(0)
    )
    assert float(found) == pytest.approx(0.5 * (2 * 1.3 + 4 * 0.8) / 6)


@each
def test_desirable_answers_are_raised_and_undesirable_ones_lowered(name: str) -> None:
    own = random_logps(0).requires_grad_()
    (grad,) = torch.autograd.grad(loss_of(MADE[name](), batch(own, random_logps(1))), own)
    owner = torch.repeat_interleave(torch.tensor(LABELS), torch.tensor(LENGTHS))
    assert (grad[owner == 1] < 0).all() and (grad[owner == 0] > 0).all()


@each
def test_flipped_labels_are_not_the_negated_loss(name: str) -> None:
    own, ref = random_logps(0), random_logps(1)
    one = loss_of(MADE[name](), batch(own, ref))
    other = loss_of(MADE[name](), batch(own, ref, [1 - label for label in LABELS]))
    assert float(one) > 0 and float(other) > 0 and float(one) != pytest.approx(float(other))


@each
@pytest.mark.parametrize("label", [0.0, 1.0])
def test_one_kind_alone_is_trained(name: str, label: float) -> None:
    own = random_logps(0).requires_grad_()
    loss = loss_of(MADE[name](), batch(own, random_logps(1), [label] * len(LABELS)))
    (grad,) = torch.autograd.grad(loss, own)
    assert torch.isfinite(loss) and (grad.sign() == (-1 if label else 1)).all()


# -- invariances ------------------------------------------------------------------------------


@each
def test_order_of_answers_changes_nothing(name: str) -> None:
    own, ref = random_logps(0), random_logps(1)
    order = [4, 0, 5, 2, 1, 3]

    def turned(x_N: Tensor) -> Tensor:
        parts = x_N.split(LENGTHS)
        return torch.cat([parts[i] for i in order])

    scored = batch(turned(own), turned(ref), [LABELS[i] for i in order], [LENGTHS[i] for i in order])
    assert value_of(MADE[name](), scored) == pytest.approx(value_of(MADE[name](), batch(own, ref)), rel=1e-12)


@each
def test_weight_2_is_the_answer_twice(name: str) -> None:
    twice = one_token([0.5, 0.5, -0.2, 0.9], [1, 1, 0, 0])
    weighted = one_token([0.5, -0.2, 0.9], [1, 0, 0], weights=[2.0, 1.0, 1.0])
    found = [value_of(MADE[name](), scored) for scored in (twice, weighted)]
    assert found[0] == pytest.approx(found[1], rel=1e-12)


@each
def test_unlabelled_answers_count_for_nothing(name: str) -> None:
    scored = one_token([0.5, 3.0, -0.2], [1, math.nan, 0])
    (grad,) = torch.autograd.grad(loss_of(MADE[name](), scored), scored.logps_N)
    assert grad[1] == 0 and grad[0] < 0 < grad[2]
    alone = value_of(MADE[name](), one_token([0.5, -0.2], [1, 0]))
    assert value_of(MADE[name](), scored) == pytest.approx(alone, rel=1e-12)


@each
def test_a_batch_without_labels_is_no_error(name: str) -> None:
    scored = one_token([0.5, -0.2], [math.nan, math.nan])
    objective = MADE[name]()
    (term,) = objective(scored, prepared(objective, scored)).values()
    assert (float(term.total.detach()), term.count) == (0.0, 0.0)


# -- the reference point ----------------------------------------------------------------------


def test_reference_point_is_clamped_after_the_mean_of_the_whole_step() -> None:
    """Clamped one by one the micro-batches would give (0 + 0.6) / 2."""
    parts = [torch.tensor([-0.5, -0.3]), torch.tensor([0.8, 0.4])]
    z0 = reference_point(stats_of(*({"mismatched": part} for part in parts)))
    assert z0 == pytest.approx(0.1)
    assert reference_point(mismatched(-0.5, 0.2)) == 0.0


def test_no_gradient_reaches_the_reference_point() -> None:
    side = one_token([0.4, 0.2], [math.nan, math.nan])
    objective = KTO(0.5)
    stats = stats_of(objective.prepare(side))  # even if the loop forgot to detach it
    scored = one_token([0.7, -0.2], [1, 0])
    loss_of(objective, scored, stats).backward()
    assert side.logps_N.grad is None
    assert scored.logps_N.grad is not None


def test_reference_point_moves_both_kinds_by_the_same() -> None:
    scored, shifted = one_token([0.7, -0.2], [1, 0]), one_token([0.9, 0.0], [1, 0])
    one, other = value_of(KTO(0.5), scored, mismatched(0.1)), value_of(KTO(0.5), shifted, mismatched(0.3))
    assert one == pytest.approx(other, rel=1e-12)


def test_kto_without_mismatched_answers_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"(?s)reference point.*with_mismatched"):
        loss_of(KTO(), one_token([0.7, -0.2], [1, 0]), NO_STATS)


# -- the reward shift -----------------------------------------------------------------------------


def rewards(desirable: Sequence[float], undesirable: Sequence[float]) -> Stats:
    found = {}
    for kind, values in (("desirable", desirable), ("undesirable", undesirable)):
        found[kind] = torch.tensor(values)
        found[f"{kind}/weight"] = torch.ones(len(values))
    return stats_of(found)


def test_delta_is_half_the_sum_of_both_moving_averages() -> None:
    objective = BCO(delta_decay=0.75)
    assert objective.delta == 0.0
    objective.update(rewards([1.0, 3.0], [0.5]))
    assert objective.delta == pytest.approx((2.0 + 0.5) / 2)
    objective.update(rewards([6.0], [-1.5]))
    assert objective.delta == pytest.approx((0.75 * 2 + 0.25 * 6 + 0.75 * 0.5 - 0.25 * 1.5) / 2)


def test_both_kinds_count_alike_in_delta_however_many_there_are() -> None:
    objective = BCO()
    objective.update(rewards([2.0], [-1.0] * 9))
    assert objective.delta == pytest.approx(0.5)
    pooled = (2.0 - 9.0) / 10
    assert objective.delta != pytest.approx(pooled)


def test_a_kind_that_a_step_lacks_keeps_its_mean() -> None:
    objective = BCO(delta_decay=0.5)
    objective.update(rewards([2.0], []))
    assert objective.delta == 1.0  # nothing is known of undesirable answers: the reference's 0
    objective.update(rewards([], [-4.0]))
    assert objective.delta == -1.0
    assert objective.state() == {"desirable": 2.0, "undesirable": -4.0}


def test_what_is_remembered_survives_a_file() -> None:
    first, second = BCO(), BCO()
    first.update(rewards([0.1, 1 / 3], [-0.7]))
    first.update(rewards([1.1], [-0.9]))
    second.load_state(json.loads(json.dumps(first.state())))
    assert second.delta == first.delta
    assert isinstance(first, Remembers)
    second.load_state({})
    assert second.delta == 0.0


def test_delta_does_not_depend_on_when_it_is_read() -> None:
    """It changes in update alone, which the loop does not call in evaluation."""
    objective, scored = BCO(0.4), batch(random_logps(0), random_logps(1))
    stats = prepared(objective, scored)
    before = objective.state()
    for _ in range(3):
        objective(scored, stats)
    objective.prepare(scored)
    assert objective.state() == before


# -- metrics ------------------------------------------------------------------------------------------


def test_metrics_are_means_over_their_own_kind() -> None:
    scored = one_token([0.5, -0.2, 0.4, 0.9], [1, 0, 0, 0], weights=[1.0, 1.0, 2.0, 1.0])
    found = {name: float(a / b) for name, (a, b) in label_metrics(scored, 0.1).items()}
    assert found["rewards/chosen"] == pytest.approx(0.05)
    assert found["rewards/rejected"] == pytest.approx(0.1 * (-0.2 + 0.8 + 0.9) / 4)
    assert found["logps/chosen"] == pytest.approx(0.5)
    assert found["length/rejected"] == 1.0


@each
def test_every_objective_reports_them_with_what_it_is_held_against(name: str) -> None:
    objective, scored = MADE[name](), batch(random_logps(0), random_logps(1))
    (term,) = objective(scored, prepared(objective, scored)).values()
    assert {*label_metrics(scored, 0.4)} <= term.ratios.keys()
    extra = {"kto": "kl/mismatched", "bco": "delta"}.get(name)
    if extra:
        above, below = term.ratios[extra]
        expected = 0.3 if isinstance(objective, KTO) else objective.delta
        assert float(above / below) == pytest.approx(expected)
    assert not any(x.requires_grad for pair in term.ratios.values() for x in pair)


def test_reading_metrics_first_does_not_cut_the_gradient() -> None:
    scored = batch(random_logps(0).requires_grad_(), random_logps(1))
    label_metrics(scored, 0.1)
    assert scored.logratios_B.requires_grad


# -- agreement with TRL -----------------------------------------------------------------------------------


class FakeModel(torch.nn.Module):
    """What KTOTrainer asks of a model: log-probs of the inputs it is shown."""

    is_gradient_checkpointing = False

    def __init__(self, answers: Tensor, others: Tensor) -> None:
        super().__init__()
        self.answers, self.others = answers, others

    def forward(self, input_ids: Tensor, **kwargs: Any) -> Any:
        log_probs = self.others if int(input_ids[0, 0]) else self.answers
        zeros = torch.zeros_like(log_probs).detach()
        return SimpleNamespace(log_probs=log_probs, entropy=zeros, mean_logits=zeros)


def trl_kto(own_N: Tensor, ref_N: Tensor, kl_B: Tensor, ref_kl_B: Tensor, **options: Any) -> Tensor:
    """``KTOTrainer._compute_loss`` as it is, on a trainer that has only what it reads."""
    trl = pytest.importorskip("trl.trainer.kto_trainer", reason="TRL is a development dependency")
    longest = max(LENGTHS)
    rows = torch.stack([F.pad(row, (0, longest - len(row))) for row in own_N.split(LENGTHS)])
    mask = torch.tensor([[0] + [1] * n + [0] * (longest - n) for n in LENGTHS])
    model = FakeModel(rows, torch.stack([kl_B, torch.zeros_like(kl_B)], dim=1))
    trainer = SimpleNamespace(
        model=model,
        accelerator=SimpleNamespace(device="cpu", gather_for_metrics=lambda x: x),
        aux_loss_enabled=False,
        precompute_ref_logps=True,
        calculate_KL=options["loss_type"] == "kto",
        _metrics={"train": defaultdict(list)},
        _total_train_tokens=0,
        _tp_size=1,
        **options,
    )
    trainer._compute_kl_logps = MethodType(trl.KTOTrainer._compute_kl_logps, trainer)
    kl_mask = torch.tensor([[0, 1, 1]] * len(LENGTHS))
    inputs = {
        "input_ids": torch.zeros_like(mask),
        "attention_mask": mask,
        "completion_mask": mask,
        "label": torch.tensor(LABELS) == 1,
        "ref_logps": torch.stack([row.sum() for row in ref_N.split(LENGTHS)]),
        "KL_input_ids": torch.ones_like(kl_mask),
        "KL_attention_mask": kl_mask,
        "KL_completion_mask": kl_mask,
        "ref_KL_logps": ref_kl_B,
    }
    if not trainer.calculate_KL:
        inputs = {name: value for name, value in inputs.items() if "KL" not in name}
    loss: Tensor = trl.KTOTrainer._compute_loss(trainer, model, inputs, False)
    return loss


@pytest.mark.parametrize("offset", [0.7, -0.7], ids=["reference point above 0", "clamped"])
@pytest.mark.parametrize("loss_type", ["kto", "apo_zero_unpaired"])
def test_kto_agrees_with_trl(loss_type: str, offset: float) -> None:
    own, ref = random_logps(0).requires_grad_(), random_logps(1)
    kl, ref_kl = random_logps(2, len(LENGTHS)) + offset, random_logps(3, len(LENGTHS))
    options: dict[str, Any] = {
        "beta": 0.6,
        "loss_type": loss_type,
        "desirable_weight": 1.2,
        "undesirable_weight": 0.7,
    }
    stats = stats_of({"mismatched": kl - ref_kl})
    assert (reference_point(stats) > 0) == (offset > 0)
    ours, theirs = loss_of(KTO(**options), batch(own, ref), stats), trl_kto(own, ref, kl, ref_kl, **options)
    assert float(ours.detach()) == pytest.approx(float(theirs.detach()), rel=1e-6)
    gradients = [torch.autograd.grad(loss, own)[0] for loss in (ours, theirs)]
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-6, atol=1e-9)


def trl_bco(
    own_B: Tensor, ref_B: Tensor, labels_B: Tensor, beta: float, delta: float, weight_B: Tensor
) -> Tensor:
    """``BCOTrainer.bco_loss`` (TRL up to 1.13) after its running mean, and the mean taken of it."""
    chosen_rewards = beta * (own_B[labels_B] - ref_B[labels_B])
    rejected_rewards = beta * (own_B[~labels_B] - ref_B[~labels_B])
    chosen_losses = -F.logsigmoid(chosen_rewards - delta)
    rejected_losses = -F.logsigmoid(-(rejected_rewards - delta))
    return torch.cat((chosen_losses, weight_B[~labels_B] * rejected_losses), dim=0).nanmean()


def test_bco_agrees_with_trl() -> None:
    """In a first step with as many of each kind, TRL's mean of all rewards is our shift."""
    own, ref = random_logps(0).requires_grad_(), random_logps(1)
    scored, objective = batch(own, ref), BCO(0.6)
    pooled = float(0.6 * scored.logratios_B.detach().mean())
    labels_B = torch.tensor(LABELS) == 1
    theirs = trl_bco(scored.logps_B, scored.ref_logps_B, labels_B, 0.6, pooled, torch.ones(6))
    ours = loss_of(objective, scored)
    assert objective.delta == pytest.approx(pooled, rel=1e-12)
    assert float(ours.detach()) == pytest.approx(float(theirs.detach()), rel=1e-6)
    gradients = [torch.autograd.grad(loss, own, retain_graph=True)[0] for loss in (ours, theirs)]
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-6, atol=1e-9)


def test_density_ratios_weigh_as_in_trl_up_to_the_scale_of_the_step() -> None:
    own, ref, weights = random_logps(0).requires_grad_(), random_logps(1), [1.0, 2.5, 1.0, 0.5, 4.0, 1.0]
    scored, objective = batch(own, ref, weights=weights), BCO(0.6)
    ours = value_of(objective, scored)
    theirs = trl_bco(
        scored.logps_B,
        scored.ref_logps_B,
        torch.tensor(LABELS) == 1,
        0.6,
        objective.delta,
        torch.tensor(weights),
    )
    assert ours == pytest.approx(float(theirs.detach()) * 6 / sum(weights), rel=1e-6)


# -- on a model -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save_tiny(str(tmp_path_factory.mktemp("tiny")))


def label_rows(count: int = 7) -> list[dict[str, Any]]:
    return [
        {
            "prompt": asked(f"Say {'ab ' * (i % 3)}{i // 2}"),
            "completion": said(f"{'Certainly, ' * (i % 2)}yes {i}{'!' * (i % 4)}"),
            "label": i % 3 != 0,
        }
        for i in range(count)
    ]


def held(loop: Loop, tokens: int) -> tuple[dict[str, float], dict[str, Tensor]]:
    """A step's metrics and gradient; what objectives remember is put back."""
    memories = [(o, o.state()) for o in (t.objective for t in loop.stepper.terms) if isinstance(o, Remembers)]
    found = step_of(loop, tokens)
    for objective, memory in memories:
        objective.load_state(memory)
    return found


@each
def test_splits_of_a_step_give_the_same_loss_and_gradient(name: str, tiny: str, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    loop = make_loop(name, label_rows(), tiny, tmp_path, learning_rate=1e-2, beta=0.5, max_steps=2)
    whole, whole_gradient = held(loop, 100_000)
    assert len(split(loop.groups, 1, loop.columns)) == len(loop.groups)
    for tokens in (1, 120):
        parts, gradient = held(loop, tokens)
        for metric in whole.keys() - {"tokens_computed"}:
            assert parts[metric] == pytest.approx(whole[metric], rel=1e-6, abs=1e-6), metric
        largest = max(float(grad.abs().max()) for grad in whole_gradient.values())
        assert largest > 1e-3
        for parameter, grad in whole_gradient.items():
            assert (gradient[parameter] - grad).abs().max() <= 1e-6 * max(largest, 1.0), parameter


def test_evaluation_leaves_the_shift_alone(tiny: str, tmp_path: Path) -> None:
    loop = make_loop("bco", label_rows(), tiny, tmp_path, max_steps=2)
    (objective,) = [term.objective for term in loop.stepper.terms]
    assert isinstance(objective, BCO)
    before = objective.state()
    assert before
    found = loop.stepper.evaluate(batches_of(loop))
    assert objective.state() == before
    assert found["delta"] == pytest.approx(objective.delta)
    loop.stepper.step(batches_of(loop), 1e-3)
    assert objective.state() != before


def batches_of(loop: Loop) -> Any:
    return split(loop.groups, 200, loop.columns)


def test_a_step_says_how_far_its_mismatched_answers_are(tiny: str, tmp_path: Path) -> None:
    """At the reference the loss is 1/2 and the reference point 0; later the policy has moved."""
    make_loop("kto", label_rows(), tiny, tmp_path, learning_rate=1e-2, max_steps=6)
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert rows[0]["loss"] == pytest.approx(0.5, abs=1e-6)
    assert rows[0]["kl/mismatched"] == pytest.approx(0.0, abs=1e-5)
    assert any(row["kl/mismatched"] > 1e-4 for row in rows[1:])
    assert {"rewards/chosen", "rewards/rejected", "logps/chosen", "length/rejected"} <= rows[0].keys()


def test_no_gradient_is_computed_for_mismatched_answers(tiny: str, tmp_path: Path) -> None:
    loop = make_loop("kto", label_rows(), tiny, tmp_path)
    (batch, *_) = batches_of(loop)
    side = loop.stepper.scorer.mismatched(batch)
    assert side is not None and not side.logps_N.requires_grad
    assert side.layout.num_samples == len(batch.samples)


# -- options ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("kto", {"loss_type": "apo_zero"}, "loss_type"),
        ("kto", {"desirable_weight": 0.0}, "desirable_weight"),
        ("kto", {"ref_model_sync_steps": 4}, "ref_model_sync_steps has no effect"),
        ("apo-zero-unpaired", {"loss_type": "kto"}, "loss_type"),
        ("bco", {"prompt_sample_size": 10}, "prompt_sample_size has no effect without udm"),
        ("bco", {"min_density_ratio": 0.1}, "min_density_ratio has no effect without udm"),
        ("bco", {"udm": True, "min_density_ratio": 3.0, "max_density_ratio": 2.0}, "must be below"),
        ("bco", {"delta_decay": 1.0}, "delta_decay"),
        ("bco", {"desirable_weight": 2.0}, "desirable_weight"),
    ],
)
def test_options_without_effect_or_sense_are_errors(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        validate(lookup(name).options, options, where="recipe.yaml")


def test_paper_settings_are_options() -> None:
    for name in NAMES:
        entry = ENTRIES[name]
        made = validate(entry.options, dict(entry.paper_settings), where="paper")
        assert made.model_fields_set == set(entry.paper_settings)


def test_kto_alone_needs_mismatched_answers() -> None:
    assert "mismatched" in KTO().needs
    assert "mismatched" not in KTO(loss_type="apo_zero_unpaired").needs
    layout = replace(one_token([0.1], [1]).layout, weight_B=torch.tensor([2.5]))
    assert KTO().counts(layout) == {"kto": 2.5}
