from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from charter.objectives.base import NO_STATS, Need, Scored
from charter.objectives.ranking import bradley_terry
from charter.objectives.supervised import NLL, BinaryDiscrimination, dft

Batch = Callable[..., Scored]
LENGTHS = [3, 1, 4, 2]


def logps(seed: int = 0) -> torch.Tensor:
    return -torch.rand(sum(LENGTHS), generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 5


def test_gradient_in_float64(batch: Batch) -> None:
    def loss(logps_N: torch.Tensor) -> torch.Tensor:
        return NLL()(batch(logps_N, None, lengths=LENGTHS), NO_STATS)["nll"].total

    assert torch.autograd.gradcheck(loss, logps().requires_grad_())


def test_is_a_mean_of_tokens_not_of_sequences(batch: Batch) -> None:
    term = NLL()(batch(logps(), None, lengths=LENGTHS), NO_STATS)["nll"]
    means = torch.stack([part.mean() for part in logps().split(LENGTHS)])
    assert float(term.total / term.count) == pytest.approx(-float(logps().mean()), rel=1e-12)
    assert float(term.total / term.count) != pytest.approx(-float(means.mean()), rel=1e-3)


def test_certain_tokens_cost_nothing(batch: Batch) -> None:
    term = NLL()(batch(torch.zeros(10, dtype=torch.float64), None, lengths=LENGTHS), NO_STATS)["nll"]
    assert float(term.total) == 0.0


def test_needs_nothing_and_counts_what_it_divides_by(batch: Batch) -> None:
    scored = batch(logps(), None, lengths=LENGTHS)
    assert NLL().needs == {Need.LOGPS}
    assert NLL().counts(scored.layout) == {"nll": NLL()(scored, NO_STATS)["nll"].count} == {"nll": 10.0}


@pytest.mark.parametrize("cut", [1, 2, 3])
def test_split_into_micro_batches_changes_nothing(batch: Batch, cut: int) -> None:
    whole = NLL()(batch(logps(), None, lengths=LENGTHS), NO_STATS)["nll"]
    tokens = sum(LENGTHS[:cut])
    first = NLL()(batch(logps()[:tokens], None, lengths=LENGTHS[:cut]), NO_STATS)["nll"]
    rest = NLL()(batch(logps()[tokens:], None, lengths=LENGTHS[cut:]), NO_STATS)["nll"]
    assert float(first.total + rest.total) == pytest.approx(float(whole.total), rel=1e-12)
    assert first.count + rest.count == whole.count


def test_agrees_with_the_loss_trl_uses(batch: Batch) -> None:
    """TRL's SFT loss is transformers' causal-LM loss over ``num_items_in_batch``.

    ``trl/trainer/sft_trainer.py`` ``compute_loss``, ``transformers/loss/loss_utils.py`` ``ForCausalLMLoss``:
    cross-entropy of shifted labels, -100 ignored, summed, divided by the labels of the whole step.
    """
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(2, 6, 11, generator=generator, dtype=torch.float64)
    labels = torch.randint(0, 11, (2, 6), generator=generator)
    labels[0, :3] = labels[1, 5:] = -100
    target = labels[:, 1:]
    rows = logits[:, :-1].flatten(0, 1)
    theirs = F.cross_entropy(rows, target.flatten(), ignore_index=-100, reduction="sum")

    kept = target != -100
    token_logps = logits[:, :-1].log_softmax(-1).gather(-1, target.clamp_min(0)[..., None])[..., 0]
    lengths = kept.sum(1).tolist()
    term = NLL()(batch(token_logps[kept], None, lengths=lengths), NO_STATS)["nll"]
    assert float(term.total / term.count) == pytest.approx(float(theirs / kept.sum()), rel=1e-12)


# -- DFT ----------------------------------------------------------------------------------


def test_dft_gradient_is_minus_the_probability() -> None:
    """The factor p carries no gradient, so d loss / d log p = -p."""
    logps_N = logps().requires_grad_(True)
    (gradient,) = torch.autograd.grad(dft(logps_N).sum(), [logps_N])
    torch.testing.assert_close(gradient, -logps().exp(), rtol=1e-12, atol=0)


def test_dft_agrees_with_trl(batch: Batch) -> None:
    """``trl/trainer/sft_trainer.py`` ``compute_loss``: ``per_token_loss * log_probs.exp().detach()``."""
    logps_N = logps(2).requires_grad_(True)
    per_token_loss = -logps_N
    per_token_loss = per_token_loss * logps_N.exp().detach()
    theirs = per_token_loss.sum() / torch.as_tensor(len(logps_N)).clamp(min=1)
    term = NLL("dft")(batch(logps_N, None, lengths=LENGTHS), NO_STATS)["dft"]
    ours = term.total / term.count
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=0)
    for mine, other in zip(
        torch.autograd.grad(ours, [logps_N]), torch.autograd.grad(theirs, [logps_N]), strict=True
    ):
        torch.testing.assert_close(mine, other, rtol=1e-12, atol=0)


def test_dft_reports_the_plain_likelihood_too(batch: Batch) -> None:
    term = NLL("dft")(batch(logps(), None, lengths=LENGTHS), NO_STATS)["dft"]
    assert float(term.metrics["nll"]) / term.count == pytest.approx(-float(logps().mean()), rel=1e-12)


# -- aggregation and parts -----------------------------------------------------------------


def test_sequence_mean_is_the_mean_of_the_answers_own_means(batch: Batch) -> None:
    term = NLL(loss_aggregation="sequence_mean")(batch(logps(), None, lengths=LENGTHS), NO_STATS)["nll"]
    means = torch.stack([part.mean() for part in logps().split(LENGTHS)])
    assert term.count == len(LENGTHS)
    assert float(term.total / term.count) == pytest.approx(-float(means.mean()), rel=1e-12)


