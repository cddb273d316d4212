"""What a policy is held against: frozen, moving, or the policy that sampled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from label_runs import labelled, run_of
from test_resume import At, interrupt_at_once
from torch import Tensor
from training_setup import assert_close, assert_same_bits, metrics_of, moments_of, pairs, weights_of

from charter.errors import DataError, Interrupted
from charter.models.load import load
from charter.models.policy import Policy
from charter.models.score import score
from charter.training.batch import MicroBatch
from charter.training.hooks import HookResult
from charter.training.loop import Loop
from charter.training.references import Behaviour, Frozen, Moving, ReferencePlan, sampler_logps
from charter.types import Completion, Context, Sample

LORA = {"use_peft": True, "lora_r": 4}
FULL: dict[str, Any] = {}
both = pytest.mark.parametrize("tuning", [FULL, LORA], ids=["full", "lora"])


class Watch:
    """A hook that keeps the weights and the reference's log-probs after every step."""

    name = "watch"

    def __init__(self) -> None:
        self.loop: Loop | None = None
        self.weights: dict[int, dict[str, Tensor]] = {}
        self.reference: dict[int, Tensor] = {}

    def after_step(self, policy: Policy, step: int, last: bool, metrics: Mapping[str, float]) -> HookResult:
        assert self.loop is not None and self.loop.reference is not None
        self.weights[step] = weights_of(policy)
        self.reference[step] = self.loop.reference.logps(policy, batch_of(self.loop)).clone()
        return HookResult({})

    def state(self) -> Any:
        return None

    def restore(self, state: Any) -> None:
        pass


def batch_of(loop: Loop) -> MicroBatch:
    return MicroBatch.of(loop.groups, loop.columns)


@torch.no_grad()
def logps_under(loop: Loop, weights: dict[str, Tensor]) -> Tensor:
    """Log-probs of all samples with other weights."""
    own = weights_of(loop.policy)
    put(loop.policy, weights)
    found = score(loop.policy.model, batch_of(loop).packed).logps_N
    put(loop.policy, own)
    assert found is not None
    return found


@torch.no_grad()
def put(policy: Policy, weights: dict[str, Tensor]) -> None:
    for name, parameter in policy.trainable().items():
        parameter.copy_(weights[name])


def watched(tiny: str, directory: Path, plan: ReferencePlan, **changes: Any) -> tuple[Loop, Watch, Any]:
    """A finished DPO run, what was seen of it, and the weights it began with."""
    watch = Watch()
    loop = run_of(tiny, directory, "dpo", pairs(), plan=plan, hooks=[watch], **changes)
    watch.loop = loop
    start = weights_of(loop.policy)
    loop.run()
    return loop, watch, start


# -- moving -------------------------------------------------------------------------------------


@both
def test_replaced_at_every_step_it_is_the_policy_after_that_step(
    tuning: dict[str, Any], tiny: str, tmp_path: Path
) -> None:
    loop, watch, _ = watched(tiny, tmp_path, ReferencePlan("moving", alpha=1.0, every=1), **tuning)
    for step, weights in watch.weights.items():
        assert torch.equal(watch.reference[step], logps_under(loop, weights)), step
    assert not torch.equal(watch.reference[1], watch.reference[5])


def test_against_the_policy_of_the_step_before_every_loss_is_that_of_no_margin(
    tiny: str, tmp_path: Path
) -> None:
    """The policy meets a copy of itself at each step: ln 2 always, which DPO leaves behind."""
    run_of(tiny, tmp_path, "dpo", pairs(), plan=ReferencePlan("moving", 1.0, 1)).run()
    assert [row["loss"] for row in metrics_of(tmp_path)] == pytest.approx([0.693147] * 5, abs=1e-6)
    run_of(tiny, tmp_path / "frozen", "dpo", pairs()).run()
    assert abs(metrics_of(tmp_path / "frozen")[-1]["loss"] - 0.693147) > 1e-3


@both
@pytest.mark.parametrize(("alpha", "every"), [(0.6, 1), (0.6, 2), (0.05, 1), (1.0, 3)])
def test_weights_are_the_mixture_written_down_step_by_step(
    alpha: float, every: int, tuning: dict[str, Any], tiny: str, tmp_path: Path
) -> None:
    loop, watch, expected = watched(tiny, tmp_path, ReferencePlan("moving", alpha, every), **tuning)
    for step, weights in watch.weights.items():
        if step % every == 0:
            expected = {name: alpha * weights[name] + (1 - alpha) * old for name, old in expected.items()}
        torch.testing.assert_close(watch.reference[step], logps_under(loop, expected), rtol=0, atol=2e-5)
    assert isinstance(loop.reference, Moving)
    assert_close(loop.reference.weights, expected, atol=1e-6)


