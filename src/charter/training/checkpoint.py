"""Checkpoints that are whole or not there.

A checkpoint is written to a temporary folder, described by a manifest with the
size and sha256 of every file, and renamed last. Loading verifies the manifest
and falls back to the one before; if checkpoints exist but none is sound, that
is an error, never a start from scratch.
"""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from charter.errors import EnvironmentFault, UserError
from charter.models.random_state import random_state, set_random_state
from charter.progress import say
from charter.rundir import sha256_file, write_json

_NAME = re.compile(r"step-(\d+)")
_MANIFEST = "manifest.json"
_ASIDE = ".replaced"


@dataclass(frozen=True, slots=True)
class TrainState:
    """Everything a step depends on.

    Attributes:
        step: optimizer steps taken.
        weights: trainable parameters by name.
        optimizer: moments by ``parameter/moment``.
        good: weights a hook last found well, to go back to; empty when none did.
        rng: where torch's random numbers stand, by device.
        extra: plain data of hooks, by hook name.
        fingerprint: what the run was started with; resuming another is refused.
        reference: weights of a reference that moves; else empty.
    """

    step: int
    weights: dict[str, Tensor]
    optimizer: dict[str, Tensor]
    good: dict[str, Tensor]
    rng: dict[str, Tensor]
    extra: dict[str, Any]
    fingerprint: dict[str, Any]
    reference: dict[str, Tensor] = field(default_factory=dict)


def capture(
    step: int,
    parameters: dict[str, nn.Parameter],
    optimizer: torch.optim.Optimizer,
    good: dict[str, Tensor],
    extra: dict[str, Any],
    fingerprint: dict[str, Any],
    reference: dict[str, Tensor],
) -> TrainState:
    """Read the state off a running loop."""
    names = {id(p): name for name, p in parameters.items()}
    moments = {
        f"{names[id(p)]}/{key}": value
        for p, values in optimizer.state.items()
        for key, value in values.items()
    }
    weights = {name: p.detach() for name, p in parameters.items()}
    return TrainState(step, weights, moments, good, random_state(), extra, fingerprint, reference)


def restore(state: TrainState, parameters: dict[str, nn.Parameter], optimizer: torch.optim.Optimizer) -> None:
    """Put ``state`` back into a loop; every parameter must be there, and nothing else."""
    different = parameters.keys() ^ state.weights.keys()
    if different:
        raise UserError(
            f"the checkpoint's parameters differ from the model's, e.g. {sorted(different)[0]!r}",
            fix="resume with the model and adapter options the run was started with",
        )
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(state.weights[name])
    by_name: dict[str, dict[str, Tensor]] = {}
    for key, value in state.optimizer.items():
        name, _, moment = key.rpartition("/")
        by_name.setdefault(name, {})[moment] = value
    for name, moments in by_name.items():
        parameter = parameters[name]
        optimizer.state[parameter] = {k: v.to(parameter.device) for k, v in moments.items()}
    set_random_state(state.rng)


def save(directory: Path, state: TrainState, keep: int) -> Path:
    """Write ``state`` as ``directory/step-N``, then delete all but it and the ``keep - 1`` before it.

    Checkpoints of later steps go too: training passed them by, from an earlier
    one, because they were damaged.

    Raises:
        EnvironmentFault: the disk refuses; older checkpoints are untouched.
    """
    final = directory / f"step-{state.step}"
    temporary = directory / f".step-{state.step}.{os.getpid()}.tmp"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir()
        _write(temporary, state)
        _put(temporary, final)
    except (OSError, SafetensorError, EnvironmentFault) as error:
        shutil.rmtree(temporary, ignore_errors=True)
        size = sum(t.numel() * t.element_size() for t in _tensors(state))
        raise EnvironmentFault(
            f"checkpoint not saved: {getattr(error, 'strerror', None) or error}",
            where=str(final),
            fix=f"free some disk space: a checkpoint of this run needs {size} bytes "
            f"({size / 1e6:.1f} MB); older checkpoints are intact",
        ) from None
    steps = sorted(_found(directory))
    here = steps.index(state.step)
    for step in [*steps[: max(here + 1 - keep, 0)], *steps[here + 1 :]]:
        shutil.rmtree(directory / f"step-{step}", ignore_errors=True)
    return final


def clear(directory: Path) -> None:
    """Forget every checkpoint, for a run that starts over."""
    shutil.rmtree(directory, ignore_errors=True)


