"""Environments in the style of the package ``verifiers``: ``env_response``, ``is_completed``, a rubric.

Both forms of the interface are understood: ``env_response`` that gives messages, and the older one that
gives ``(messages, state)``; ``is_completed(state)``, and the older ``is_completed(messages, state)``.
The package itself is not needed.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from charter.environments.awaiting import settled
from charter.environments.base import Environment, Missing, Reward, State, Turn, Unfinished, opening_of
from charter.environments.verifiers_rubric import functions_of, score
from charter.errors import ConfigError, UserError
from charter.types import Completion, Context, Group, Message, Sample

MAX_TURNS = 10
"""Where an environment sets no limit (``max_turns`` -1)."""

_COLUMNS = ("answer", "info", "task", "example_id")


class ChatMessage(dict[str, Any]):
    """A message that reads as a mapping and as an object: environments of different ages want either."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


@dataclass
class _Rollout:
    """What a rollout holds: the state dictionary that the environment changes as it likes."""

    state: Any
    cleaned: bool = False


class VerifiersEnvironment(Environment):
    """Plays a ``MultiTurnEnv``.

    The reward is the weighted sum of the rubric's functions, once the rollout is over, also where it
    ran out of turns or tokens. What a reward function raises is an error, not 0. Tools are called
    in the text of a turn, as the environment's own parser reads them: tool calls outside the text are
    not sampled here.

    Args:
        inner: the environment.
        name: ``judge`` of its rewards; None = its ``env_id``, or the name of its class.
        max_turns: most turns of the model; None = the environment's own limit.

    Raises:
        ConfigError: it needs tool calls outside the text, or a rubric that compares rollouts.
    """

    def __init__(self, inner: Any, *, name: str | None = None, max_turns: int | None = None) -> None:
        if getattr(inner, "tool_defs", None) or getattr(inner, "oai_tools", None):
            raise ConfigError(
                "this environment wants tool calls outside the text, which are not sampled here",
                where=type(inner).__name__,
                fix="use one whose tools are called in the text of a turn",
            )
        own = getattr(inner, "max_turns", -1)
        self._inner = inner
        self.name = name or getattr(inner, "env_id", None) or type(inner).__name__
        self.max_turns = max_turns or (own if isinstance(own, int) and own > 0 else MAX_TURNS)
        self._functions = functions_of(getattr(inner, "rubric", None))
        self._asks_with_messages = _positional(inner.is_completed) >= 2

    def prompts(self, count: int, seed: int) -> list[Group]:
        """Rows of the environment's data set, in an order that ``seed`` decides.

        Raises:
            UserError: it has none.
        """
        get = getattr(self._inner, "get_dataset", None)
        rows = get(n=count, seed=seed) if callable(get) else getattr(self._inner, "dataset", None)
        if rows is None:
            raise UserError(f"the environment {self.name!r} has no data set", fix="give it a data file")
        return [self._prompt(row, f"{self.name}-{seed}-{number}") for number, row in enumerate(rows)][:count]

    def start(self, prompt: Group, seed: int) -> State:
        """The prompt, once the environment has set up its state."""
        info = prompt.meta.get("info") or {}
        state: Any = {
            "prompt": [_outgoing(message) for message in opening_of(prompt)],
            "completion": [],
            "answer": prompt.meta.get("answer", ""),
            "info": json.loads(info) if isinstance(info, str) else dict(info),
            "task": prompt.meta.get("task", "default"),
            "example_id": prompt.meta.get("example_id", 0),
            "turn": 0,
            "responses": [],
            "trajectory": [],
            "trajectory_id": f"{prompt.id}-{seed}",
            "is_completed": False,
            "is_truncated": False,
            "error": None,
            "final_env_response": None,
            "timing": _timing(),
        }
        set_up = getattr(self._inner, "setup_state", None)
        if callable(set_up):
            state = settled(set_up(state)) or state
        return State(_incoming(state["prompt"]), memory=_Rollout(state))

    def step(self, state: State, text: str) -> Turn:
        """What the environment answers; the rubric's reward where it is over."""
        rollout: _Rollout = state.memory
        held = self._with_reply(rollout.state, text)
        if self._is_completed(held):
            return self._over(rollout)
        said = settled(self._inner.env_response([*held["prompt"], *held["completion"]], held))
        if isinstance(said, tuple):
            said, held = said
            rollout.state = held
        final = held.get("final_env_response")
        messages = _incoming(said if final is None else final)
        held["completion"] = [*held["completion"], *map(_outgoing, messages)]
        # The older form asks again before the model goes on, the newer one only after its next turn.
        if final is not None or (self._asks_with_messages and self._is_completed(held)):
            return self._over(rollout)
        return Turn(messages, memory=rollout)

    def finish(self, state: State, why: Unfinished) -> Reward | None:
        """The rubric's reward of what there is."""
        rollout: _Rollout = state.memory
        held = rollout.state
        held["completion"] = [_outgoing(message) for message in state.messages[len(held["prompt"]) :]]
        held["is_truncated"] = why == "length"
        return self._over(rollout).reward

    def close(self, state: State) -> None:
        """Run the environment's handlers for the end of a rollout, unless they ran before."""
        self._clean_up(state.memory)

    def _with_reply(self, held: Any, text: str) -> Any:
        """The state with the model's turn."""
        before = [*held["prompt"], *held["completion"]]
        reply = ChatMessage(role="assistant", content=text)
        held["completion"] = [*held["completion"], reply]
        held["turn"] = held.get("turn", 0) + 1
        held["responses"].append(text)
        held["trajectory"].append(
            {
                "prompt": before,
                "completion": [reply],
                "response": text,
                "tokens": None,
                "reward": None,
                "advantage": None,
                "is_truncated": False,
                "trajectory_id": held["trajectory_id"],
                "extras": {},
            }
        )
        return held

    def _is_completed(self, held: Any) -> bool:
        if self._asks_with_messages:
            return bool(settled(self._inner.is_completed([*held["prompt"], *held["completion"]], held)))
        return bool(settled(self._inner.is_completed(held)))

    def _over(self, rollout: _Rollout) -> Turn:
        """The end, with the reward. Handlers run first: some make what the rubric reads."""
        self._clean_up(rollout)
        error = rollout.state.get("error")
        if error is not None:
            failed = Missing("error", f"{type(error).__name__}: {error}")
            return Turn(done=True, reward=failed, memory=rollout)
        reward, each = score(self._functions, rollout.state)
        return Turn(done=True, reward=reward, memory=rollout, info=each)

    def _clean_up(self, rollout: _Rollout) -> None:
        if rollout.cleaned:
            return
        rollout.cleaned = True
        for handler in getattr(self._inner, "_cleanup_handlers", None) or ():
            settled(handler(rollout.state))

    def _prompt(self, row: Mapping[str, Any], name: str) -> Group:
        content = row.get("prompt") or row.get("question")
        if not content:
            raise UserError("a row has neither 'prompt' nor 'question'", where=name)
        turns = (Message("user", content),) if isinstance(content, str) else _incoming(content)
        meta = {key: row[key] for key in _COLUMNS if row.get(key) is not None}
        return Group((Sample(Context(turns), Completion()),), id=name, meta=meta)


