"""A run that was killed and continued is, bit for bit, the run that was not."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor
from training_setup import assert_same_bits, make_loop, metrics_of, moments_of, pairs, weights_of

from charter.errors import Interrupted, UserError, exit_code_of
from charter.models.policy import Policy
from charter.training.hooks import NOTHING, HookResult, Stop
from charter.training.loop import Loop

STEPS = 5
VARIANTS: dict[str, dict[str, Any]] = {
    "sft": {"algorithm": "sft"},
    "dpo": {"algorithm": "dpo"},
    "sft-dropout": {"algorithm": "sft", "use_peft": True, "lora_dropout": 0.3, "learning_rate": 1e-2},
    "dpo-dropout": {"algorithm": "dpo", "use_peft": True, "lora_dropout": 0.3, "learning_rate": 1e-2},
}


class At:
    """A hook that does something after one step, and remembers the steps it saw."""

    name = "at"

    def __init__(self, step: int = 0, act: Callable[[], HookResult | None] = lambda: None) -> None:
        self.step, self.act, self.seen = step, act, list[int]()

    def after_step(self, policy: Policy, step: int, last: bool, metrics: Mapping[str, float]) -> HookResult:
        self.seen.append(step)
        return (self.act() if step == self.step else None) or NOTHING

    def state(self) -> Any:
        return self.seen

    def restore(self, state: Any) -> None:
        self.seen = list(state)


def interrupt_at_once() -> None:
    raise KeyboardInterrupt


def loop_of(variant: str, tiny: str, directory: Path, hook: At | None = None, **changes: Any) -> Loop:
    values = {"max_steps": STEPS, "save_steps": 2, **VARIANTS[variant], **changes}
    return make_loop(tiny, directory, hooks=[hook or At()], **values)


Result = tuple[dict[str, Tensor], dict[str, Tensor], list[Any]]


def result_of(loop: Loop) -> Result:
    return weights_of(loop.policy), moments_of(loop), metrics_of(loop.directory)


def assert_same_run(found: Result, expected: Result) -> None:
    assert_same_bits(found[0], expected[0])
    assert_same_bits(found[1], expected[1])
    assert found[2] == expected[2]


@pytest.fixture(scope="module")
def unbroken(tiny: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Result]:
    found = {}
    for variant in VARIANTS:
        loop = loop_of(variant, tiny, tmp_path_factory.mktemp(variant))
        loop.run()
        found[variant] = result_of(loop)
    return found


def test_two_unbroken_runs_are_the_same(tiny: str, tmp_path: Path, unbroken: dict[str, Result]) -> None:
    loop = loop_of("dpo-dropout", tiny, tmp_path)
    loop.run()
    assert_same_run(result_of(loop), unbroken["dpo-dropout"])
    assert any(value.abs().max() > 0 for value in unbroken["dpo-dropout"][0].values())


@pytest.mark.parametrize("step", range(1, STEPS + 1))
@pytest.mark.parametrize("variant", VARIANTS)
def test_stopped_at_once_after_any_step(
    variant: str, step: int, tiny: str, tmp_path: Path, unbroken: dict[str, Result]
) -> None:
    with pytest.raises(KeyboardInterrupt):
        loop_of(variant, tiny, tmp_path, At(step, interrupt_at_once)).run()
    assert not (tmp_path / "model").exists()
    hook = At()
    loop = loop_of(variant, tiny, tmp_path, hook)
    assert loop.run().steps == STEPS
    assert_same_run(result_of(loop), unbroken[variant])
    assert hook.seen == list(range(1, STEPS + 1))


KILLED = """
import os, sys
import torch
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from test_resume import At, loop_of
torch.set_num_threads(1)
loop_of(sys.argv[2], sys.argv[3], Path(sys.argv[4]), At(int(sys.argv[5]), lambda: os._exit(9))).run()
"""


def test_killed_after_a_step(tiny: str, tmp_path: Path, unbroken: dict[str, Result]) -> None:
    kills = {"dpo-dropout": 3, "sft": 4}
    processes = []
    for variant, step in kills.items():
        arguments = [str(Path(__file__).parent), variant, tiny, str(tmp_path / variant), str(step)]
        processes.append(subprocess.Popen([sys.executable, "-c", KILLED, *arguments]))
    assert [process.wait() for process in processes] == [9, 9]
    for variant in kills:
        assert (tmp_path / variant / "checkpoints" / "step-2").is_dir()
        loop = loop_of(variant, tiny, tmp_path / variant)
        loop.run()
        assert_same_run(result_of(loop), unbroken[variant])


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_finishes_the_step_saves_and_says_how_to_go_on(
    signum: int, code: int, tiny: str, tmp_path: Path, unbroken: dict[str, Result]
) -> None:
    before = signal.getsignal(signum)
    hook = At(3, lambda: os.kill(os.getpid(), signum))
    with pytest.raises(Interrupted, match="stopped at step 3 of 5, saved") as stopped:
        loop_of("dpo-dropout", tiny, tmp_path, hook).run()
    assert exit_code_of(stopped.value) == code
    assert stopped.value.fix == "run the same command again to continue"
    assert signal.getsignal(signum) is before
    assert sorted(p.name for p in (tmp_path / "checkpoints").iterdir()) == ["step-2", "step-3"]
    loop = loop_of("dpo-dropout", tiny, tmp_path)
    loop.run()
    assert_same_run(result_of(loop), unbroken["dpo-dropout"])


def test_a_hook_interrupted_at_its_work_works_again_after_resuming(
    tiny: str, tmp_path: Path, unbroken: dict[str, Result]
) -> None:
    """Sampling inside a hook raises Interrupted; the step it belongs to is not lost."""

    def sampling_stopped() -> None:
        raise Interrupted("sampling was stopped", signum=signal.SIGINT)

    with pytest.raises(Interrupted, match="stopped at step 3 of 5, saved"):
        loop_of("dpo", tiny, tmp_path, At(3, sampling_stopped)).run()
    assert [row["step"] for row in metrics_of(tmp_path)] == [1, 2]
    worked: list[int] = []
    loop = loop_of("dpo", tiny, tmp_path, At(3, lambda: worked.append(3)))
    loop.run()
    assert worked == [3]
    assert_same_run(result_of(loop), unbroken["dpo"])


def test_stopping_with_the_last_step_still_finishes(tiny: str, tmp_path: Path) -> None:
    hook = At(STEPS, lambda: os.kill(os.getpid(), signal.SIGINT))
    assert loop_of("sft", tiny, tmp_path, hook).run().steps == STEPS
    assert (tmp_path / "model").is_dir()


def test_stopping_while_the_reference_is_scored_keeps_what_was_scored(
    tiny: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unbroken: dict[str, Result]
) -> None:
    from charter.models import reference

    original = reference.ReferenceCache._score
    calls: list[int] = []

    def score_and_signal(self: Any, policy: Any, groups: Any) -> None:
        calls.append(len(groups))
        original(self, policy, groups)
        if len(calls) == 2:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(reference.ReferenceCache, "_score", score_and_signal)
    with pytest.raises(Interrupted, match="reference, saved"):
        loop_of("dpo", tiny, tmp_path, tokens_per_microbatch=200).run()
    scored = sum(calls)
    assert 0 < scored < 10
    loop_of("dpo", tiny, tmp_path, tokens_per_microbatch=200).run()
    assert sum(calls) == 10


def files_under(directory: Path) -> dict[str, bytes]:
    return {str(p.relative_to(directory)): p.read_bytes() for p in directory.rglob("*") if p.is_file()}


def test_resuming_a_finished_run_changes_nothing(
    tiny: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = loop_of("dpo", tiny, tmp_path)
    result = first.run()
    before = files_under(tmp_path)
    hook = At()
    again = loop_of("dpo", tiny, tmp_path, hook)
    assert again.run() == result
    assert files_under(tmp_path) == before
    assert hook.seen == list(range(1, STEPS + 1))
    assert_same_bits(weights_of(again.policy), weights_of(first.policy))
    assert again.policy.version == STEPS
    assert "this run had finished: 5 of 5 steps" in capsys.readouterr().err


def test_a_finished_run_whose_model_was_lost_saves_it_again(tiny: str, tmp_path: Path) -> None:
    loop_of("sft", tiny, tmp_path).run()
    weights = (tmp_path / "model" / "model.safetensors").read_bytes()
    for file in (tmp_path / "model").iterdir():
        file.unlink()
    (tmp_path / "model").rmdir()
    loop_of("sft", tiny, tmp_path).run()
    assert (tmp_path / "model" / "model.safetensors").read_bytes() == weights


def test_never_starts_over(tiny: str, tmp_path: Path, unbroken: dict[str, Result]) -> None:
    loop_of("sft", tiny, tmp_path, max_steps=30).run()
    loop = loop_of("sft", tiny, tmp_path)
    loop.run(resume="never")
    assert_same_run(result_of(loop), unbroken["sft"])
    assert sorted(p.name for p in (tmp_path / "checkpoints").iterdir()) == ["step-4", "step-5"]


def test_never_then_killed_at_once_does_not_fall_back_on_the_old_run(tiny: str, tmp_path: Path) -> None:
    loop_of("sft", tiny, tmp_path).run()
    with pytest.raises(KeyboardInterrupt):
        loop_of("sft", tiny, tmp_path, At(1, interrupt_at_once)).run(resume="never")
    hook = At()
    loop_of("sft", tiny, tmp_path, hook).run()
    assert hook.seen == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"learning_rate": 0.5}, "learning_rate was 0.001, now 0.5"),
        ({"per_device_train_batch_size": 2}, "per_device_train_batch_size was 4, now 2"),
        ({"beta": 0.9}, "beta was 0.1, now 0.9"),
        ({"max_steps": 9}, "max_steps was 5, now 9"),
        ({"use_peft": True}, "use_peft was False, now True"),
        ({"seed": 1}, "seed was 42, now 1"),
        ({"rows": pairs(9)}, "data was '"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_resuming_something_else_is_refused_with_both_values(
    changes: dict[str, Any], message: str, tiny: str, tmp_path: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        loop_of("dpo", tiny, tmp_path, At(3, interrupt_at_once)).run()
    before = files_under(tmp_path)
    with pytest.raises(UserError) as refused:
        loop_of("dpo", tiny, tmp_path, **changes).run()
    assert message in str(refused.value)
    assert ", now " in str(refused.value)
    assert str(tmp_path) in str(refused.value)
    assert files_under(tmp_path) == before


def test_resuming_on_other_weights_of_the_same_name_is_refused(tiny: str, tmp_path: Path) -> None:
    from charter.testing import save_tiny

    model = save_tiny(str(tmp_path / "model-a"))
    with pytest.raises(KeyboardInterrupt):
        loop_of("dpo", model, tmp_path / "run", At(3, interrupt_at_once)).run()
    save_tiny(model, seed=1)
    with pytest.raises(UserError, match="weights was"):
        loop_of("dpo", model, tmp_path / "run").run()


def test_options_that_do_not_touch_the_weights_may_change(
    tiny: str, tmp_path: Path, unbroken: dict[str, Result]
) -> None:
    with pytest.raises(KeyboardInterrupt):
        loop_of("sft", tiny, tmp_path, At(3, interrupt_at_once)).run()
    loop = loop_of("sft", tiny, tmp_path, save_steps=1, save_total_limit=5, logging_steps=2)
    loop.run()
    assert_same_bits(weights_of(loop.policy), unbroken["sft"][0])
    assert [row["step"] for row in metrics_of(tmp_path)] == [1, 2, 4, 5]


def test_a_torn_line_of_metrics_is_written_again(
    tiny: str, tmp_path: Path, unbroken: dict[str, Result]
) -> None:
    with pytest.raises(KeyboardInterrupt):
        loop_of("sft", tiny, tmp_path, At(4, interrupt_at_once)).run()
    with open(tmp_path / "metrics.jsonl", "a") as file:
        file.write('{"step": 4, "loss": 0.')
    loop = loop_of("sft", tiny, tmp_path)
    loop.run()
    assert_same_run(result_of(loop), unbroken["sft"])


def test_a_stop_survives_a_kill_before_the_model_is_saved(
    tiny: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hook asked to stop and go back; the next process must do it, not train on."""
    from charter.training import loop as module

    class Guard(At):
        def after_step(
            self, policy: Policy, step: int, last: bool, metrics: Mapping[str, float]
        ) -> HookResult:
            super().after_step(policy, step, last, metrics)
            if step < 2:
                return HookResult({}, well=True)
            return HookResult({}, well=False, stop=Stop("enough", go_back=True))

    def killed(*args: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(module, "save_policy", killed)
        loop_of("sft", tiny, tmp_path, Guard(), save_steps=1).run()
    hook = Guard()
    loop = loop_of("sft", tiny, tmp_path, hook, save_steps=1)
    result = loop.run()
    assert (result.steps, result.stopped_by) == (2, "enough; kept the weights of step 1")
    assert hook.seen == [1, 2]
    assert loop.policy.version == 1
    one = loop_of("sft", tiny, tmp_path / "one", At(1, interrupt_at_once), save_steps=1)
    with pytest.raises(KeyboardInterrupt):
        one.run()
    assert_same_bits(weights_of(loop.policy), weights_of(one.policy))
    assert json.loads((tmp_path / "train.json").read_text())["steps"] == 2
