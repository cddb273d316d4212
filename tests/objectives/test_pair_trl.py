"""Every loss of TRL's DPOTrainer, by calling the trainer's own loss code on the same log-probs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, get_args

import pytest
import torch
import torch.nn.functional as F
from pair_setup import SMOOTHING, step_loss
from torch import Tensor

from charter.catalogue.preference import LossType
from charter.objectives.base import Scored
from charter.objectives.preference import DPO

trl = pytest.importorskip("trl.trainer.dpo_trainer", reason="TRL is a development dependency")

Batch = Callable[..., Scored]
LENGTHS = [3, 1, 4, 2, 1, 5, 2, 2]
LONGEST = max(LENGTHS)
NOT_IN_TRL = {"cdpo", "sppo"}
OF_TRL = [name for name in get_args(LossType) if name not in NOT_IN_TRL]


def logps(seed: int, dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return -3 * torch.rand(sum(LENGTHS), generator=generator, dtype=torch.float64).to(dtype)


def squared(dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(7)
    return 0.9 * torch.rand(sum(LENGTHS), generator=generator, dtype=torch.float64).to(dtype)


def padded(x_N: Tensor) -> Tensor:
    """Chosen rows, then rejected rows, one position of prompt first, zeros behind, as TRL's model returns."""
    rows = x_N.split(LENGTHS)
    return torch.stack([F.pad(row, (0, LONGEST - len(row))) for row in rows[0::2] + rows[1::2]])


class FakeModel(torch.nn.Module):
    """What the trainer asks of a model."""

    is_gradient_checkpointing = False

    def __init__(self, log_probs: Tensor, log_sum_sq_probs: Tensor) -> None:
        super().__init__()
        zeros = torch.zeros_like(log_probs)
        self.out = SimpleNamespace(
            log_probs=log_probs,
            log_sum_sq_probs=log_sum_sq_probs,
            entropy=zeros,
            mean_logits=zeros,
            is_top1=zeros.bool(),
        )

    def forward(self, **kwargs: Any) -> Any:
        return self.out


def theirs(own_N: Tensor, ref_N: Tensor, squared_N: Tensor, **options: Any) -> Tensor:
    """``DPOTrainer._compute_loss`` as it is, on a trainer that has only what it reads."""
    loss_type = options.pop("loss_type")
    loss_types = [loss_type] if isinstance(loss_type, str) else list(loss_type)
    model = FakeModel(padded(own_N), padded(squared_N.log()))
    trainer = SimpleNamespace(
        model=model,
        ref_model=FakeModel(padded(ref_N), padded(ref_N)),
        accelerator=SimpleNamespace(
            device="cpu", gather=lambda x: x, gather_for_metrics=lambda x: x, unwrap_model=lambda x: x
        ),
        args=SimpleNamespace(
            discopop_tau=options.pop("discopop_tau", 0.05), gradient_checkpointing_kwargs=None
        ),
        aux_loss_enabled=False,
        precompute_ref_logps=False,
        beta=options.pop("beta", 0.1),
        loss_types=loss_types,
        loss_weights=options.pop("loss_weights", None) or [1.0] * len(loss_types),
        label_smoothing=options.pop("label_smoothing", 0.0),
        ld_alpha=options.pop("ld_alpha", None),
        f_divergence_type=options.pop("f_divergence_type", "reverse_kl"),
        f_alpha_divergence_coef=options.pop("f_alpha_divergence_coef", 0.5),
        use_weighting=options.pop("use_weighting", False),
        _metrics={"train": defaultdict(list)},
        _total_train_tokens=0,
        _tp_size=1,
    )
    assert not options
    rows = LENGTHS[0::2] + LENGTHS[1::2]
    mask = torch.tensor([[0] + [1] * n + [0] * (LONGEST - n) for n in rows])
    inputs = {"input_ids": torch.zeros_like(mask), "attention_mask": mask, "completion_mask": mask}
    return trl.DPOTrainer._compute_loss(trainer, model, inputs, False)


