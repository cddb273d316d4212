"""The reward functions of a rubric in the style of the package ``verifiers``."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from charter.environments.awaiting import settled
from charter.environments.base import Missing, Reward, added
from charter.errors import ConfigError, Interrupted

_OF_GROUPS = {"states", "prompts", "completions", "answers", "tasks", "infos"}


@dataclass(frozen=True)
class RewardFunction:
    """One function of a rubric.

    Attributes:
        name: of the function.
        call: takes what it names of ``prompt, completion, answer, state, info, task`` and ``objects``.
        weight: in the sum; 0 = watched only.
        objects: what else the rubric hands its functions, such as its parser.
    """

    name: str
    call: Callable[..., Any]
    weight: float
    objects: Mapping[str, Any]


def functions_of(rubric: Any) -> list[RewardFunction]:
    """The functions of a rubric, or of all rubrics of a group of rubrics, in order.

    Raises:
        ConfigError: one compares the rollouts of a group, which are scored one by one here; or weights
            and functions do not fit.
    """
    if rubric is None:
        return []
    if getattr(rubric, "rubrics", None):
        return [function for one in rubric.rubrics for function in functions_of(one)]
    calls = _listed(rubric, ("funcs", "reward_funcs"))
    weights = _listed(rubric, ("weights", "reward_weights")) or [1.0] * len(calls)
    if len(weights) != len(calls):
        raise ConfigError(f"a rubric has {len(calls)} reward functions and {len(weights)} weights")
    objects = dict(getattr(rubric, "class_objects", None) or {})
    if getattr(rubric, "parser", None) is not None:
        objects.setdefault("parser", rubric.parser)
    found = []
    for call, weight in zip(calls, weights, strict=True):
        name = str(getattr(call, "__name__", type(call).__name__))
        if _OF_GROUPS & set(inspect.signature(call).parameters):
            raise ConfigError(
                f"the reward function {name!r} compares whole groups of rollouts",
                fix="give it as a reward of its own, or leave it out of the rubric",
            )
        found.append(RewardFunction(name, call, float(weight), objects))
    return found


def score(functions: list[RewardFunction], state: Any) -> tuple[Reward | None, dict[str, float]]:
    """The weighted sum over ``functions``, and what each said.

    One that raises makes the sum an error, unless its weight is 0; it never counts as 0.
    """
    total: Reward | None = None
    each: dict[str, float] = {}
    for function in functions:
        try:
            value = settled(_called(function, state))
            said = added(
                None, Missing("abstained", f"{function.name} said nothing") if value is None else value
            )
        except Interrupted:
            raise
        except Exception as error:
            said = Missing("error", f"{function.name} raised {type(error).__name__}: {error}")
        if isinstance(said, float):
            each[function.name] = said
            said = said * function.weight
        if function.weight:
            total = added(total, said)
    return total, each


def _called(function: RewardFunction, state: Any) -> Any:
    known = {
        **{name: state.get(name) for name in ("prompt", "completion", "answer", "info", "task")},
        **function.objects,
        "state": state,
    }
    parameters = inspect.signature(function.call).parameters.values()
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return function.call(**known)
    names = {parameter.name for parameter in parameters}
    return function.call(**{name: value for name, value in known.items() if name in names})


def _listed(rubric: Any, names: tuple[str, ...]) -> list[Any]:
    return list(next((found for name in names if (found := getattr(rubric, name, None)) is not None), ()))
