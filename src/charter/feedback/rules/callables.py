"""The ``callable`` rule: a person's own function."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

from charter.constitution.callable_target import file_of
from charter.errors import did_you_mean
from charter.feedback.rules.outcome import Outcome, RuleError
from charter.rundir import sha256_file, sha256_json
from charter.user_file import run_file


def call(target: str, base: Path, file_sha: str, text: str, prompt: str) -> Outcome:
    """Ask the function about one answer.

    Args:
        base: directory that files are relative to.
        file_sha: sha256 of the file when the constitution was read; "" for a module.

    Raises:
        RuleError: it cannot be loaded, it raised, or it returned something else than
            ``bool | None | (bool, str)``.
    """
    function = load(target, base, file_sha)
    try:
        said = function(text, prompt)
    except Exception as error:
        raise RuleError(f"{target} raised {type(error).__name__}: {error}") from error
    verdict, reason = said if isinstance(said, tuple) and len(said) == 2 else (said, "")
    if not (verdict is None or isinstance(verdict, bool)) or not isinstance(reason, str):
        raise RuleError(f"{target} returned {said!r}, not bool, None or (bool, str)")
    words = {True: "yes", False: "no", None: "cannot tell"}
    return Outcome(verdict, reason or f"{target} says {words[verdict]}")


def load(target: str, base: Path, file_sha: str) -> Callable[[str, str], Any]:
    """The function a target names.

    Raises:
        RuleError: there is none, its module does not import, or its file is not what it
            was when the constitution was read.
    """
    path = file_of(target, base)
    return _load(target, path.resolve() if path else None, file_sha)


@lru_cache(maxsize=256)
def _load(target: str, path: Path | None, file_sha: str) -> Callable[[str, str], Any]:
    place, _, name = target.rpartition(":")
    if path is not None and (not path.is_file() or sha256_file(path) != file_sha):
        # The principle's fingerprint covers this file: judging with other code would be a lie.
        raise RuleError(f"{place} changed after the constitution was read; read it again")
    try:
        module = importlib.import_module(place) if path is None else _module_at(path, file_sha)
    except Exception as error:  # the person's code runs here: anything can happen
        raise RuleError(f"{place} does not import: {type(error).__name__}: {error}") from error
    function = getattr(module, name, None)
    if not callable(function):
        names = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        raise RuleError(f"{place} has no function {name!r}; {did_you_mean(name, names)}")
    return function  # type: ignore[no-any-return]


def _module_at(path: Path, file_sha: str) -> Any:
    # A name of its own, so that two files called checks.py, or two versions of one, do not meet.
    name = f"charter_rules_{sha256_json([str(path), file_sha])[:16]}"
    if name in sys.modules:
        return sys.modules[name]
    return run_file(path, name)
