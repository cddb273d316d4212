from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from charter.errors import ConfigError
from charter.objectives.base import NO_STATS, Need, Scored, Term
from charter.objectives.preference import DPO, dpo_sigmoid

Batch = Callable[..., Scored]
LENGTHS = [3, 1, 4, 2, 1, 5]
BETA = 0.3
LN2 = math.log(2)

logratio = st.floats(-50, 50)
probability = st.floats(0, 1)


def random(count: int, seed: int) -> Tensor:
    return -5 * torch.rand(count, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def policy_logps() -> Tensor:
    return random(sum(LENGTHS), seed=0)


def reference_logps() -> Tensor:
    return random(sum(LENGTHS), seed=1)


def dpo(scored: Scored, beta: float = BETA) -> Term:
    return DPO(beta=beta)(scored, NO_STATS)["dpo"]


def mean(term: Term) -> float:
    return float(term.total.detach()) / term.count


def one(*values: float) -> list[Tensor]:
    return [torch.tensor([value], dtype=torch.float64) for value in values]


def pair_loss(better: float, worse: float, p: float, beta: float = BETA) -> float:
    a, b, q = one(better, worse, p)
    return float(dpo_sigmoid(a, b, beta, q))


# -- gradients and limits ------------------------------------------------------


def test_gradient_in_float64(batch: Batch) -> None:
    def loss(logps_N: Tensor) -> Tensor:
        return dpo(
            batch(logps_N, reference_logps(), lengths=LENGTHS, probability=[1, 0.8, 0.5], weight=[1, 2, 0.5])
        ).total

    assert torch.autograd.gradcheck(loss, policy_logps().requires_grad_())


def test_at_the_reference_the_loss_is_ln_2(batch: Batch) -> None:
    assert mean(dpo(batch(policy_logps(), policy_logps(), lengths=LENGTHS))) == pytest.approx(LN2, rel=1e-12)


def test_equal_pair_is_ln_2_and_moves_nothing(batch: Batch) -> None:
    logps_N = random(4, seed=2).requires_grad_()
    scored = batch(logps_N.repeat(2), random(4, seed=3).repeat(2), lengths=[4, 4])
    term = dpo(scored)
    assert mean(term) == pytest.approx(LN2, rel=1e-12)
    (grad,) = torch.autograd.grad(term.total, logps_N)
    assert grad.abs().max() == 0


def test_gradient_raises_the_better_and_lowers_the_worse(batch: Batch) -> None:
    logps_N = policy_logps().requires_grad_()
    scored = batch(logps_N, reference_logps(), lengths=LENGTHS)
    (grad,) = torch.autograd.grad(dpo(scored).total, logps_N)
    per_sample = list(grad.split(LENGTHS))
    assert all((part < 0).all() for part in per_sample[0::2])
    assert all((part > 0).all() for part in per_sample[1::2])


@pytest.mark.parametrize("p", [1.0, 0.7, 0.0])
@pytest.mark.parametrize("margin", [1e4, -1e4])
def test_extreme_margins_stay_finite(margin: float, p: float) -> None:
    better, worse, probability_P = one(margin, 0.0, p)
    better.requires_grad_()
    loss = dpo_sigmoid(better, worse, 1.0, probability_P)
    (grad,) = torch.autograd.grad(loss.sum(), better)
    sure = max(margin, 0.0) * (1 - p) + max(-margin, 0.0) * p  # logsigmoid is linear this far out
    assert float(loss.detach()) == pytest.approx(sure, rel=1e-9, abs=1e-9)
    assert torch.isfinite(grad).all()


def test_unknown_loss_type_is_an_error() -> None:
    with pytest.raises(ValueError, match="hinges"):
        DPO(loss_type=("sigmoid", "hinges"))


def test_a_missing_reference_is_named(batch: Batch) -> None:
    assert frozenset({Need.LOGPS, Need.REFERENCE}) == DPO().needs
    with pytest.raises(ConfigError, match="reference"):
        dpo(batch(policy_logps(), None, lengths=LENGTHS))


# -- invariances ---------------------------------------------------------------


@given(better=logratio, worse=logratio, p=probability)
def test_swapping_sides_and_probability_changes_nothing(better: float, worse: float, p: float) -> None:
    assert pair_loss(better, worse, p) == pytest.approx(pair_loss(worse, better, 1 - p), rel=1e-9, abs=1e-12)


@given(better=logratio, worse=logratio, p=probability, shift=logratio)
def test_a_shift_of_both_sides_changes_nothing(better: float, worse: float, p: float, shift: float) -> None:
    shifted = pair_loss(better + shift, worse + shift, p)
    assert shifted == pytest.approx(pair_loss(better, worse, p), rel=1e-9, abs=1e-12)


@given(better=logratio, worse=logratio, p=probability)
def test_soft_is_the_mixture_of_hard(better: float, worse: float, p: float) -> None:
    mixture = p * pair_loss(better, worse, 1.0) + (1 - p) * pair_loss(better, worse, 0.0)
    assert pair_loss(better, worse, p) == pytest.approx(mixture, rel=1e-9, abs=1e-12)


@settings(deadline=None)
@given(scale=st.floats(0.01, 100), weight=st.lists(st.floats(0.1, 10), min_size=3, max_size=3))
def test_weights_scale_total_and_count(batch: Batch, scale: float, weight: list[float]) -> None:
    def of(weight: list[float]) -> Term:
        return dpo(batch(policy_logps(), reference_logps(), lengths=LENGTHS, weight=weight))

    plain, scaled = of(weight), of([scale * w for w in weight])
    assert scaled.count == pytest.approx(scale * plain.count, rel=1e-9)
    assert mean(scaled) == pytest.approx(mean(plain), rel=1e-9)


def test_weight_two_is_the_pair_twice(batch: Batch) -> None:
    weighted = dpo(batch(policy_logps(), reference_logps(), lengths=LENGTHS, weight=[1, 2, 1]))
    repeated = dpo(
        batch(policy_logps(), reference_logps(), lengths=LENGTHS, pairs=[(0, 1), (2, 3), (2, 3), (4, 5)])
    )
    assert float(weighted.total) == pytest.approx(float(repeated.total), rel=1e-12)
    assert weighted.count == repeated.count == 4


@pytest.mark.parametrize("cut", [1, 2])
def test_split_into_micro_batches_changes_nothing(batch: Batch, cut: int) -> None:
    weight = [1.0, 0.25, 3.0]
    policy, reference = policy_logps(), reference_logps()
    whole = dpo(batch(policy, reference, lengths=LENGTHS, weight=weight))
    tokens = sum(LENGTHS[: 2 * cut])
    parts = [
        dpo(batch(policy[:tokens], reference[:tokens], lengths=LENGTHS[: 2 * cut], weight=weight[:cut])),
        dpo(batch(policy[tokens:], reference[tokens:], lengths=LENGTHS[2 * cut :], weight=weight[cut:])),
    ]
    assert sum(float(part.total) for part in parts) == pytest.approx(float(whole.total), rel=1e-12)
    assert sum(part.count for part in parts) == pytest.approx(whole.count)
    for name, value in whole.metrics.items():
        assert sum(float(part.metrics[name]) for part in parts) == pytest.approx(float(value), rel=1e-12), (
            name
        )


def test_order_of_pairs_and_tokens_changes_nothing(batch: Batch) -> None:
    policy, reference = policy_logps(), reference_logps()
    whole = dpo(batch(policy, reference, lengths=LENGTHS))
    other = dpo(batch(policy, reference, lengths=LENGTHS, pairs=[(4, 5), (0, 1), (2, 3)]))
    assert float(other.total) == pytest.approx(float(whole.total), rel=1e-12)

    scored = batch(policy, reference, lengths=LENGTHS)
    order = torch.randperm(len(policy), generator=torch.Generator().manual_seed(4))
    moved = Scored(
        type(scored.layout)(**{**vars(scored.layout), "sample_N": scored.layout.sample_N[order]}),
        policy[order],
        reference[order],
    )
    assert float(dpo(moved).total) == pytest.approx(float(whole.total), rel=1e-12)


def test_counts_are_known_before_the_forward(batch: Batch) -> None:
    scored = batch(policy_logps(), reference_logps(), lengths=LENGTHS, weight=[1, 0.5, 2])
    assert DPO().counts(scored.layout) == {"dpo": dpo(scored).count} == {"dpo": 3.5}


def test_metrics_are_sums_over_pairs(batch: Batch) -> None:
    policy, reference = policy_logps().requires_grad_(), reference_logps()
    term = dpo(batch(policy, reference, lengths=LENGTHS, weight=[1, 2, 1]))
    sums = [float(part.sum()) for part in (policy.detach() - reference).split(LENGTHS)]
    better = [BETA * value for value in sums[0::2]]
    worse = [BETA * value for value in sums[1::2]]
    weights = [1, 2, 1]
    expected = {
        "rewards/chosen": sum(w * b for w, b in zip(weights, better, strict=True)),
        "rewards/rejected": sum(w * b for w, b in zip(weights, worse, strict=True)),
        "rewards/accuracies": sum(w * (a > b) for w, a, b in zip(weights, better, worse, strict=True)),
        "length/chosen": 3 + 2 * 4 + 1,
        "length/rejected": 1 + 2 * 2 + 5,
    }
    for name, value in expected.items():
        assert float(term.metrics[name]) == pytest.approx(value, rel=1e-9), name
    assert not any(value.requires_grad for value in term.metrics.values())


# -- another implementation ------------------------------------------------------


def test_agrees_with_trl(batch: Batch) -> None:
    """``trl/trainer/dpo_trainer.py`` (1.16.0), ``_compute_loss``: ``loss_type == "sigmoid"``, reverse KL.

    Chosen and rejected are padded into one batch, masked per-token log-probs are
    summed over the sequence, and the loss is the mean of -logsigmoid(beta * delta).
    """
    longest = max(LENGTHS)
    mask = torch.tensor([[1.0] * n + [0.0] * (longest - n) for n in LENGTHS[0::2] + LENGTHS[1::2]])

    def padded(logps_N: Tensor) -> Tensor:
        rows = logps_N.split(LENGTHS)
        return torch.stack(
            [F.pad(row, (0, longest - len(row)), value=-7.0) for row in rows[0::2] + rows[1::2]]
        )

    logps = (padded(policy_logps()) * mask).sum(dim=1)
    ref_logps = (padded(reference_logps()) * mask).sum(dim=1)
    chosen_logps, rejected_logps = logps.chunk(2, dim=0)
    ref_chosen_logps, ref_rejected_logps = ref_logps.chunk(2, dim=0)
    delta_score = (chosen_logps - ref_chosen_logps) - (rejected_logps - ref_rejected_logps)
    theirs = (-F.logsigmoid(BETA * delta_score)).mean()

    assert mean(dpo(batch(policy_logps(), reference_logps(), lengths=LENGTHS))) == pytest.approx(
        float(theirs), rel=1e-12
    )


# -- a tabular toy -----------------------------------------------------------------

COMPLETIONS = 5
REWARD = torch.tensor([0.0, 0.5, -0.7, 1.2, 0.3], dtype=torch.float64)
REFERENCE = torch.tensor([0.1, -0.4, 0.6, -1.0, 0.2], dtype=torch.float64).log_softmax(0)
TOY_BETA = 0.7
EVERY_PAIR = [(i, j) for i in range(COMPLETIONS) for j in range(COMPLETIONS) if i != j]


def train_softmax(batch: Batch, probability: list[float] | None, weight: list[float] | None) -> Tensor:
    """The policy over five one-token completions that minimises DPO, as probabilities."""
    logits = REFERENCE.clone().requires_grad_()
    optimizer = torch.optim.LBFGS([logits], max_iter=300, tolerance_grad=1e-11, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        scored = batch(
            logits.log_softmax(0),
            REFERENCE,
            lengths=[1] * COMPLETIONS,
            pairs=EVERY_PAIR,
            probability=probability,
            weight=weight,
        )
        term = dpo(scored, TOY_BETA)
        loss = term.total / term.count
        loss.backward()
        return loss

    optimizer.step(closure)
    return logits.detach().softmax(0)


def optimal() -> Tensor:
    """``ref * exp(r / beta)``, normalised: equation 4 of the paper."""
    return (REFERENCE + REWARD / TOY_BETA).softmax(0)


def test_soft_preferences_lead_to_the_optimal_policy(batch: Batch) -> None:
    exact = [float(torch.sigmoid(REWARD[i] - REWARD[j])) for i, j in EVERY_PAIR]
    policy = train_softmax(batch, exact, None)
    torch.testing.assert_close(policy, optimal(), rtol=0, atol=1e-6)
    assert (policy - REFERENCE.exp()).abs().sum() > 0.5  # it had to move


def test_pairs_drawn_from_bradley_terry_lead_there_too(batch: Batch) -> None:
    generator = torch.Generator().manual_seed(0)
    drawn = torch.zeros(COMPLETIONS, COMPLETIONS)
    for i in range(COMPLETIONS):
        for j in range(i):
            chance = float(torch.sigmoid(REWARD[i] - REWARD[j]))
            wins = int((torch.rand(4000, generator=generator) < chance).sum())
            drawn[i, j], drawn[j, i] = wins, 4000 - wins
    policy = train_softmax(batch, None, [float(drawn[i, j]) for i, j in EVERY_PAIR])
    assert float((policy - optimal()).abs().sum()) / 2 < 0.02