def _incoming(said: Any) -> tuple[Message, ...]:
    """Messages of the environment as ours; a plain text is a user's."""
    if isinstance(said, str):
        return (Message("user", said),)
    return tuple(_message(one) for one in said)


def _message(one: Any) -> Message:
    def read(name: str) -> Any:
        return one.get(name) if isinstance(one, Mapping) else getattr(one, name, None)

    if read("tool_calls"):
        raise ValueError("a message has tool calls outside its text, which cannot be shown")
    content = read("content")
    if isinstance(content, Iterable) and not isinstance(content, str):
        content = "".join(
            part.get("text", "") if isinstance(part, Mapping) else str(part) for part in content
        )
    return Message(read("role"), content or "")


def _outgoing(message: Message) -> ChatMessage:
    return ChatMessage(role=message.role, content=message.content)


def _timing() -> Any:
    """What environments write times into."""
    spans = {
        name: SimpleNamespace(start=0.0, end=0.0, spans=[]) for name in ("setup", "generation", "scoring")
    }
    return ChatMessage(**spans, model=SimpleNamespace(spans=[]), env=SimpleNamespace(spans=[]))


def _positional(function: Callable[..., Any]) -> int:
    """How many values ``function`` takes by place."""
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return sum(parameter.kind in kinds for parameter in inspect.signature(function).parameters.values())
