"""The run directory: the only contract between running, resuming and reporting.

    run/
      recipe.yaml manifest.json metrics.jsonl samples.jsonl judgements.jsonl
      stages/<n>-<name>/ checkpoints/ model/ report.html report.json

Plain files, greppable, self-describing. Files are written to a temporary name
and renamed, so a reader never sees half of one. A lock keeps a second process
out; the system releases it when its process ends, however it ends.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import socket
import sys
import time
from collections.abc import Collection, Iterable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any, BinaryIO

from charter.errors import EnvironmentFault, UserError

MANIFEST = "manifest.json"
LOCK = ".lock"
HOLDER = ".lock-holder.json"
_VERSIONED_PACKAGES = ("charter", "torch", "transformers", "peft", "tokenizers", "numpy")


class RunDir:
    """Paths and atomic writes of one run.

    Args:
        path: the directory; made when missing.

    Raises:
        UserError: the path is a file, or cannot be written.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._locked = False
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            probe = self.path / f".write-probe-{os.getpid()}"
            probe.write_text("")
            probe.unlink()
        except OSError as error:
            raise UserError(
                f"run directory cannot be written: {error.strerror or error}",
                where=str(self.path),
                fix="choose another directory or fix its permissions",
            ) from None

    # -- places -----------------------------------------------------------

    @property
    def recipe(self) -> Path:
        """The recipe as it was run."""
        return self.path / "recipe.yaml"

    @property
    def metrics(self) -> Path:
        """Training metrics, one JSON row a step."""
        return self.path / "metrics.jsonl"

    @property
    def checkpoints(self) -> Path:
        """Checkpoints of the training stage."""
        return self.path / "checkpoints"

    @property
    def model(self) -> Path:
        """Where the trained model (or adapter) is saved, loadable by transformers and peft."""
        return self.path / "model"

    @property
    def report_json(self) -> Path:
        """The evidence as data."""
        return self.path / "report.json"

    @property
    def report_html(self) -> Path:
        """The evidence as a page."""
        return self.path / "report.html"

    def stage(self, number: int, name: str) -> Path:
        """The directory of stage ``number`` (1-based), made when missing."""
        path = self.path / "stages" / f"{number}-{name}"
        path.mkdir(parents=True, exist_ok=True)
        return path

    # -- lock -------------------------------------------------------------

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the directory for this process; the system lets go of it when the process ends.

        Raises:
            UserError: another live process holds it.
        """
        from filelock import FileLock, Timeout

        holder = self.path / HOLDER
        guard = FileLock(self.path / LOCK, timeout=0)
        try:
            guard.acquire()
        except Timeout:
            pid = (read_json(holder) or {}).get("pid", "unknown")
            raise UserError(
                f"run directory is in use by process {pid}",
                where=str(self.path),
                fix="wait for it, stop it, or choose another directory",
            ) from None
        try:
            write_json(holder, {"pid": os.getpid(), "host": socket.gethostname(), "since": now()})
            yield
        finally:
            holder.unlink(missing_ok=True)
            guard.release()

    # -- manifest ---------------------------------------------------------

    def manifest(self) -> dict[str, Any]:
        """What is known of this run; empty when nothing is."""
        return read_json(self.path / MANIFEST) or {}

    def update_manifest(self, **entries: Any) -> None:
        """Merge ``entries`` into the manifest."""
        manifest = self.manifest()
        if not manifest:
            manifest = {"created": now(), "versions": versions(), "machine": machine()}
        manifest.update(entries)
        write_json(self.path / MANIFEST, manifest)


# -- files ------------------------------------------------------------------


def check_free(folder: Path, made_here: Collection[str], fix: str = "name a new folder") -> None:
    """Refuse a folder in which something else lies.

    Args:
        folder: it need not be there.
        made_here: names of files that may lie in it.
        fix: what to do otherwise.

    Raises:
        UserError: it is a file, or holds other files.
    """
    if folder.exists() and not folder.is_dir():
        raise UserError("not a folder", where=str(folder), fix=fix)
    inside = folder.iterdir() if folder.exists() else ()
    others = sorted(one.name for one in inside if one.name not in made_here)
    if others:
        raise UserError(
            f"the folder holds other things ({', '.join(others[:3])})", where=str(folder), fix=fix
        )


def write_text(path: Path, text: str) -> None:
    """Write ``text`` so that readers see the old file or the whole new one.

    Raises:
        EnvironmentFault: the disk refuses (full, read-only).
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise EnvironmentFault(
            f"cannot write: {error.strerror or error}", where=str(path), fix="free some disk space"
        ) from None


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as indented JSON, atomically; NaN is refused."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def write_jsonl(path: Path, rows: Iterable[Any]) -> None:
    """Write one JSON value a line, atomically."""
    write_text(path, "".join(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in rows))


def append_jsonl(path: Path, row: Any) -> None:
    """Append one line; what a kill left of a torn last line is cut off first."""
    line = json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n"
    try:
        with open(path, "a+b") as file:
            _mend_end(file)
            file.write(line.encode())
    except OSError as error:
        raise EnvironmentFault(f"cannot write: {error.strerror or error}", where=str(path)) from None


def read_jsonl(path: Path) -> list[Any]:
    """Rows of a file this run wrote; a torn last line is left out."""
    if not path.exists():
        return []
    rows: list[Any] = []
    lines = path.read_bytes().split(b"\n")  # a line may be torn inside a character
    for number, line in enumerate(lines):
        if not line.strip():
            continue
        try:
            rows.append(json.loads(line.decode()))
        except ValueError:
            if number == len(lines) - 1:
                break
            raise UserError("damaged line", where=f"{path}:{number + 1}") from None
    return rows


def _mend_end(file: BinaryIO) -> None:
    """End the file with a line break: complete its last line, or cut it off where it was torn."""
    if not file.seekable() or file.seek(0, os.SEEK_END) == 0:
        return
    file.seek(-1, os.SEEK_END)
    if file.read(1) == b"\n":
        return
    file.seek(0)
    content = file.read()
    start = content.rfind(b"\n") + 1
    try:
        json.loads(content[start:].decode())
    except ValueError:
        file.truncate(start)
    else:
        file.write(b"\n")


def sha256_file(path: Path) -> str:
    """Hex sha256 of a file's bytes."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def sha256_json(value: Any) -> str:
    """Hex sha256 of a value's canonical JSON (sorted keys, no spaces)."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


# -- self-description --------------------------------------------------------


def now() -> str:
    """UTC time, ISO 8601, seconds."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that decide results."""
    found = {"python": platform.python_version()}
    for name in _VERSIONED_PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def machine() -> dict[str, Any]:
    """The machine, in words that carry no names or addresses."""
    return {
        "cpu": _cpu_name(),
        "cores": os.cpu_count(),
        "system": platform.system(),
        "python": sys.implementation.name,
    }


def _cpu_name() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def read_json(path: Path) -> dict[str, Any] | None:
    """A JSON object this run wrote, or None when it is missing or torn."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError):
        return None
    return value if isinstance(value, dict) else None
