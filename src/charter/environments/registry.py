"""Environments by name, with options: ``calculator?max_operands=3``, ``mine.py:Game?level=2``."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import yaml

from charter.config import Config, validate
from charter.environments.adapters import adapt
from charter.environments.base import Environment
from charter.environments.calculator import Calculator, CalculatorOptions
from charter.environments.guess_number import GuessNumber, GuessNumberOptions
from charter.environments.tampering.environment import ENVIRONMENTS as TAMPERING
from charter.errors import ConfigError, did_you_mean
from charter.rundir import sha256_json
from charter.user_file import run_file

BUILT_IN: Mapping[str, tuple[Callable[[Any], Environment], type[Config]]] = {
    "calculator": (Calculator, CalculatorOptions),
    "guess_number": (GuessNumber, GuessNumberOptions),
    **TAMPERING,
}
"""Name to environment and its options."""


def open_environment(spec: str, base_dir: Path | str | None = None) -> Environment:
    """The environment that ``spec`` names, made and checked; no model is needed.

    Args:
        spec: a built-in name, ``FILE.py:CLASS`` or ``MODULE:CLASS`` (or a function that makes one), each
            with options behind it: ``?name=value&name=value``.
        base_dir: directory that files are relative to; None = the current one.

    Raises:
        ConfigError: there is no such environment, its file does not load, an option is unknown or
            wrong, or what was made is no environment.
    """
    target, _, query = spec.partition("?")
    options = _options(query, spec)
    if ":" in target:
        make = _found(target, Path(base_dir or ""))
        _check_options(make, options, spec)
        return adapt(functools.partial(make, **options), where=spec)
    if target not in BUILT_IN:
        hint = did_you_mean(target, BUILT_IN)
        raise ConfigError(
            f"no environment {target!r}; {hint}", where="environment", fix="or name your own: FILE.py:CLASS"
        )
    built, model = BUILT_IN[target]
    return built(validate(model, options, where=spec))


def _options(query: str, spec: str) -> dict[str, Any]:
    """``a=1&b=x`` as plain values, read as YAML reads them."""
    try:
        # A plus would be a space in a web address; here it is what was typed.
        pairs = parse_qsl(query.replace("+", "%2B"), keep_blank_values=True, strict_parsing=bool(query))
    except ValueError:
        raise ConfigError(
            "options are written ?name=value&name=value", where=spec, fix="check what stands behind the '?'"
        ) from None
    found: dict[str, Any] = {}
    for name, text in pairs:
        if name in found:
            raise ConfigError(f"the option {name!r} is given twice", where=spec)
        found[name] = _value(text)
    return found


def _value(text: str) -> Any:
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        return text
    return value if isinstance(value, bool | int | float) else text


def _found(target: str, base: Path) -> Callable[..., Any]:
    """The class or function that a target names."""
    place, _, name = target.rpartition(":")
    if not place or not name:
        raise ConfigError(f"{target!r} must look like FILE.py:CLASS or MODULE:CLASS", where="environment")
    module = _loaded(place, base)
    made = getattr(module, name, None)
    if not callable(made):
        names = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        raise ConfigError(f"no {name!r} in it; {did_you_mean(name, names)}", where=place)
    return made  # type: ignore[no-any-return]


def _loaded(place: str, base: Path) -> Any:
    path = (base / place).absolute()
    try:
        if not place.endswith(".py"):
            return importlib.import_module(place)
        if not path.is_file():
            raise ConfigError("no such file", where=place, fix="check the path")
        return _run(path)
    except ConfigError:
        raise
    except Exception as error:  # the person's code runs here: anything can happen
        raise ConfigError(f"it does not load: {type(error).__name__}: {error}", where=place) from error


def _run(path: Path) -> Any:
    name = f"charter_environment_{sha256_json(str(path))[:16]}"
    return run_file(path, name)


def _check_options(make: Callable[..., Any], options: Mapping[str, Any], spec: str) -> None:
    try:
        signature = inspect.signature(make)
    except (TypeError, ValueError):
        return
    parameters = signature.parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return
    for name in options:
        if name not in parameters:
            raise ConfigError(f"unknown option {name!r}; {did_you_mean(name, parameters)}", where=spec)
    try:
        signature.bind(**options)
    except TypeError as error:
        raise ConfigError(str(error), where=spec, fix="give it behind a '?': ?name=value") from None
