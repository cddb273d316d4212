"""What a person's file gives, as an environment of ours."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from charter.environments.base import Environment
from charter.environments.gym_adapter import MAX_TURNS, GymEnvironment
from charter.environments.verifiers_adapter import VerifiersEnvironment
from charter.errors import ConfigError

_OURS = ("start", "step", "finish", "close", "prompts")


def adapt(make: Callable[[], Any], *, where: str) -> Environment:
    """An environment from what ``make`` gives: ours, one of ``verifiers``' style, or with ``reset``.

    Of the last kind every rollout gets one of its own; its attributes ``instructions`` and ``max_turns``
    are read where it has them.

    Raises:
        ConfigError: it is none of them, or ours without its attributes.
    """
    try:
        made = make()
    except ConfigError:
        raise
    except Exception as error:
        raise ConfigError(f"it could not be made: {type(error).__name__}: {error}", where=where) from error
    if callable(getattr(made, "env_response", None)) and callable(getattr(made, "is_completed", None)):
        return VerifiersEnvironment(made)
    if callable(getattr(made, "start", None)) and callable(getattr(made, "step", None)):
        return _checked(made, where)
    if callable(getattr(made, "reset", None)) and callable(getattr(made, "step", None)):
        limit = getattr(made, "max_turns", None)
        return GymEnvironment(
            make,
            name=type(made).__name__,
            instructions=str(getattr(made, "instructions", "") or ""),
            max_turns=limit if isinstance(limit, int) and limit > 0 else MAX_TURNS,
        )
    raise ConfigError(
        f"{type(made).__name__} is no environment: it has neither start and step, nor env_response and "
        "is_completed, nor reset and step",
        where=where,
        fix="subclass charter.environments.base.Environment",
    )


def _checked(made: Any, where: str) -> Environment:
    missing = [name for name in _OURS if not callable(getattr(made, name, None))]
    if not isinstance(getattr(made, "name", None), str) or not made.name:
        missing.append("name")
    turns = getattr(made, "max_turns", None)
    if not isinstance(turns, int) or isinstance(turns, bool) or turns < 1:
        missing.append("max_turns (a whole number from 1)")
    if missing:
        raise ConfigError(
            f"the environment {type(made).__name__} lacks {', '.join(missing)}",
            where=where,
            fix="subclass charter.environments.base.Environment, and set name and max_turns",
        )
    for name, needed in (("start", 2), ("step", 2)):
        try:
            inspect.signature(getattr(made, name)).bind(*[None] * needed)
        except TypeError as error:
            raise ConfigError(f"{type(made).__name__}.{name}: {error}", where=where) from None
    return made  # type: ignore[no-any-return]