def ours(batch: Batch, own_N: Tensor, ref_N: Tensor, squared_N: Tensor, **options: Any) -> Tensor:
    scored = replace(batch(own_N, ref_N, lengths=LENGTHS), squared_probs_N=squared_N)
    return step_loss(DPO(**options), scored)


def assert_agrees(
    batch: Batch, dtype: torch.dtype = torch.float64, *, gradient: bool = True, **options: Any
) -> None:
    own_N, ref_N, squared_N = logps(0, dtype).requires_grad_(), logps(1, dtype), squared(dtype)
    found, wanted = (
        ours(batch, own_N, ref_N, squared_N, **options),
        theirs(own_N, ref_N, squared_N, **options),
    )
    assert float(found.detach()) == pytest.approx(float(wanted.detach()), rel=1e-6, abs=1e-9)
    if not gradient:
        return
    found_grad, wanted_grad = (torch.autograd.grad(loss, own_N)[0] for loss in (found, wanted))
    # TRL builds exo_pair's epsilon in float32.
    torch.testing.assert_close(found_grad, wanted_grad, rtol=1e-6, atol=1e-7)


def test_all_of_trls_losses_are_here() -> None:
    """Their own error lists them."""
    with pytest.raises(ValueError, match="Unknown loss type") as caught:
        theirs(logps(0), logps(1), squared(), loss_type="none of them")
    listed = str(caught.value).split("[")[1].split("]")[0].replace("'", "").split(", ")
    assert set(listed) == set(OF_TRL)


@pytest.mark.parametrize("beta", [0.1, 0.7])
@pytest.mark.parametrize("loss_type", OF_TRL)
def test_every_loss_type(batch: Batch, loss_type: str, beta: float) -> None:
    assert_agrees(batch, loss_type=loss_type, beta=beta, label_smoothing=SMOOTHING.get(loss_type, 0.0))


@pytest.mark.parametrize("loss_type", OF_TRL)
def test_length_desensitised(batch: Batch, loss_type: str) -> None:
    smoothing = SMOOTHING.get(loss_type, 0.0)
    assert_agrees(batch, loss_type=loss_type, label_smoothing=smoothing, ld_alpha=0.3)


@pytest.mark.parametrize("loss_type", [n for n in OF_TRL if n not in {"aot", "aot_unpaired", "sft"}])
def test_weighting(batch: Batch, loss_type: str) -> None:
    """``sft`` apart: TRL weighs the mean NLL of a batch by the mean weight of its pairs.

    TRL multiplies in place, which autograd refuses for the hinge: there only values are compared.
    """
    smoothing = SMOOTHING.get(loss_type, 0.0)
    assert_agrees(
        batch,
        gradient=loss_type != "hinge",
        loss_type=loss_type,
        label_smoothing=smoothing,
        use_weighting=True,
    )


@pytest.mark.parametrize("divergence", ["reverse_kl", "forward_kl", "js_divergence"])
@pytest.mark.parametrize(
    "loss_type", ["sigmoid", "sigmoid_norm", "hinge", "ipo", "exo_pair", "robust", "discopop"]
)
def test_divergences(batch: Batch, loss_type: str, divergence: str) -> None:
    smoothing = SMOOTHING.get(loss_type, 0.0)
    assert_agrees(batch, loss_type=loss_type, label_smoothing=smoothing, f_divergence_type=divergence)


@pytest.mark.parametrize("alpha", [0.2, 0.5, 0.9])
def test_alpha_divergence(batch: Batch, alpha: float) -> None:
    """In float32, which is all that TRL's clamp knows."""
    assert_agrees(
        batch,
        torch.float32,
        loss_type="sigmoid",
        f_divergence_type="alpha_divergence",
        f_alpha_divergence_coef=alpha,
    )


def test_weighted_sums(batch: Batch) -> None:
    assert_agrees(
        batch, loss_type=("sigmoid", "bco_pair", "sft", "aot"), loss_weights=(0.8, 0.2, 1.5, 0.5), beta=0.3
    )


def test_discopop_tau(batch: Batch) -> None:
    assert_agrees(batch, loss_type="discopop", discopop_tau=0.4, beta=0.3)
