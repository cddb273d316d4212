"""GRPO and RLOO by calling TRL's own loss code on the same log-probs."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from rollout_setup import LENGTHS, measured, rollouts
from torch import Tensor

from charter.objectives.base import Scored
from charter.objectives.importance import importance_weights
from charter.objectives.policy_gradient import RLOO, ClippedSurrogate

grpo = pytest.importorskip("trl.trainer.grpo_trainer", reason="TRL is a development dependency")
rloo = pytest.importorskip("trl.trainer.rloo_trainer", reason="TRL is a development dependency")

LOSS_TYPES = ("grpo", "dapo", "bnpo", "dr_grpo", "cispo")
LONGEST = max(LENGTHS)
MASK = torch.tensor([[1] * n + [0] * (LONGEST - n) for n in LENGTHS])


def padded(x_N: Tensor) -> Tensor:
    return torch.stack([F.pad(row, (0, LONGEST - len(row))) for row in x_N.split(LENGTHS)])


def by_sample(x_N: Tensor) -> Tensor:
    return torch.stack([row[0] for row in x_N.split(LENGTHS)])


def trainer(scored: Scored, **held: Any) -> SimpleNamespace:
    """What the loss code reads of a trainer."""
    logps, entropies = padded(scored.logps_N), padded(scored.need("entropy_N").detach())
    return SimpleNamespace(
        _get_per_token_logps_and_entropies=lambda *a, **k: (logps, entropies, None),
        accelerator=SimpleNamespace(
            gather=lambda x: x, gather_for_metrics=lambda x: x, reduce=lambda x, reduction: x, num_processes=1
        ),
        model=SimpleNamespace(training=True),
        aux_loss_enabled=False,
        _metrics={"train": defaultdict(list)},
        **held,
    )


def inputs(scored: Scored) -> dict[str, Any]:
    nothing = torch.zeros(len(LENGTHS), 1, dtype=torch.long)
    return {
        "prompt_ids": nothing,
        "prompt_mask": nothing,
        "completion_ids": MASK,
        "completion_mask": MASK,
        "advantages": by_sample(scored.need("advantage_N")),
        "num_items_in_batch": MASK.sum(),
    }


def theirs_grpo(scored: Scored, **options: Any) -> tuple[Tensor, dict[str, float]]:
    """``GRPOTrainer._compute_loss`` as it is."""
    epsilon = options.pop("epsilon", 0.2)
    correction = options.pop("correction", None)
    held = trainer(
        scored,
        loss_type=options.pop("loss_type"),
        importance_sampling_level=options.pop("importance_sampling_level", "token"),
        beta=options.pop("beta", 0.0),
        epsilon_low=epsilon,
        epsilon_high=options.pop("epsilon_high", epsilon),
        max_completion_length=options.pop("max_completion_length", 6),
        top_entropy_quantile=1.0,
        off_policy_mask_threshold=None,
        use_vllm=correction is not None,
        vllm_importance_sampling_correction=True,
        current_gradient_accumulation_steps=1,
        _entropy_bonus_enabled=False,
        args=SimpleNamespace(
            delta=options.pop("delta", None),
            use_bias_correction_kl=options.pop("use_bias_correction_kl", True),
            steps_per_generation=1,
        ),
    )
    assert not options
    batch = inputs(scored)
    batch["old_per_token_logps"] = padded(scored.need("old_logps_N"))
    batch["ref_per_token_logps"] = padded(scored.need("ref_logps_N"))
    if correction is not None:
        batch["importance_sampling_ratio"] = padded(correction)
    loss = grpo.GRPOTrainer._compute_loss(held, None, batch)
    return loss, {name: values[-1] for name, values in held._metrics["train"].items()}


def assert_agrees(scored: Scored, options: dict[str, Any], **theirs: Any) -> None:
    objective = ClippedSurrogate(**{"max_completion_length": 6, **options})
    found, said = measured(objective, [scored])
    wanted, said_by_trl = theirs_grpo(scored, **theirs)
    assert_close(scored, found, wanted)
    same = ("clip_ratio/low_mean", "clip_ratio/high_mean", "clip_ratio/region_mean", "cispo_clip_ratio")
    for name in (*same, "entropy"):
        if name in said_by_trl and theirs.get("importance_sampling_level", "token") == "token":
            assert said[name] == pytest.approx(said_by_trl[name], rel=1e-6), name


def assert_close(scored: Scored, found: Tensor, wanted: Tensor) -> None:
    assert float(found.detach()) == pytest.approx(float(wanted.detach()), rel=1e-6, abs=1e-9)
    ours, theirs = (torch.autograd.grad(loss, scored.logps_N)[0] for loss in (found, wanted))
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-9)
    assert ours.abs().max() > 0


@pytest.mark.parametrize("level", ["token", "sequence"])
@pytest.mark.parametrize("loss_type", LOSS_TYPES)
@pytest.mark.parametrize(
    "more",
    [
        {},
        {"epsilon": 0.1, "epsilon_high": 0.28},
        {"beta": 0.04},
        {"beta": 0.3, "use_bias_correction_kl": False},
    ],
    ids=["plain", "clip-higher", "kl-with-ratio", "kl"],
)
def test_every_loss_type(loss_type: str, level: str, more: dict[str, Any]) -> None:
    """TRL's bound of cispo is given, as ours has a default of its own."""
    if loss_type == "cispo":
        more = {"epsilon_high": 1.1} | more
    options = {"loss_type": loss_type, "importance_sampling_level": level, **more}
    for seed in range(3):
        assert_agrees(rollouts(seed), options, **options)