@both
def test_until_it_first_moves_it_is_the_frozen_reference(
    tuning: dict[str, Any], tiny: str, tmp_path: Path
) -> None:
    moving = run_of(tiny, tmp_path / "moving", "dpo", pairs(), plan=ReferencePlan("moving", 0.6, 4), **tuning)
    frozen = run_of(tiny, tmp_path / "frozen", "dpo", pairs(), **tuning)
    moving.run()
    frozen.run()
    rows = zip(metrics_of(tmp_path / "moving"), metrics_of(tmp_path / "frozen"), strict=True)
    losses = [(one["loss"], other["loss"]) for one, other in rows]
    for one, other in losses[:4]:
        assert one == pytest.approx(other, abs=2e-5)
    assert losses[4][0] != pytest.approx(losses[4][1], abs=1e-3)


@both
def test_looking_at_the_reference_leaves_the_policy_as_it_is(
    tuning: dict[str, Any], tiny: str, tmp_path: Path
) -> None:
    loop = run_of(
        tiny, tmp_path, "dpo", pairs(), plan=ReferencePlan("moving", 0.6, 2), lora_dropout=None, **tuning
    )
    loop.run()
    assert isinstance(loop.reference, Moving)
    before, storage = weights_of(loop.policy), {n: p.data_ptr() for n, p in loop.policy.trainable().items()}
    loop.policy.model.train()
    found = loop.reference.logps(loop.policy, batch_of(loop))
    assert not found.requires_grad and loop.policy.model.training
    assert_same_bits(weights_of(loop.policy), before)
    assert {n: p.data_ptr() for n, p in loop.policy.trainable().items()} == storage
    with pytest.raises(RuntimeError, match="in between"), loop.reference.installed(loop.policy):
        raise RuntimeError("in between")
    assert_same_bits(weights_of(loop.policy), before)


def test_a_gradient_is_the_policys_own_though_the_reference_was_computed_in_between(
    tiny: str, tmp_path: Path
) -> None:
    """Scoring the reference swaps weights between the policy's forward and its backward."""
    loop = run_of(tiny, tmp_path, "dpo", pairs(), plan=ReferencePlan("moving", 0.6, 1), max_steps=3)
    loop.run()
    batch = batch_of(loop)
    loop.stepper._accumulate([batch])
    found = {n: p.grad.clone() for n, p in loop.policy.trainable().items() if p.grad is not None}
    loop.optimizer.zero_grad()
    assert isinstance(loop.reference, Moving)
    fixed = loop.reference.logps(loop.policy, batch)

    class Stored(Moving):
        def logps(self, policy: Policy, batch: MicroBatch) -> Tensor:
            return fixed

    loop.stepper.scorer.reference = Stored(loop.policy, 0.6, 1)
    loop.stepper._accumulate([batch])
    assert_same_bits(found, {n: p.grad for n, p in loop.policy.trainable().items() if p.grad is not None})
    assert any(grad.abs().max() > 0 for grad in found.values())


def test_adapter_dropout_is_off_in_the_reference(tiny: str, tmp_path: Path) -> None:
    plan = ReferencePlan("moving", 0.6, 2)
    loop = run_of(tiny, tmp_path, "dpo", pairs(), plan=plan, use_peft=True, lora_dropout=0.5)
    loop.run()
    loop.policy.model.train()
    assert loop.reference is not None
    found = [loop.reference.logps(loop.policy, batch_of(loop)) for _ in range(2)]
    assert torch.equal(found[0], found[1])


MOVING = {
    "full": {},
    "lora": LORA,
    "lora-dropout": {**LORA, "lora_dropout": 0.3},
    "every step": {"plan": ReferencePlan("moving", 0.1, 1)},
}


