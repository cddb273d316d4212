"""Training ends when the policy has gone too far, with the last weights that had not."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from charter.catalogue import lookup
from charter.data.formats import load_groups
from charter.data.prepare import prepare
from charter.errors import Interrupted
from charter.evaluation.health import kl_stop
from charter.evaluation.health.kl_stop import PROBE_PROMPTS, KLStop
from charter.models.load import load
from charter.models.policy import Policy
from charter.testing import save_tiny
from charter.training.hooks import HookResult
from charter.training.loop import Loop
from charter.training.terms import terms_of
from charter.types import Context

ROWS = [
    {
        "prompt": [{"role": "user", "content": f"Say {i}"}],
        "chosen": [{"role": "assistant", "content": f"yes {i}"}],
        "rejected": [{"role": "assistant", "content": f"no no {i}"}],
    }
    for i in range(8)
]


@pytest.fixture(scope="module", autouse=True)
def quick() -> Iterator[None]:
    threads, tokens = torch.get_num_threads(), kl_stop.PROBE_TOKENS
    torch.set_num_threads(1)
    kl_stop.PROBE_TOKENS = 12
    yield
    torch.set_num_threads(threads)
    kl_stop.PROBE_TOKENS = tokens


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save_tiny(str(tmp_path_factory.mktemp("tiny")))


class Watched(KLStop):
    """Also keeps the weights it found well."""

    def after_step(self, policy: Policy, step: int, last: bool, metrics: Mapping[str, float]) -> HookResult:
        found = super().after_step(policy, step, last, metrics)
        if found.well:
            self.well_step, self.well = step, weights_of(policy)
        return found


def weights_of(policy: Policy) -> dict[str, Tensor]:
    return {name: p.detach().clone() for name, p in policy.trainable().items()}


def same(left: dict[str, Tensor], right: dict[str, Tensor]) -> bool:
    return left.keys() == right.keys() and all(torch.equal(v, right[k]) for k, v in left.items())


def make(tiny: str, directory: Path, hook: type[KLStop] | None = Watched, **changes: Any) -> tuple[Loop, Any]:
    values = {
        "bf16": False,
        "max_steps": 12,
        "max_length": None,
        "per_device_train_batch_size": 4,
        "max_kl": 1.0,
        "kl_steps": 1,
        "learning_rate": 1e-3,
        **changes,
    }
    options = lookup("dpo").options(**values)
    policy = load(tiny, bf16=False)
    groups = prepare(load_groups(ROWS, "preference"), policy.template).groups
    made: list[Any] = []
    if hook is not None:
        made = [
            hook(
                policy,
                [g.samples[0].context for g in groups],
                max_kl=options.max_kl or 0.0,
                every=options.kl_steps,
                with_adapter=options.use_peft,
                seed=1,
            )
        ]
    loop = Loop(
        policy, terms_of(lookup("dpo"), options), options, groups, directory, data_fingerprint="x", hooks=made
    )
    return loop, made[0] if made else None


@pytest.mark.parametrize(
    "changes", [{}, {"use_peft": True, "learning_rate": 5e-3, "lora_r": 4}], ids=["full", "lora"]
)
def test_it_stops_and_goes_back_to_the_last_weights_under_the_limit(
    changes: dict[str, Any], tiny: str, tmp_path: Path
) -> None:
    loop, hook = make(tiny, tmp_path, max_kl=2.0, **changes)
    result = loop.run()
    assert 1 < result.steps < 12
    measured = [kl for _, kl in hook.history]
    assert [step for step, _ in hook.history] == list(range(1, result.steps + 1))
    assert measured[-1] > 2.0 >= max(measured[:-1])
    assert hook.well_step == result.steps - 1
    assert same(weights_of(loop.policy), hook.well)
    assert result.stopped_by == (
        f"KL {measured[-1]:.1f} nats per sequence exceeded max_kl 2 at step {result.steps}; "
        f"kept the weights of step {result.steps - 1}"
    )
    assert loop.policy.version == result.steps - 1
    again = load(str(tmp_path / "model"), bf16=False)
    saved = dict(again.model.named_parameters())
    assert all(torch.equal(saved[name], value) for name, value in hook.well.items())
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [row["kl"] for row in rows] == pytest.approx(measured, rel=1e-5)
    assert all(row["kl_stderr"] > 0 for row in rows)


def test_when_the_first_measurement_is_over_the_limit_nothing_is_learnt(tiny: str, tmp_path: Path) -> None:
    loop, _ = make(tiny, tmp_path, learning_rate=0.5, kl_steps=3)
    before = weights_of(loop.policy)
    result = loop.run()
    assert result.steps == 3
    assert result.stopped_by.endswith("at step 3; kept the weights of step 0")
    assert same(weights_of(loop.policy), before)


def test_a_gentle_run_is_measured_and_not_stopped(tiny: str, tmp_path: Path) -> None:
    loop, hook = make(tiny, tmp_path, learning_rate=1e-6, kl_steps=5)
    result = loop.run()
    assert (result.steps, result.stopped_by) == (12, "end of data")
    assert [step for step, _ in hook.history] == [5, 10, 12]  # the last step always
    assert 0 <= hook.history[-1][1] < 0.1


@pytest.mark.parametrize(
    "changes", [{}, {"use_peft": True, "lora_dropout": 0.3, "learning_rate": 1e-3}], ids=["full", "dropout"]
)
def test_measuring_does_not_change_the_training(changes: dict[str, Any], tiny: str, tmp_path: Path) -> None:
    with_it, hook = make(tiny, tmp_path / "with", max_kl=1e9, **changes)
    without, _ = make(tiny, tmp_path / "without", hook=None, max_kl=1e9, **changes)
    with_it.run()
    without.run()
    assert len(hook.history) == 12
    assert same(weights_of(with_it.policy), weights_of(without.policy))


class Kills(Watched):
    """Sends a signal when it measures step 4."""

    def after_step(self, policy: Policy, step: int, last: bool, metrics: Mapping[str, float]) -> HookResult:
        if step == 4 and len(self.history) == 3:
            os.kill(os.getpid(), signal.SIGINT)
        return super().after_step(policy, step, last, metrics)


def test_history_and_good_weights_survive_being_stopped_while_measuring(tiny: str, tmp_path: Path) -> None:
    whole, expected = make(tiny, tmp_path / "whole", max_kl=2.0)
    result = whole.run()
    assert result.steps >= 4
    stopped, _ = make(tiny, tmp_path / "run", Kills, max_kl=2.0)
    with pytest.raises(Interrupted, match="stopped at step 4 of 12, saved"):
        stopped.run()
    loop, hook = make(tiny, tmp_path / "run", max_kl=2.0)
    again = loop.run()
    assert hook.history == expected.history
    assert (again.steps, again.stopped_by) == (result.steps, result.stopped_by)
    assert same(weights_of(loop.policy), weights_of(whole.policy))


def test_the_probe_is_a_spread_of_distinct_prompts(tiny: str) -> None:
    policy = load(tiny, bf16=False)
    contexts = [Context(token_ids=(1, 2, i // 2)) for i in range(200)]
    hook = KLStop(policy, contexts, max_kl=1.0, every=1, with_adapter=True, seed=0)
    assert len(hook.contexts) == len({c.token_ids for c in hook.contexts}) == PROBE_PROMPTS
    assert hook.contexts[-1].token_ids[-1] > 80
    few = KLStop(policy, contexts[:6], max_kl=1.0, every=1, with_adapter=True, seed=0)
    assert len(few.contexts) == 3


def test_a_kl_that_is_not_a_number_stops_too(tiny: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from charter.evaluation.health.fluency import Estimate

    policy = load(tiny, bf16=False)
    contexts = [Context(token_ids=(1, 2, 3))]
    hook = KLStop(policy, contexts, max_kl=1.0, every=1, with_adapter=False, seed=0)
    monkeypatch.setattr(kl_stop, "kl_per_sequence", lambda *args: Estimate(float("nan"), 0.0, 1))
    found = hook.after_step(policy, 1, last=False, metrics={})
    assert found.well is False and found.stop is not None and found.stop.go_back


def test_steps_between_measurements_are_left_alone(tiny: str) -> None:
    policy = load(tiny, bf16=False)
    contexts = [replace(Context(), token_ids=(1, 2, 3))]
    hook = KLStop(policy, contexts, max_kl=1.0, every=4, with_adapter=False, seed=0)
    for step in (1, 2, 3, 5):
        found = hook.after_step(policy, step, last=False, metrics={})
        assert (found.metrics, found.well, found.stop) == ({}, None, None)
    assert hook.after_step(policy, 4, last=False, metrics={}).well
    assert hook.after_step(policy, 5, last=True, metrics={}).well
    restored = KLStop(policy, contexts, max_kl=1.0, every=4, with_adapter=False, seed=0)
    restored.restore(json.loads(json.dumps(hook.state())))
    assert restored.history == hook.history