def test_sequence_mean_counts_no_sample_without_a_token(batch: Batch) -> None:
    scored = batch(logps(), None, lengths=[3, 0, 5, 2])
    term = NLL(loss_aggregation="sequence_mean")(scored, NO_STATS)["nll"]
    assert term.count == 3.0
    assert math.isfinite(float(term.total))


def parted(batch: Batch, logps_N: torch.Tensor) -> Scored:
    """Samples 0 and 1 are rollouts, 2 and 3 are pretraining text."""
    scored = batch(logps_N, None, lengths=LENGTHS)
    layout = replace(
        scored.layout, parts=("", "pretrain"), part_B=torch.tensor([0, 0, 1, 1], dtype=torch.long)
    )
    return Scored(layout, logps_N)


def test_a_part_has_its_own_name_sum_and_count(batch: Batch) -> None:
    logps_N = logps().requires_grad_(True)
    scored = parted(batch, logps_N)
    (term,) = NLL(part="pretrain")(scored, NO_STATS).values()
    own = logps_N[LENGTHS[0] + LENGTHS[1] :]
    assert NLL(part="pretrain").counts(scored.layout) == {"pretrain_nll": 6.0}
    mean = float((term.total / term.count).detach())
    assert mean == pytest.approx(-float(own.detach().mean()), rel=1e-12)
    (gradient,) = torch.autograd.grad(term.total, [logps_N])
    assert gradient.tolist() == [0.0] * 4 + [-1.0] * 6


def test_a_part_that_is_not_there_costs_nothing(batch: Batch) -> None:
    scored = parted(batch, logps().requires_grad_(True))
    assert NLL(part="other")(scored, NO_STATS) == {}
    assert NLL(part="other").counts(scored.layout) == {"other_nll": 0.0}


@pytest.mark.parametrize("options", [{"loss_type": "mle"}, {"loss_aggregation": "mean"}])
def test_unknown_options_are_refused(options: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="unknown"):
        NLL(**options)


# -- binary discrimination -----------------------------------------------------------------


@pytest.mark.parametrize("average", [True, False])
def test_discrimination_gradient_in_float64(average: bool, batch: Batch) -> None:
    def loss(logps_N: torch.Tensor) -> torch.Tensor:
        scored = batch(logps_N, None, lengths=LENGTHS, probability=[1.0, 0.7], weight=[1.0, 2.0])
        return BinaryDiscrimination(average)(scored, NO_STATS)["discrimination"].total

    assert torch.autograd.gradcheck(loss, logps().requires_grad_())


def test_discrimination_is_the_preference_modelling_loss_on_log_prob_per_token(batch: Batch) -> None:
    term = BinaryDiscrimination()(batch(logps(), None, lengths=LENGTHS), NO_STATS)["discrimination"]
    means = [float(part.mean()) for part in logps().split(LENGTHS)]
    expected = sum(math.log1p(math.exp(means[i + 1] - means[i])) for i in (0, 2))
    assert float(term.total) == pytest.approx(expected, rel=1e-12)
    assert float(term.metrics["accuracies"]) == sum(means[i] > means[i + 1] for i in (0, 2))


def test_discrimination_accuracy_on_soft_labels_is_the_probability_of_the_order(batch: Batch) -> None:
    values = torch.tensor([-1.0, -2.0, -5.0, -4.0, -3.0, -4.0, -2.0, -2.0], dtype=torch.float64)
    soft = batch(values, None, lengths=[1] * 8, probability=[0.8, 0.9, 0.3, 0.6])
    term = BinaryDiscrimination()(soft, NO_STATS)["discrimination"]
    assert float(term.metrics["accuracies"]) == pytest.approx(0.8 + 0.1 + 0.3 + 0.0)


def test_equal_answers_cost_log_two() -> None:
    same = torch.tensor([-3.0], dtype=torch.float64)
    for probability in (0.0, 0.4, 1.0):
        loss = bradley_terry(same, same, torch.tensor([probability], dtype=torch.float64))
        assert float(loss) == pytest.approx(math.log(2), rel=1e-12)


def test_swapping_a_soft_pair_with_its_probability_changes_nothing() -> None:
    better, worse = logps(3)[:4], logps(4)[:4]
    p = torch.tensor([0.1, 0.5, 0.8, 1.0], dtype=torch.float64)
    torch.testing.assert_close(
        bradley_terry(better, worse, p),
        bradley_terry(worse, better, 1 - p),
        rtol=1e-12,
        atol=0,
    )


@pytest.mark.parametrize("gap", [-1e4, 1e4])
def test_discrimination_stays_finite(gap: float) -> None:
    zero, one = torch.zeros(1, dtype=torch.float64), torch.ones(1, dtype=torch.float64)
    assert float(bradley_terry(zero + gap, zero, one)) == pytest.approx(max(-gap, 0.0))


def test_discrimination_split_into_micro_batches_changes_nothing(batch: Batch) -> None:
    objective = BinaryDiscrimination()
    whole = objective(batch(logps(), None, lengths=LENGTHS), NO_STATS)["discrimination"]
    first = objective(batch(logps()[:4], None, lengths=LENGTHS[:2]), NO_STATS)["discrimination"]
    rest = objective(batch(logps()[4:], None, lengths=LENGTHS[2:]), NO_STATS)["discrimination"]
    assert float(first.total + rest.total) == pytest.approx(float(whole.total), rel=1e-12)
    assert first.count + rest.count == whole.count == 2.0