@pytest.mark.parametrize("step", [1, 2, 3, 4])
@pytest.mark.parametrize("name", MOVING)
def test_a_run_killed_and_continued_is_the_unbroken_run(
    name: str, step: int, tiny: str, tmp_path: Path
) -> None:
    values = {"plan": ReferencePlan("moving", 0.6, 2), "save_steps": 1, **MOVING[name]}
    whole = run_of(tiny, tmp_path / "whole", "dpo", pairs(), hooks=[At()], **values)
    whole.run()
    with pytest.raises(KeyboardInterrupt):
        run_of(tiny, tmp_path / "p", "dpo", pairs(), hooks=[At(step, interrupt_at_once)], **values).run()
    parts = run_of(tiny, tmp_path / "p", "dpo", pairs(), hooks=[At()], **values)
    parts.run()
    assert_same_bits(weights_of(parts.policy), weights_of(whole.policy))
    assert_same_bits(moments_of(parts), moments_of(whole))
    assert metrics_of(tmp_path / "p") == metrics_of(tmp_path / "whole")
    assert isinstance(parts.reference, Moving) and isinstance(whole.reference, Moving)
    assert_same_bits(parts.reference.weights, whole.reference.weights)


def test_a_finished_run_loads_the_reference_it_ended_with(tiny: str, tmp_path: Path) -> None:
    values: dict[str, Any] = {"plan": ReferencePlan("moving", 0.6, 2)}
    first = run_of(tiny, tmp_path, "dpo", pairs(), **values)
    first.run()
    again = run_of(tiny, tmp_path, "dpo", pairs(), **values)
    again.run()
    assert isinstance(first.reference, Moving) and isinstance(again.reference, Moving)
    assert_same_bits(again.reference.weights, first.reference.weights)


def test_an_interrupted_run_saves_its_reference(tiny: str, tmp_path: Path) -> None:
    plan = ReferencePlan("moving", 0.6, 1)

    def stop() -> None:
        raise Interrupted("stop", signum=2)

    loop = run_of(tiny, tmp_path, "dpo", pairs(), plan=plan, hooks=[At(3, stop)], save_steps=100)
    with pytest.raises(Interrupted):
        loop.run()
    again = run_of(tiny, tmp_path, "dpo", pairs(), plan=plan, hooks=[At()], save_steps=100)
    again.run()
    whole = run_of(tiny, tmp_path / "whole", "dpo", pairs(), plan=plan, hooks=[At()], save_steps=100)
    whole.run()
    assert_same_bits(weights_of(again.policy), weights_of(whole.policy))


@pytest.mark.parametrize("algorithm", ["kto", "apo-zero-unpaired"])
def test_labelled_answers_are_held_against_it_too(algorithm: str, tiny: str, tmp_path: Path) -> None:
    """At the policy of the step before, rewards and the reference point are 0 at every step."""
    changes = {"sync_ref_model": True, "ref_model_sync_steps": 1, "ref_model_mixup_alpha": 1.0}
    run_of(tiny, tmp_path, algorithm, labelled(), **changes).run()
    for row in metrics_of(tmp_path):
        assert row["loss"] == pytest.approx(0.5, abs=1e-6)
        assert row.get("kl/mismatched", 0.0) == pytest.approx(0.0, abs=1e-5)


# -- frozen ---------------------------------------------------------------------------------------


@both
def test_a_frozen_reference_does_not_change_while_the_policy_trains(
    tuning: dict[str, Any], tiny: str, tmp_path: Path
) -> None:
    loop, watch, start = watched(tiny, tmp_path, ReferencePlan("frozen"), **tuning)
    assert isinstance(loop.reference, Frozen)
    before = logps_under(loop, start)
    for step, reference in watch.reference.items():
        torch.testing.assert_close(reference, before, rtol=0, atol=2e-5)
        assert torch.equal(reference, watch.reference[1]), step
    assert (logps_under(loop, weights_of(loop.policy)) - before).abs().max() > 1e-2


