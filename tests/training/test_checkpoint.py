"""Checkpoints are whole or not there; a damaged one is told, and the one before is used."""

from __future__ import annotations

import errno
import json
import os
import resource
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from training_setup import assert_same_bits, make_loop, metrics_of, weights_of

from charter.errors import EnvironmentFault, UserError, exit_code_of
from charter.models.random_state import random_state
from charter.training import checkpoint
from charter.training.checkpoint import TrainState, load_latest, save


def state(step: int, size: int = 8) -> TrainState:
    return TrainState(
        step=step,
        weights={"a.weight": torch.full((size, 4), float(step)), "b": torch.arange(3.0)},
        optimizer={
            "a.weight/exp_avg": torch.full((size, 4), 0.5),
            "a.weight/step": torch.tensor(float(step)),
        },
        good={"a.weight": torch.full((size, 4), -1.0)},
        rng=random_state(),
        extra={"hooks": {"kl_stop": [[5, 0.25]]}},
        fingerprint={"data": "abc"},
    )


def steps_in(directory: Path) -> list[str]:
    return sorted(p.name for p in directory.iterdir())


def loaded(directory: Path) -> TrainState:
    found = load_latest(directory)
    assert found is not None
    return found


def test_what_is_saved_is_what_is_loaded(tmp_path: Path) -> None:
    before = state(3)
    path = save(tmp_path, before, keep=2)
    assert path == tmp_path / "step-3"
    after = loaded(tmp_path)
    for name in ("weights", "optimizer", "good"):
        assert_same_bits(getattr(after, name), getattr(before, name))
    assert_same_bits(after.rng, before.rng)
    assert (after.step, after.extra, after.fingerprint) == (3, before.extra, before.fingerprint)


def test_nothing_there_is_no_checkpoint(tmp_path: Path) -> None:
    assert load_latest(tmp_path) is None
    assert load_latest(tmp_path / "missing") is None


def test_step_100_comes_after_step_99_and_strange_names_are_left_alone(tmp_path: Path) -> None:
    for step in (9, 99, 100):
        save(tmp_path, state(step), keep=9)
    for name in ("step_101", "step-abc", "step-102x", "notes"):
        (tmp_path / name).mkdir()
    (tmp_path / "step-999").write_text("a file")
    assert loaded(tmp_path).step == 100
    save(tmp_path, state(101), keep=2)
    assert steps_in(tmp_path) == [
        "notes",
        "step-100",
        "step-101",
        "step-102x",
        "step-999",
        "step-abc",
        "step_101",
    ]


@pytest.mark.parametrize("keep", [1, 2, 3])
def test_the_newest_are_kept(keep: int, tmp_path: Path) -> None:
    for step in (8, 9, 10, 11):
        save(tmp_path, state(step), keep)
    assert sorted(steps_in(tmp_path)) == sorted(f"step-{step}" for step in (8, 9, 10, 11)[-keep:])


def truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-7])


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(bytes(content))


