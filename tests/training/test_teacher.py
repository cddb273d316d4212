"""Teachers: whose distributions, under which context, on which tokens, and that they stay what they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from training_setup import Row, answers, assert_close, assert_same_bits, metrics_of, weights_of

from charter.catalogue import lookup
from charter.catalogue.distillation import DistillationOptions
from charter.data.formats import load_groups
from charter.data.prepare import prepare
from charter.data.teacher_context import aligned, with_teacher
from charter.errors import DataError, UserError
from charter.models import distil
from charter.models.load import load
from charter.models.pairing import Reference
from charter.models.policy import Policy
from charter.models.trainable import prepare_for_training
from charter.objectives.distillation import Divergence
from charter.training.batch import MicroBatch
from charter.training.hooks import NOTHING, HookResult
from charter.training.loop import Loop
from charter.training.teacher import Ema, Snapshot, teacher_of
from charter.training.terms import terms_of
from charter.types import Group

CONTEXT = "Answer like an old sailor, in few words."
LORA: dict[str, Any] = {"use_peft": True, "learning_rate": 1e-2}
KINDS = [
    {"divergence": "forward_kl"},
    {"divergence": "reverse_kl", "temperature": 0.8},
    {"divergence": "jsd", "beta": 0.3},
    {"distillation_topk": 20},
]


def options_of(**changes: Any) -> DistillationOptions:
    values: Row = {
        "teacher_context": CONTEXT,
        "learning_rate": 1e-3,
        "max_steps": 4,
        "per_device_train_batch_size": 4,
        "bf16": False,
        "max_length": None,
    }
    return DistillationOptions(**{**values, **changes})


def groups_of(policy: Policy, options: DistillationOptions, rows: Sequence[Row]) -> Sequence[Group]:
    loaded = with_teacher(load_groups(list(rows), "sft"), options)
    return aligned(prepare(loaded, policy.template, options.max_length).groups, options)


def make_loop(
    model: str,
    directory: Path,
    *,
    rows: Sequence[Row] | None = None,
    hooks: Sequence[Any] = (),
    **changes: Any,
) -> Loop:
    policy, options = load(model, bf16=False), options_of(**changes)
    return Loop(
        policy,
        terms_of(lookup("context-distillation"), options),
        options,
        groups_of(policy, options, answers() if rows is None else rows),
        directory,
        data_fingerprint="answers",
        hooks=hooks,
        teacher=teacher_of(policy, options),
    )


def each_alone(model: Any, groups: Sequence[Group], role: str) -> list[Tensor]:
    """Logits that predict each trained token, one sample at a time, straight from transformers."""
    found = []
    for group in groups:
        for sample in group.samples:
            if sample.role == role:
                start, ids = (
                    len(sample.context.token_ids),
                    sample.context.token_ids + sample.completion.token_ids,
                )
                logits = model(input_ids=torch.tensor([ids])).logits[0]
                found.append(logits[[start + i - 1 for i, t in enumerate(sample.completion.trained) if t]])
    return found


@pytest.mark.parametrize("changes", KINDS, ids=str)
def test_the_divergence_is_that_of_each_sample_under_its_own_context(
    changes: dict[str, Any], tiny: str
) -> None:
    policy, options = load(tiny, bf16=False), options_of(**changes)
    groups = groups_of(policy, options, answers())
    teacher = teacher_of(policy, options)
    assert isinstance(teacher, Snapshot)
    prepare_for_training(policy, options)
    found_N = teacher.divergence(policy, MicroBatch.of(groups))
    student, taught = (torch.cat(each_alone(policy.model, groups, role)) for role in ("policy", "teacher"))
    torch.testing.assert_close(found_N, teacher.how(student, taught), rtol=1e-4, atol=1e-5)
    assert found_N.detach().min() > 0
    found_N.sum().backward()
    ours = {name: p.grad.clone() for name, p in policy.trainable().items()}
    policy.model.zero_grad()
    # The teacher's logits are held fixed: they are of the same weights, but carry no gradient.
    teacher.how(torch.cat(each_alone(policy.model, groups, "policy")), taught.detach()).sum().backward()
    for name, p in policy.trainable().items():
        scale = max(float(p.grad.abs().max()), 1.0)
        assert float((ours[name] - p.grad).abs().max()) < 2e-5 * scale, name


@pytest.mark.parametrize("changes", [*KINDS, {"teacher_model_kind": "ema"}], ids=str)
@pytest.mark.parametrize("adapter", [{}, LORA], ids=["full", "lora"])
def test_without_a_context_of_its_own_it_agrees_with_the_policy_at_the_start(
    adapter: dict[str, Any], changes: dict[str, Any], tiny: str
) -> None:
    policy, options = load(tiny, bf16=False), options_of(**adapter, **changes)
    groups = [
        replace(g, samples=(g.samples[0], replace(g.samples[0], role="teacher")))
        for g in groups_of(policy, options, answers())
    ]
    teacher = teacher_of(policy, options)
    prepare_for_training(policy, options)
    assert float(teacher.divergence(policy, MicroBatch.of(groups)).detach().abs().max()) < 1e-6


def test_adapter_off_is_the_frozen_copy(tiny: str, tmp_path: Path) -> None:
    loop = make_loop(tiny, tmp_path, **LORA)
    copied = Reference.frozen_copy(load(tiny, bf16=False))
    loop.run()
    batch = MicroBatch.of(loop.groups)
    how = Divergence("forward_kl")
    apart = [
        Snapshot(how, reference).divergence(loop.policy, batch) for reference in (Reference(None), copied)
    ]
    torch.testing.assert_close(*apart, rtol=1e-5, atol=1e-6)
    # The policy itself has moved.
    assert not torch.allclose(apart[0], Ema(how, 1.0, 1).divergence(loop.policy, batch), atol=1e-3)


def test_a_frozen_copy_stays_what_it_was(tiny: str, tmp_path: Path) -> None:
    loop = make_loop(tiny, tmp_path)
    assert isinstance(loop.teacher, Snapshot)
    before = {name: p.clone() for name, p in loop.teacher.reference.model.named_parameters()}
    loop.run()
    after = dict(loop.teacher.reference.model.named_parameters())
    assert_same_bits(before, after)
    assert all(p.grad is None for p in after.values())
    started = load(tiny, bf16=False).model
    assert any(
        not torch.equal(p, q)
        for p, q in zip(started.parameters(), loop.policy.model.parameters(), strict=True)
    )


def test_a_frozen_copy_is_of_the_compute_type(tiny: str) -> None:
    for bf16, dtype in ((True, torch.bfloat16), (False, torch.float32)):
        teacher = teacher_of(load(tiny), options_of(bf16=bf16))
        assert isinstance(teacher, Snapshot)
        assert {p.dtype for p in teacher.reference.model.parameters()} == {dtype}


@pytest.mark.parametrize("rate", [1.0, 0.25])
def test_an_average_follows_the_policy_at_its_rate(rate: float, tiny: str, tmp_path: Path) -> None:
    changes = {"teacher_model_kind": "ema", "teacher_update_rate": rate}
    loop = make_loop(tiny, tmp_path, max_steps=1, **changes, **LORA)
    start = weights_of(loop.policy)
    loop.run()
    assert isinstance(loop.teacher, Ema)
    wanted = {name: start[name].lerp(p, rate) for name, p in weights_of(loop.policy).items()}
    assert_close(loop.teacher.state(), wanted, atol=1e-7)
    batch = MicroBatch.of(
        [replace(g, samples=(g.samples[0], replace(g.samples[0], role="teacher"))) for g in loop.groups]
    )
    apart = float(loop.teacher.divergence(loop.policy, batch).detach().max())
    assert apart < 1e-6 if rate == 1.0 else apart > 1e-4


def test_an_average_moves_only_when_it_is_time(tiny: str, tmp_path: Path) -> None:
    changes = {"teacher_model_kind": "ema", "teacher_update_rate": 1.0, "teacher_sync_steps": 3}
    loop = make_loop(tiny, tmp_path, max_steps=2, **changes, **LORA)
    start = weights_of(loop.policy)
    loop.run()
    assert loop.teacher is not None
    assert_same_bits(loop.teacher.state(), start)


def test_the_policys_weights_are_its_own_again_after_scoring(tiny: str, tmp_path: Path) -> None:
    loop = make_loop(tiny, tmp_path, teacher_model_kind="ema", **LORA)
    loop.run()
    before = weights_of(loop.policy)
    assert loop.teacher is not None
    loop.teacher.divergence(loop.policy, MicroBatch.of(loop.groups))
    assert_same_bits(weights_of(loop.policy), before)


# -- runs ------------------------------------------------------------------------------------


class Kill:
    """A hook that stops the process at one step, as a kill would."""

    name = "kill"

    def __init__(self, step: int) -> None:
        self.step = step

    def after_step(self, policy: Policy, step: int, last: bool, metrics: Mapping[str, float]) -> HookResult:
        if step == self.step:
            raise KeyboardInterrupt
        return NOTHING

    def state(self) -> Any:
        return None

    def restore(self, state: Any) -> None:
        pass


@pytest.mark.parametrize("kind", ["base", "ema"])
@pytest.mark.parametrize("adapter", [{}, LORA], ids=["full", "lora"])
def test_a_killed_run_continues_as_if_it_had_not_been(
    adapter: dict[str, Any], kind: str, tiny: str, tmp_path: Path
) -> None:
    changes = {"teacher_model_kind": kind, "save_steps": 2, **adapter}
    unbroken = make_loop(tiny, tmp_path / "unbroken", hooks=[Kill(-1)], **changes)
    unbroken.run()
    with pytest.raises(KeyboardInterrupt):
        make_loop(tiny, tmp_path / "killed", hooks=[Kill(3)], **changes).run()
    continued = make_loop(tiny, tmp_path / "killed", hooks=[Kill(-1)], **changes)
    continued.run()
    assert_same_bits(weights_of(continued.policy), weights_of(unbroken.policy))
    assert metrics_of(tmp_path / "killed") == metrics_of(tmp_path / "unbroken")


@pytest.mark.parametrize("changes", [{"tokens_per_microbatch": 1}, {"tokens_per_microbatch": 400}], ids=str)
def test_splits_of_a_step_train_the_same_weights(changes: dict[str, int], tiny: str, tmp_path: Path) -> None:
    whole = make_loop(tiny, tmp_path / "whole", max_steps=2, tokens_per_microbatch=100_000)
    parts = make_loop(tiny, tmp_path / "parts", max_steps=2, **changes)
    whole.run()
    parts.run()
    assert_close(weights_of(whole.policy), weights_of(parts.policy), atol=1e-5)
    for one, other in zip(metrics_of(tmp_path / "whole"), metrics_of(tmp_path / "parts"), strict=True):
        assert one["loss"] == pytest.approx(other["loss"], rel=2e-5)


@pytest.mark.parametrize("changes", KINDS, ids=str)
def test_the_policy_comes_to_answer_as_under_the_prompt(
    changes: dict[str, Any], tiny: str, tmp_path: Path
) -> None:
    loop = make_loop(tiny, tmp_path, max_steps=25, lr_scheduler_type="constant", **LORA, **changes)
    loop.run()
    losses = [row["loss"] for row in metrics_of(tmp_path)]
    assert min(losses[-5:]) < 0.5 * losses[0]


def test_a_step_gives_the_same_on_a_model_the_one_forward_does_not_know(
    tiny: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fast = make_loop(tiny, tmp_path / "fast", max_steps=1)
    fast.run()
    monkeypatch.setattr(distil, "is_llama_style", lambda model: False)
    slow = make_loop(tiny, tmp_path / "slow", max_steps=1)
    slow.run()
    assert metrics_of(tmp_path / "fast")[0]["loss"] == pytest.approx(
        metrics_of(tmp_path / "slow")[0]["loss"], rel=1e-5
    )


def test_other_completions_on_the_teachers_side_are_refused(tiny: str) -> None:
    policy, options = load(tiny, bf16=False), options_of()
    groups = list(groups_of(policy, options, answers()))
    other = replace(groups[0].samples[1], completion=groups[1].samples[1].completion)
    groups[0] = replace(groups[0], samples=(groups[0].samples[0], other))
    teacher = teacher_of(policy, options)
    with pytest.raises(DataError, match="not the policy's"):
        teacher.divergence(policy, MicroBatch.of(groups))


def test_a_loss_that_needs_a_teacher_is_refused_without_one(tiny: str, tmp_path: Path) -> None:
    policy, options = load(tiny, bf16=False), options_of()
    with pytest.raises(UserError, match="needs a teacher"):
        Loop(
            policy,
            terms_of(lookup("context-distillation"), options),
            options,
            groups_of(policy, options, answers()),
            tmp_path,
            data_fingerprint="answers",
        )
