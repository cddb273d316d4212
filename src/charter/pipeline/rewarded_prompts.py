"""What an online run is asked and what rewards it: found and checked before a model loads."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from charter.catalogue.own_pairs import CPOTripletOptions
from charter.catalogue.rollouts import RolloutOptions
from charter.data.formats import LoadedData
from charter.data.other_systems import check_systems
from charter.environments.registry import open_environment
from charter.environments.tasks import load_prompts
from charter.errors import ConfigError
from charter.feedback.rewards.base import RecordedReward, Reward
from charter.feedback.rewards.functions import FunctionReward
from charter.feedback.rewards.rewards import Rewards
from charter.feedback.rewards.signature import form_of, parameters_of
from charter.feedback.rewards.spec import open_rewards, unique
from charter.rundir import sha256_file, sha256_json
from charter.types import Group

Functions = Mapping[str, Callable[..., Any]]
"""Reward functions that Python code gave, by the names that stand for them in ``reward_funcs``."""

PROMPTS = 256
"""Prompts an environment makes where no data is given."""


def rewards_of(options: RolloutOptions, base: Path, functions: Functions) -> Rewards:
    """The rewards the options name, found and checked before a model is trained.

    What an environment says of a rollout counts 1, beside the others.

    Raises:
        ConfigError: none is named, or one cannot be opened.
    """
    if options.environment is None:
        if not options.reward_funcs:
            raise ConfigError(
                "nothing rewards the completions",
                where="reward_funcs",
                fix="name a constitution, FILE.py:FUNCTION, a reward model or a built-in reward",
            )
        return _opened(options, base, functions)
    played = RecordedReward()
    if not options.reward_funcs:
        return Rewards([played])
    opened = _opened(options, base, functions)
    return Rewards([played, *opened.rewards], [1.0, *opened.weights])


def check_prompts(rewards: Rewards, options: RolloutOptions, prompts: Sequence[Group]) -> None:
    """Refuse prompts without what a reward reads, or without other systems' answers, before sampling.

    Raises:
        DataError: says which column, and where.
    """
    rewards.check(prompts)
    if isinstance(options, CPOTripletOptions) and options.systems is not None:
        check_systems(prompts, options.systems)


def _opened(options: RolloutOptions, base: Path, functions: Functions) -> Rewards:
    """The rewards of ``reward_funcs``, named ones and functions of the caller, in their order."""
    if not functions:
        return open_rewards(options.reward_funcs, options.reward_weights, base)
    named = [spec for spec in options.reward_funcs if spec not in functions]
    opened = iter(open_rewards(named, None, base).rewards if named else ())
    made: list[Reward] = []
    names = unique(options.reward_funcs)
    for spec, name in zip(options.reward_funcs, names, strict=True):
        if spec in functions:
            form = form_of(parameters_of(functions[spec]), spec)
            made.append(FunctionReward(name, functions[spec], form))
        else:
            made.append(next(opened))
    return Rewards(made, options.reward_weights)


def beside(base: Path, name: str) -> str:
    """A file or folder relative to ``base``, or a name as it is."""
    path = base / Path(name).expanduser()
    return str(path) if path.exists() else name


def reward_file(spec: str) -> str:
    """The file that a reward's spec names, where it names one."""
    target = spec.removeprefix("sandbox:")
    found = re.match(r"(.+?\.(?:py|md|markdown|yaml|yml))(?::|$)", target)
    return found.group(1) if found else target


def rewards_identity(options: RolloutOptions, base: Path, functions: Functions) -> dict[str, str]:
    """What the rewards are: files by their bytes, functions by their source where it can be had."""
    found = {}
    for spec in options.reward_funcs:
        path = base / reward_file(spec)
        if spec in functions:
            found[spec] = _source_of(functions[spec])
        elif path.is_file():
            found[spec] = sha256_file(path)
    return found


def _source_of(function: Callable[..., Any]) -> str:
    try:
        return sha256_json(inspect.getsource(function))
    except (OSError, TypeError):  # typed at a prompt, or an object: its name must do
        return getattr(function, "__qualname__", type(function).__qualname__)


def prompts_of(data: Any, options: RolloutOptions, base: Path) -> LoadedData:
    """Prompts from a file, a spec of tasks, or the environment where no data is given.

    Raises:
        ConfigError: neither data nor an environment.
    """
    if data is not None:
        return load_prompts(data)
    if options.environment is None:
        raise ConfigError("no prompts", where="data", fix="name a file, or an environment that makes its own")
    made = open_environment(options.environment, base).prompts(PROMPTS, options.seed)
    return LoadedData(tuple(made), {"tasks made": len(made)}, "prompts", options.environment)


def named_functions(options: dict[str, Any]) -> Functions:
    """Take functions out of ``options["reward_funcs"]``: a name stands for each of them there."""
    given = options.get("reward_funcs", ())
    if callable(given) or isinstance(given, str):
        given = [given]
    found: dict[str, Callable[..., Any]] = {}
    names = []
    for one in given:
        name = one
        if callable(one):
            name = unique([getattr(one, "__name__", type(one).__name__)], found)[0]
            found[name] = one
        names.append(name)
    if names:
        options["reward_funcs"] = names
    return found