FILES = (
    "weights.safetensors",
    "optimizer.safetensors",
    "good.safetensors",
    "rng.safetensors",
    "state.json",
    "manifest.json",
)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", [truncate, flip, Path.unlink])
def test_a_damaged_checkpoint_falls_back_and_says_so(
    damage: Callable[[Path], None], name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save(tmp_path, state(4), keep=2)
    save(tmp_path, state(5), keep=2)
    damage(tmp_path / "step-5" / name)
    assert loaded(tmp_path).step == 4
    said = capsys.readouterr().err
    assert "checkpoint step-5 is damaged" in said and "trying the one before" in said
    assert name in said


@pytest.mark.parametrize(
    "content", ["[]", "null", '{"weights.safetensors": 3}', '{"x": {"size": "?", "sha256": ""}}']
)
def test_a_manifest_of_another_shape_is_damage(content: str, tmp_path: Path) -> None:
    save(tmp_path, state(4), keep=2)
    save(tmp_path, state(5), keep=2)
    (tmp_path / "step-5" / "manifest.json").write_text(content)
    assert loaded(tmp_path).step == 4


def test_when_all_are_damaged_every_reason_is_listed(tmp_path: Path) -> None:
    save(tmp_path, state(4), keep=2)
    save(tmp_path, state(5), keep=2)
    truncate(tmp_path / "step-4" / "weights.safetensors")
    flip(tmp_path / "step-5" / "optimizer.safetensors")
    with pytest.raises(UserError) as refused:
        load_latest(tmp_path)
    message = str(refused.value)
    assert "step-5: optimizer.safetensors has changed since it was written" in message
    assert "step-4: weights.safetensors has " in message and "bytes instead of" in message
    assert "start from the beginning" in message
    assert exit_code_of(refused.value) == 2


def test_after_a_fall_back_the_next_save_replaces_the_damaged_one(tmp_path: Path) -> None:
    """Kept by number alone, the damaged step would outlive the sound one."""
    save(tmp_path, state(4), keep=1)
    shutil.copytree(tmp_path / "step-4", tmp_path / "step-10")
    flip(tmp_path / "step-10" / "weights.safetensors")
    assert loaded(tmp_path).step == 4
    save(tmp_path, state(5), keep=1)
    assert steps_in(tmp_path) == ["step-5"]
    assert loaded(tmp_path).step == 5


def test_leftovers_of_killed_processes_are_cleaned(tmp_path: Path) -> None:
    save(tmp_path, state(4), keep=1)
    (tmp_path / ".step-5.123.tmp").mkdir()
    (tmp_path / ".step-5.123.tmp" / "weights.safetensors").write_bytes(b"half")
    assert loaded(tmp_path).step == 4
    assert steps_in(tmp_path) == ["step-4"]


def test_saving_a_step_again_replaces_it(tmp_path: Path) -> None:
    save(tmp_path, state(4, size=8), keep=1)
    save(tmp_path, state(4, size=2), keep=1)
    assert steps_in(tmp_path) == ["step-4"]
    assert loaded(tmp_path).weights["a.weight"].shape == (2, 4)


class Killed(BaseException):
    """Stands for a process that ends here."""


def count_calls(monkeypatch: pytest.MonkeyPatch, at: int) -> list[str]:
    """Raise :class:`Killed` in the ``at``-th file operation of a save."""
    calls: list[str] = []

    def wrap(owner: Any, name: str) -> None:
        original = getattr(owner, name)

        def called(*args: Any, **kwargs: Any) -> Any:
            calls.append(name)
            if len(calls) == at:
                raise Killed
            return original(*args, **kwargs)

        monkeypatch.setattr(owner, name, called)

    wrap(checkpoint, "save_file")
    wrap(checkpoint, "_fsync")
    wrap(checkpoint, "write_json")
    wrap(checkpoint.shutil, "rmtree")
    wrap(Path, "rename")
    wrap(Path, "mkdir")
    return calls


@pytest.mark.parametrize("keep", [1, 2])
@pytest.mark.parametrize("step", [5, 6], ids=["again", "next"])
def test_killed_anywhere_inside_a_save_there_is_a_sound_checkpoint(
    step: int, keep: int, tmp_path: Path
) -> None:
    kills = 0
    for at in range(1, 60):
        directory = tmp_path / str(at)
        save(directory, state(4), keep)
        save(directory, state(5), keep)
        with pytest.MonkeyPatch.context() as patched:
            calls = count_calls(patched, at)
            try:
                save(directory, state(step), keep)
                assert len(calls) < at
                break
            except Killed:
                kills += 1
        found = loaded(directory)
        assert found.step in (5, step)
        assert not [name for name in steps_in(directory) if name.startswith(".")]
        save(directory, state(7), keep)
        assert loaded(directory).step == 7
    assert kills > 12


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(tensors: Any, path: str) -> None:
        Path(path).write_bytes(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(checkpoint, "save_file", refuse)


def test_a_full_disk_keeps_the_old_checkpoint_and_names_the_bytes(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    save(tmp_path, state(4, size=1000), keep=1)
    request.getfixturevalue("full_disk")
    with pytest.raises(EnvironmentFault) as fault:
        save(tmp_path, state(5, size=1000), keep=1)
    needed = 3 * 1000 * 4 * 4 + 3 * 4 + 4
    assert "No space left on device" in str(fault.value)
    assert f"needs {needed} bytes" in str(fault.value)
    assert "step-5" in str(fault.value)
    assert exit_code_of(fault.value) == 3
    assert steps_in(tmp_path) == ["step-4"]
    assert loaded(tmp_path).step == 4


@contextmanager
def small_files() -> Iterator[None]:
    """No file of this process may grow beyond 20 kB: the disk refuses for real.

    No fixture: the limit must be gone when pytest next writes, as its output may be a longer file.
    """
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_disk_that_refuses_inside_the_safetensors_library(tmp_path: Path) -> None:
    save(tmp_path, state(4), keep=1)
    with small_files(), pytest.raises(EnvironmentFault, match="checkpoint not saved"):
        save(tmp_path, state(5, size=10_000), keep=1)
    assert steps_in(tmp_path) == ["step-4"]
    assert loaded(tmp_path).step == 4


@pytest.mark.parametrize("name", ["_fsync", "write_json", "_put"])
def test_an_input_output_error_is_never_called_saved(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(tmp_path, state(4), keep=1)

    def fail(*args: Any) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(checkpoint, name, fail)
    with pytest.raises(EnvironmentFault, match="Input/output error"):
        save(tmp_path, state(5), keep=1)
    assert steps_in(tmp_path) == ["step-4"]


def test_a_folder_that_cannot_be_made_is_the_machine_s_fault(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(EnvironmentFault, match="checkpoint not saved"):
        save(tmp_path / "file" / "checkpoints", state(1), keep=1)


def test_restoring_another_model_is_refused() -> None:
    parameters = {"a.weight": nn.Parameter(torch.zeros(8, 4))}
    optimizer = torch.optim.AdamW(parameters.values())
    with pytest.raises(UserError, match="'b'"):
        checkpoint.restore(state(1), parameters, optimizer)


# -- in a run ---------------------------------------------------------------------------


def test_a_run_falls_back_and_ends_where_it_would_have(tiny: str, tmp_path: Path) -> None:
    whole = make_loop(tiny, tmp_path / "whole", "sft", save_steps=1)
    whole.run()
    loop = make_loop(tiny, tmp_path / "run", "sft", save_steps=1)
    loop.run()
    shutil.rmtree(tmp_path / "run" / "model")
    truncate(tmp_path / "run" / "checkpoints" / "step-6" / "weights.safetensors")
    again = make_loop(tiny, tmp_path / "run", "sft", save_steps=1)
    again.run()
    assert_same_bits(weights_of(again.policy), weights_of(whole.policy))
    assert metrics_of(tmp_path / "run") == metrics_of(tmp_path / "whole")
    assert loaded(tmp_path / "run" / "checkpoints").step == 6


def test_a_run_with_only_damaged_checkpoints_does_not_start_from_scratch(tiny: str, tmp_path: Path) -> None:
    make_loop(tiny, tmp_path, "sft").run()
    flip(tmp_path / "checkpoints" / "step-6" / "weights.safetensors")
    with pytest.raises(UserError, match="no checkpoint is sound"):
        make_loop(tiny, tmp_path, "sft").run()


def test_a_run_on_a_full_disk_ends_with_the_machine_s_fault_and_goes_on_later(
    tiny: str, tmp_path: Path
) -> None:
    whole = make_loop(tiny, tmp_path / "whole", "sft", save_steps=2, save_total_limit=1)
    whole.run()
    original = checkpoint.save_file
    with pytest.MonkeyPatch.context() as patched:

        def fills_up(tensors: Any, path: str) -> None:
            if "step-4" in path:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            original(tensors, path)

        patched.setattr(checkpoint, "save_file", fills_up)
        with pytest.raises(EnvironmentFault, match="No space left"):
            make_loop(tiny, tmp_path / "run", "sft", save_steps=2, save_total_limit=1).run()
    assert steps_in(tmp_path / "run" / "checkpoints") == ["step-2"]
    again = make_loop(tiny, tmp_path / "run", "sft", save_steps=2, save_total_limit=1)
    again.run()
    assert_same_bits(weights_of(again.policy), weights_of(whole.policy))
    assert metrics_of(tmp_path / "run") == metrics_of(tmp_path / "whole")


def test_a_checkpoint_says_what_is_in_it(tiny: str, tmp_path: Path) -> None:
    make_loop(tiny, tmp_path, "sft", max_steps=1).run()
    path = tmp_path / "checkpoints" / "step-1"
    manifest = json.loads((path / "manifest.json").read_text())
    assert sorted(manifest) == [
        "optimizer.safetensors",
        "rng.safetensors",
        "state.json",
        "weights.safetensors",
    ]
    assert all(manifest[name]["size"] == (path / name).stat().st_size for name in manifest)