@pytest.mark.parametrize("loss_type", ["grpo", "dapo", "bnpo", "dr_grpo"])
@pytest.mark.parametrize("level", ["token", "sequence"])
def test_two_sided(loss_type: str, level: str) -> None:
    options = {"loss_type": loss_type, "importance_sampling_level": level, "delta": 1.3}
    assert_agrees(rollouts(spread=1.0), options, **options)


def test_sequence_token_is_trls_sequence_level_for_grpo() -> None:
    options = {"loss_type": "grpo", "importance_sampling_level": "sequence_token"}
    assert_agrees(rollouts(), options, loss_type="grpo", importance_sampling_level="sequence")


@pytest.mark.parametrize("mode", ["token_truncate", "token_mask", "sequence_truncate", "sequence_mask"])
@pytest.mark.parametrize("loss_type", LOSS_TYPES)
def test_sampler_correction(loss_type: str, mode: str) -> None:
    """That TRL's weights are ours is shown where weights are tested; here it is where they go."""
    scored = rollouts()
    own = scored.need("old_logps_N"), scored.need("sampler_logps_N"), scored.layout.sample_N
    weight_N = importance_weights(*own, mode, 1.3, None)
    assert weight_N.max() > weight_N.min()
    options = {"loss_type": loss_type, "epsilon_high": 0.4, "beta": 0.1}
    ours = {
        "importance_sampling_correction": True,
        "importance_sampling_mode": mode,
        "importance_sampling_clip_max": 1.3,
    }
    assert_agrees(scored, options | ours, correction=weight_N, **options)


@pytest.mark.parametrize("epsilon", [(0.2, 0.2), (0.1, 0.5)])
def test_rloo(epsilon: tuple[float, float]) -> None:
    for seed in range(3):
        scored = rollouts(seed, spread=0.15)
        held = trainer(scored, epsilon_low=epsilon[0], epsilon_high=epsilon[1])
        batch = inputs(scored) | {"old_logps": scored.sum_B(scored.need("old_logps_N"))}
        wanted = rloo.RLOOTrainer._compute_loss(held, None, batch)
        found, said = measured(RLOO(*epsilon), [scored])
        assert_close(scored, found, wanted)
        for name in ("clip_ratio/low_mean", "clip_ratio/high_mean", "clip_ratio/region_mean", "entropy"):
            assert said[name] == pytest.approx(held._metrics["train"][name][-1], rel=1e-6)


def test_trls_zero_tokens_of_a_masked_answer() -> None:
    """An answer that is masked whole: TRL's ``grpo`` counts it among the answers, ours does not."""
    scored = rollouts()
    first = scored.layout.sample_N > 0
    kept = {n: getattr(scored, n)[first] for n in ("logps_N", "old_logps_N", "advantage_N")}
    cut = Scored(replace(scored.layout, sample_N=scored.layout.sample_N[first]), **kept)
    found, _ = measured(ClippedSurrogate("grpo"), [cut])
    muted = replace(scored, advantage_N=scored.need("advantage_N") * first)
    wanted, _ = theirs_grpo(muted, loss_type="grpo")
    torch.testing.assert_close(found * (len(LENGTHS) - 1), wanted * len(LENGTHS))
