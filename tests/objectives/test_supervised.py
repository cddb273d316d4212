from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F

from charter.objectives.base import NO_STATS, Need, Scored
from charter.objectives.supervised import NLL

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