def load_latest(directory: Path) -> TrainState | None:
    """The newest sound checkpoint, or None when there is none at all.

    Raises:
        UserError: there are checkpoints, and every one is damaged.
    """
    _tidy(directory)
    problems = []
    for step in sorted(_found(directory), reverse=True):
        path = directory / f"step-{step}"
        problem = _damage(path)
        if problem is None:
            return _read(path)
        problems.append(f"{path.name}: {problem}")
        say(f"checkpoint {path.name} is damaged ({problem}); trying the one before")
    if problems:
        raise UserError(
            "no checkpoint is sound:\n  " + "\n  ".join(problems),
            where=str(directory),
            fix="delete the checkpoints folder to start from the beginning",
        )
    return None


def _put(temporary: Path, final: Path) -> None:
    """Rename ``temporary`` to ``final``; one that is there already is set aside until it is replaced."""
    aside = final.with_name(f".{final.name}{_ASIDE}")
    shutil.rmtree(aside, ignore_errors=True)
    if final.exists():
        final.rename(aside)
    try:
        temporary.rename(final)
        _fsync(final.parent)
    except OSError:
        if aside.exists() and not final.exists():
            aside.rename(final)
        raise
    shutil.rmtree(aside, ignore_errors=True)


def _tidy(directory: Path) -> None:
    """Finish or undo what a killed process left half done."""
    for stale in directory.glob(".step-*.tmp"):
        shutil.rmtree(stale, ignore_errors=True)
    for aside in directory.glob(f".step-*{_ASIDE}"):
        final = directory / aside.name.removeprefix(".").removesuffix(_ASIDE)
        if final.exists():
            shutil.rmtree(aside, ignore_errors=True)
        else:
            aside.rename(final)


def _tensors(state: TrainState) -> list[Tensor]:
    kept = (state.weights, state.optimizer, state.good, state.reference)
    return [tensor for part in kept for tensor in part.values()]


def _write(path: Path, state: TrainState) -> None:
    save_file({k: v.contiguous() for k, v in state.weights.items()}, str(path / "weights.safetensors"))
    for name, tensors in (("good", state.good), ("reference", state.reference)):
        if tensors:
            save_file({k: v.contiguous() for k, v in tensors.items()}, str(path / f"{name}.safetensors"))
    save_file({k: v.contiguous() for k, v in state.optimizer.items()}, str(path / "optimizer.safetensors"))
    save_file(state.rng, str(path / "rng.safetensors"))
    (path / "state.json").write_text(
        json.dumps({"step": state.step, "extra": state.extra, "fingerprint": state.fingerprint}), "utf-8"
    )
    files = sorted(p for p in path.iterdir())
    for file in files:
        _fsync(file)
    write_json(
        path / _MANIFEST, {p.name: {"size": p.stat().st_size, "sha256": sha256_file(p)} for p in files}
    )


def _read(path: Path) -> TrainState:
    state = json.loads((path / "state.json").read_text("utf-8"))
    good, reference = path / "good.safetensors", path / "reference.safetensors"
    return TrainState(
        step=state["step"],
        weights=load_file(str(path / "weights.safetensors")),
        optimizer=load_file(str(path / "optimizer.safetensors")),
        good=load_file(str(good)) if good.exists() else {},
        reference=load_file(str(reference)) if reference.exists() else {},
        rng=load_file(str(path / "rng.safetensors")),
        extra=state["extra"],
        fingerprint=state["fingerprint"],
    )


def _damage(path: Path) -> str | None:
    """What is wrong with a checkpoint, in words; None when it is sound."""
    try:
        manifest = json.loads((path / _MANIFEST).read_text("utf-8"))
        expected = {str(name): (int(facts["size"]), str(facts["sha256"])) for name, facts in manifest.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return f"{_MANIFEST} cannot be read"
    for name, (size, sha256) in expected.items():
        file = path / name
        if not file.is_file():
            return f"{name} is missing"
        if file.stat().st_size != size:
            return f"{name} has {file.stat().st_size} bytes instead of {size}"
        if sha256_file(file) != sha256:
            return f"{name} has changed since it was written: {_MANIFEST} has another sha256"
    return None


def _found(directory: Path) -> list[int]:
    if not directory.is_dir():
        return []
    matches = (_NAME.fullmatch(p.name) for p in directory.iterdir() if p.is_dir())
    return [int(m.group(1)) for m in matches if m]


def _fsync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some file systems cannot sync folders
            raise
    finally:
        os.close(handle)