def test_a_continued_run_reads_the_frozen_reference_of_its_beginning(tiny: str, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        run_of(tiny, tmp_path, "dpo", pairs(), hooks=[At(3, interrupt_at_once)], save_steps=1).run()
    (tmp_path / "reference.safetensors").unlink()  # then it is scored again, before weights are restored
    parts = run_of(tiny, tmp_path, "dpo", pairs(), hooks=[At()], save_steps=1)
    parts.run()
    whole = run_of(tiny, tmp_path / "whole", "dpo", pairs(), hooks=[At()], save_steps=1)
    whole.run()
    assert_same_bits(weights_of(parts.policy), weights_of(whole.policy))


# -- behaviour ----------------------------------------------------------------------------------------


def sample(
    logps: tuple[float, ...], trained: tuple[bool, ...] | None = None, prompt: tuple[int, ...] = (1, 2)
) -> Sample:
    ids = tuple(range(10, 10 + len(logps)))
    return Sample(
        Context(token_ids=prompt),
        Completion(token_ids=ids, trained=trained or (True,) * len(ids), logps=logps),
    )


def test_recorded_log_probs_of_the_scored_tokens_in_order() -> None:
    found = sampler_logps([sample((-1.0, -2.0)), sample((-3.0, -4.0, -5.0), (True, False, True))])
    assert found.tolist() == [-1.0, -2.0, -3.0, -5.0]


def test_the_first_token_of_a_text_without_prompt_is_not_scored() -> None:
    assert sampler_logps([sample((-1.0, -2.0), prompt=())]).tolist() == [-2.0]


def test_answers_without_recorded_log_probs_are_an_error_with_the_way_out() -> None:
    bare = replace(sample((-1.0,)), completion=Completion(token_ids=(5,), trained=(True,)))
    with pytest.raises(DataError, match="no log-probs of the model that sampled it") as caught:
        sampler_logps([sample((-1.0,)), bare])
    assert "charter sample" in str(caught.value)


def test_training_against_data_without_log_probs_stops_before_the_first_step(
    tiny: str, tmp_path: Path
) -> None:
    loop = run_of(tiny, tmp_path, "dpo", pairs(), plan=ReferencePlan("behaviour"))
    start = weights_of(loop.policy)
    with pytest.raises(DataError, match="no log-probs of the model that sampled it"):
        loop.run()
    assert_same_bits(weights_of(loop.policy), start)
    assert loop.state.done == 0


def with_logps(loop: Loop, logps_N: Tensor) -> None:
    """Record log-probs on every completion of the loop's groups."""
    batch = batch_of(loop)
    parts = logps_N.split(batch.packed.lengths_B.tolist())
    recorded = {}
    for one, part in zip(batch.samples, parts, strict=True):
        values, at = [0.0] * len(one.completion.token_ids), iter(part.tolist())
        values = [next(at) if trained else 0.0 for trained in one.completion.trained]
        recorded[id(one)] = replace(one, completion=replace(one.completion, logps=tuple(values)))
    loop.groups = [
        replace(group, samples=tuple(recorded[id(s)] for s in group.samples)) for group in loop.groups
    ]
    loop.source._groups = loop.groups


def test_sampled_by_the_policy_itself_it_is_the_frozen_reference(tiny: str, tmp_path: Path) -> None:
    behaviour = run_of(tiny, tmp_path / "behaviour", "dpo", pairs(), plan=ReferencePlan("behaviour"))
    assert isinstance(behaviour.reference, Behaviour) and behaviour.reference.state() == {}
    with_logps(behaviour, logps_under(behaviour, weights_of(behaviour.policy)))
    behaviour.run()
    frozen = run_of(tiny, tmp_path / "frozen", "dpo", pairs())
    frozen.run()
    assert not (tmp_path / "behaviour" / "reference.safetensors").exists()
    rows = zip(metrics_of(tmp_path / "behaviour"), metrics_of(tmp_path / "frozen"), strict=True)
    for one, other in rows:
        assert one["loss"] == pytest.approx(other["loss"], abs=2e-5)


def test_another_sampler_is_another_reference(tiny: str, tmp_path: Path) -> None:
    loop = run_of(tiny, tmp_path, "dpo", pairs(), plan=ReferencePlan("behaviour"), max_steps=1)
    own = logps_under(loop, weights_of(loop.policy))
    with_logps(loop, own - torch.rand(own.shape, generator=torch.Generator().manual_seed(0)))
    loop.run()
    (row,) = metrics_of(tmp_path)
    assert row["loss"] != pytest.approx(0.693147, abs=1e-3)
    assert row["rewards/chosen"] > 0.1  # the policy finds the answers likelier than their sampler did


def test_the_policy_of_this_session_is_the_one_that_is_copied(tiny: str, tmp_path: Path) -> None:
    policy = load(tiny, bf16=False)
    loop = run_of(tiny, tmp_path, "dpo", pairs(), plan=ReferencePlan("moving", 0.6, 2), policy=policy)
    assert isinstance(loop.reference, Moving)
    assert_same_bits(loop.reference.weights, weights_of(policy))
    for name, weight in loop.reference.weights.items():
        assert weight.data_ptr() != policy.trainable()[name].data_ptr()
