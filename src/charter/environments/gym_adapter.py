"""Environments with ``reset`` and ``step``: Gymnasium's interface, and OpenEnv's."""

from __future__ import annotations

import dataclasses
import inspect
import json
import random
from collections.abc import Callable, Mapping
from typing import Any, Literal

from charter.environments.awaiting import settled
from charter.environments.base import Environment, State, Turn, opening_of
from charter.rundir import sha256_json
from charter.types import Completion, Context, Group, Message, Sample

SEED = "environment_seed"
"""Column of a prompt: the seed its environment is reset with."""

MAX_TURNS = 16
"""Where an environment names no limit."""

_NOT_SEEN = ("done", "reward", "terminated", "truncated", "metadata")


def observation_text(observation: Any) -> str:
    """What the model reads of an observation.

    A text is read as it is; of an object or mapping its only text, or else all of its public fields
    as JSON. What belongs to the episode and not to the observation (``done``, ``reward``,
    ``metadata``) is left out.
    """
    if isinstance(observation, str):
        return observation
    fields = _fields(observation)
    if fields is None:
        return str(observation)
    seen = {key: value for key, value in fields.items() if key not in _NOT_SEEN}
    texts = [value for value in seen.values() if isinstance(value, str)]
    if len(seen) == len(texts) == 1:
        return texts[0]
    return json.dumps(seen, default=str, ensure_ascii=False)


class GymEnvironment(Environment):
    """Plays one fresh environment in each rollout.

    Understood are ``reset(seed=...)`` with or without the seed, that gives an observation,
    ``(observation, info)`` or a step result; and ``step(action)``, that gives
    ``(observation, reward, terminated, truncated, info)``, ``(observation, reward, done, info)``, an
    object with ``observation``, ``reward`` and ``done`` (or ``terminated`` and ``truncated``), or an
    observation that itself has ``reward`` and ``done``. Each may be a coroutine.

    The rewards of the steps are added up. All rollouts of a prompt reset with the same seed, which the
    prompt's column ``environment_seed`` names; without one it is made from the prompt. An environment
    that takes no seed decides alone how it begins, and is not repeatable.

    Args:
        make: a new environment; its ``close`` is called after the rollout.
        name: ``judge`` of its rewards.
        instructions: what the model is told before the first observation.
        max_turns: most turns of the model.
        observe: the text of an observation.
        action: from what the model said to an action.
        reply_as: whose turn an observation is.
    """

    def __init__(
        self,
        make: Callable[[], Any],
        *,
        name: str = "gym",
        instructions: str = "",
        max_turns: int = MAX_TURNS,
        observe: Callable[[Any], str] = observation_text,
        action: Callable[[str], Any] = str,
        reply_as: Literal["user", "tool"] = "user",
    ) -> None:
        self._make, self.name, self.max_turns = make, name, max_turns
        self._instructions, self._observe, self._action = instructions, observe, action
        self._reply_as = reply_as

    def prompts(self, count: int, seed: int) -> list[Group]:
        """``count`` resets, each with a seed of its own."""
        rng = random.Random(f"{seed}:{self.name}")
        seeds = [rng.randrange(2**31) for _ in range(count)]
        return [self._prompt(one, f"{self.name}-{seed}-{number}") for number, one in enumerate(seeds)]

    def start(self, prompt: Group, seed: int) -> State:
        """The first observation, behind the instructions or what the prompt says."""
        inner = settled(self._make())
        try:
            reset_seed = prompt.meta.get(SEED)
            said = self._reset(inner, _seed_of(prompt) if reset_seed is None else int(reset_seed))
        except BaseException:
            _close(inner)
            raise
        if reset_seed is not None and prompt.meta.get("environment") == self.name:
            return State(self._opening(said), memory=inner)
        before = opening_of(prompt)
        if before[-1].role != "user":
            return State((*before, Message("user", said)), memory=inner)
        return State((*before[:-1], Message("user", f"{before[-1].content}\n\n{said}")), memory=inner)

    def step(self, state: State, text: str) -> Turn:
        """The next observation and the step's reward."""
        observation, reward, done, info = _stepped(settled(state.memory.step(self._action(text))))
        messages = () if done else (Message(self._reply_as, self._observe(observation)),)
        return Turn(messages, done, reward, state.memory, info)

    def close(self, state: State) -> None:
        """Close the rollout's environment."""
        _close(state.memory)

    def _opening(self, said: str) -> tuple[Message, ...]:
        return (Message("user", f"{self._instructions}\n\n{said}" if self._instructions else said),)

    def _prompt(self, seed: int, name: str) -> Group:
        inner = settled(self._make())
        try:
            opening = self._opening(self._reset(inner, seed))
        finally:
            _close(inner)
        meta = {SEED: seed, "environment": self.name}
        return Group((Sample(Context(opening), Completion()),), id=name, meta=meta)

    def _reset(self, inner: Any, seed: int) -> str:
        result = settled(inner.reset(seed=seed) if _takes(inner.reset, "seed") else inner.reset())
        if isinstance(result, tuple):
            result = result[0]
        elif hasattr(result, "observation"):
            if _is_done(result):
                raise ValueError("the environment is done before it began")
            result = result.observation
        return self._observe(result)


def _stepped(result: Any) -> tuple[Any, Any, bool, Mapping[str, Any]]:
    """Observation, reward, whether it is over, and what else is said."""
    if isinstance(result, tuple):
        if len(result) == 5:
            observation, reward, terminated, truncated, info = result
            return observation, reward, bool(terminated or truncated), info or {}
        if len(result) == 4:
            observation, reward, done, info = result
            return observation, reward, bool(done), info or {}
        raise TypeError(f"step gave {len(result)} values, not 4 or 5")
    if not any(hasattr(result, name) for name in ("done", "terminated")):
        raise TypeError(f"step gave {type(result).__name__}, which does not say whether it is done")
    info = getattr(result, "metadata", None)
    observation = getattr(result, "observation", result)
    return observation, getattr(result, "reward", None), _is_done(result), info or {}


def _is_done(result: Any) -> bool:
    return any(bool(getattr(result, name, False)) for name in ("done", "terminated", "truncated"))


def _fields(observation: Any) -> dict[str, Any] | None:
    if isinstance(observation, Mapping):
        return dict(observation)
    if callable(getattr(observation, "model_dump", None)):
        return dict(observation.model_dump())
    if dataclasses.is_dataclass(observation):
        names = [one.name for one in dataclasses.fields(observation)]
        return {name: getattr(observation, name) for name in names}
    return None


def _takes(function: Callable[..., Any], name: str) -> bool:
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):
        return False
    return name in parameters or any(p.kind is p.VAR_KEYWORD for p in parameters.values())


def _seed_of(prompt: Group) -> int:
    content = prompt.samples[0].context.content if prompt.samples else ""
    return int(sha256_json([prompt.id, repr(content)])[:7], 16)


def _close(inner: Any) -> None:
    close = getattr(inner, "close", None)
    if callable(close):
        settled(close())
