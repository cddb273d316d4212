"""The user's model cache: where it is, what lies in it, and whether a model there is whole.

    <cache>/models/<name>/   a converted model with ``charter-model.json``
    <cache>/wheels/          verified downloads, kept so that a conversion can be redone offline

A model folder is written under a temporary name and renamed when complete, so
a folder without its manifest was never finished.
"""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from charter.errors import EnvironmentFault
from charter.rundir import sha256_file

MANIFEST = "charter-model.json"


def root() -> Path:
    """``$CHARTER_CACHE``, else ``$XDG_CACHE_HOME/charter``, else ``~/.cache/charter``."""
    if own := os.environ.get("CHARTER_CACHE"):
        return Path(own).expanduser()
    if xdg := os.environ.get("XDG_CACHE_HOME"):
        return Path(xdg).expanduser() / "charter"
    return Path.home() / ".cache" / "charter"


def models() -> Path:
    """Where named models are kept."""
    return root() / "models"


def wheels() -> Path:
    """Where verified wheels are kept; a wheel placed here by hand is used."""
    return root() / "wheels"


def ensure(folder: Path) -> Path:
    """Make ``folder`` and prove it can be written.

    Raises:
        EnvironmentFault: it cannot.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".write-probe-{os.getpid()}"
        probe.write_text("")
        probe.unlink()
    except OSError as error:
        raise EnvironmentFault(
            f"model cache cannot be written: {error.strerror or error}",
            where=str(folder),
            fix="set CHARTER_CACHE to a folder you can write",
        ) from None
    return folder


@dataclass(frozen=True, slots=True)
class CachedModel:
    """A model in the cache; ``size`` is in bytes."""

    name: str
    path: Path
    size: int
    created: str
    damage: str | None


def listing() -> list[CachedModel]:
    """Every named model in the cache, by name."""
    folders = sorted(models().iterdir()) if models().is_dir() else []
    return [_describe(folder) for folder in folders if folder.is_dir() and not folder.name.startswith(".")]


def _describe(folder: Path) -> CachedModel:
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    created = str((read_manifest(folder) or {}).get("created", ""))
    return CachedModel(folder.name, folder, size, created, damage(folder))


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """The manifest of a model folder, or None when there is none that can be read."""
    with contextlib.suppress(OSError, UnicodeDecodeError, json.JSONDecodeError):
        value = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        return value if isinstance(value, dict) else None
    return None


def describe_files(folder: Path) -> dict[str, dict[str, Any]]:
    """Size and sha256 of every file in ``folder``, for its manifest."""
    return {
        file.name: {"bytes": file.stat().st_size, "sha256": sha256_file(file)}
        for file in sorted(folder.iterdir())
        if file.is_file() and file.name != MANIFEST
    }


def damage(folder: Path, *, deep: bool = False) -> str | None:
    """What is wrong with a cached model, or None when it is whole.

    Sizes are compared always (milliseconds); contents are hashed when ``deep``.
    """
    manifest = read_manifest(folder)
    if manifest is None:
        return f"{MANIFEST} is missing or unreadable"
    files = manifest.get("files")
    if not isinstance(files, dict) or not files:
        return f"{MANIFEST} lists no files"
    for name, facts in files.items():
        path = folder / name
        if not path.is_file():
            return f"{name} is missing"
        if path.stat().st_size != facts["bytes"]:
            return f"{name} has {path.stat().st_size} of {facts['bytes']} bytes"
        if deep and sha256_file(path) != facts["sha256"]:
            return f"{name} has changed since it was written"
    return None
