"""The grammar of a reward's spec: what kind it is, its target and its options."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml

from charter.errors import ConfigError, did_you_mean
from charter.feedback.rewards.builtin import BUILTIN
from charter.feedback.rewards.people import GPO
from charter.feedback.trained.checkpoints import ENSEMBLE

Kind = Literal["builtin", "constitution", "function", "judge", "model", "people"]

_OPTIONS = re.compile(r"[a-z_]+=[^=:/\\]*")
_SANDBOX = "sandbox:"
JUDGE = "judge:"
"""``judge:MODEL:CONSTITUTION``: a model judges by a constitution."""
_TEXTS = (".md", ".markdown", ".yaml", ".yml")
_MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")


@dataclass(frozen=True, slots=True)
class Parsed:
    """One spec, taken apart.

    Attributes:
        spec: as it was written.
        kind: see :data:`Kind`.
        target: without prefix and options.
        sandbox: graded in a child process.
        options: as written.
        name: asked for by ``name=``, or what the target suggests.
    """

    spec: str
    kind: Kind
    target: str
    sandbox: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""


def parse(spec: str, base: Path) -> Parsed:
    """Take ``[sandbox:]TARGET[:key=value,...]`` apart.

    ``sandbox=true`` among the options does what the prefix does.

    Raises:
        ConfigError: nothing can be meant by it.
    """
    if not isinstance(spec, str) or not spec.strip():
        raise ConfigError(f"a reward is named by a text, not {spec!r}", where="reward_funcs")
    whole = spec.strip()
    sandbox = whole.startswith(_SANDBOX)
    target, options = _split(whole.removeprefix(_SANDBOX), spec)
    asked = options.pop("sandbox", sandbox)
    name = options.pop("name", None)
    if not isinstance(asked, bool):
        raise ConfigError(f"sandbox is true or false, not {asked!r}", where=spec)
    if name is not None and not re.fullmatch(r"[\w.\-]+", str(name)):
        raise ConfigError(f"a name is letters, digits, '.', '_' and '-', not {name!r}", where=spec)
    kind = _kind(target, spec, base)
    if (asked or sandbox) and kind != "function":
        raise ConfigError(
            f"sandbox: is for functions, and this is a {kind}",
            where=spec,
            fix="leave it out; accuracy and reasoning-gym are graded in one in any case",
        )
    return Parsed(spec, kind, target, asked or sandbox, options, str(name or _suggested(kind, target)))


def target_and_options(spec: str) -> tuple[str, dict[str, Any]]:
    """``TARGET[:key=value,...]`` taken apart, whatever the target is.

    Raises:
        ConfigError: an option without a value, or written twice.
    """
    return _split(spec.strip(), spec)


def _split(text: str, spec: str) -> tuple[str, dict[str, Any]]:
    target, colon, tail = text.rpartition(":")
    parts = tail.split(",")
    if not colon or not _OPTIONS.fullmatch(parts[0].strip()):
        return text, {}
    options: dict[str, Any] = {}
    for part in parts:
        key, equals, value = part.strip().partition("=")
        if not equals or not key:
            raise ConfigError(f"{part!r} is no option", where=spec, fix="write TARGET:key=value,key=value")
        if key in options:
            raise ConfigError(f"option {key!r} is written twice", where=spec)
        try:
            options[key] = yaml.safe_load(value)
        except yaml.YAMLError:
            options[key] = value
    return target, options


def _kind(target: str, spec: str, base: Path) -> Kind:
    if target in BUILTIN:
        return "builtin"
    if target.startswith(JUDGE):
        return "judge"
    if target.startswith(ENSEMBLE):
        return "model"
    if target.startswith(GPO):
        return "people"
    place, colon, function = target.rpartition(":")
    if colon:
        if place.endswith(".py") or _MODULE.fullmatch(place):
            return _function(function, place, spec)
        raise ConfigError(
            f"{place!r} is neither a Python file nor a module, nor a reward that takes options",
            where=spec,
            fix="write FILE.py:FUNCTION, or a built-in reward: " + did_you_mean(place, BUILTIN),
        )
    if target.endswith(".py"):
        raise ConfigError("it does not say which function", where=spec, fix=f"write {target}:FUNCTION")
    path = base / Path(target).expanduser()
    if path.suffix.lower() in _TEXTS and not path.is_dir():
        return "constitution"
    return "model"


def _function(function: str, place: str, spec: str) -> Kind:
    if place in BUILTIN:
        raise ConfigError(f"{function!r} is no option of {place}", where=spec, fix=f"write {place}:key=value")
    if not function.isidentifier():
        raise ConfigError(f"{function!r} is no name of a function", where=spec, fix="write FILE.py:FUNCTION")
    return "function"


def _suggested(kind: Kind, target: str) -> str:
    if kind == "builtin":
        return target
    if kind == "function":
        return target.rpartition(":")[2]
    if kind in ("constitution", "judge", "people"):
        return Path(target.rpartition(":")[2]).stem.removesuffix(".constitution")
    if target.startswith(ENSEMBLE):
        return "ensemble"
    path = Path(target)
    return path.parent.name if path.name in ("model", "final") and path.parent.name else path.name
