"""The seam between a conversation of several turns and whatever answers the model in it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from charter.errors import UserError
from charter.types import Group, Message

REWARD = "environment"
"""Principle of the judgements that hold an environment's reward."""

Unfinished = Literal["max_turns", "length"]
"""Why a rollout ended before the environment was done: out of turns, or out of tokens."""


@dataclass(frozen=True, slots=True)
class Missing:
    """A reward that is not there, and why. It never becomes 0.

    Attributes:
        verdict: ``abstained``: there is nothing to say; ``error``: it could not be found out.
        reason: for people; what stands before the first colon is counted together.
    """

    verdict: Literal["abstained", "error"]
    reason: str


Reward = float | Missing


@dataclass(frozen=True, slots=True)
class State:
    """A conversation in an environment. It belongs to one rollout.

    Attributes:
        messages: everything said so far, the opening first.
        turns: turns the model has taken.
        memory: what the environment remembers. Frozen, or ``copy.deepcopy`` gives another one of
            its own, so that a rollout can be continued twice.
    """

    messages: tuple[Message, ...]
    turns: int = 0
    memory: Any = None


@dataclass(frozen=True, slots=True)
class Turn:
    """What an environment answers.

    Attributes:
        messages: tool, user or system turns that the model is to answer. Where ``done``, nobody
            answers them, and they are left out of the conversation.
        done: the conversation is over.
        reward: for what the model just did; None = nothing to say yet. The reward of a rollout is the
            sum over its turns.
        memory: what the environment remembers from here on.
        info: numbers and texts for people; later turns replace what earlier ones said.
    """

    messages: tuple[Message, ...] = ()
    done: bool = False
    reward: Reward | None = None
    memory: Any = None
    info: Mapping[str, Any] = field(default_factory=dict)


class Environment(Protocol):
    """Answers the model turn by turn. Subclass it: only :meth:`start` and :meth:`step` have to be written.

    The same prompt, seed and answers give the same conversation. What an environment raises ends that
    rollout, whose reward is then an error; the others go on.

    Attributes:
        name: ``judge`` of its rewards.
        max_turns: most turns of the model in a rollout.
    """

    name: str
    max_turns: int

    def start(self, prompt: Group, seed: int) -> State:
        """The opening of one rollout: the messages the model sees first.

        Args:
            prompt: the task, with one sample, of which the context is used. Rollouts of a prompt are
                compared with one another, so what the task is must come from here alone.
            seed: of this rollout, for what may differ between the rollouts of a prompt.
        """
        ...

    def step(self, state: State, text: str) -> Turn:
        """The answer to the model's turn ``text``, said after ``state.messages``."""
        ...

    def finish(self, state: State, why: Unfinished) -> Reward | None:
        """The last reward of a rollout that ended before it was done; None = nothing more to say.

        ``state.messages`` ends with the model's last turn.
        """
        return None

    def close(self, state: State) -> None:
        """Give back what the rollout holds. Called once for each, however it ended."""
        return

    def prompts(self, count: int, seed: int) -> list[Group]:
        """Tasks of its own, at most ``count``, unrendered, one sample each.

        Raises:
            UserError: it has none.
        """
        raise UserError(f"the environment {self.name!r} has no prompts of its own", fix="give it a data file")


def opening_of(prompt: Group) -> tuple[Message, ...]:
    """The prompt's messages; plain text is what a user says.

    Raises:
        UserError: the prompt is empty.
    """
    content = prompt.samples[0].context.content if prompt.samples else ""
    if not content:
        raise UserError("the prompt has no text", where=prompt.source or prompt.id or None)
    return (Message("user", content),) if isinstance(content, str) else content


def added(total: Reward | None, more: Any) -> Reward | None:
    """Two parts of a reward together: an error outlasts everything, an abstention every number."""
    said = _said(more)
    if said is None or (isinstance(total, Missing) and total.verdict == "error"):
        return total
    if total is None or isinstance(said, Missing):
        keep_total = isinstance(total, Missing) and isinstance(said, Missing) and said.verdict == "abstained"
        return total if keep_total else said
    return total if isinstance(total, Missing) else total + said


def _said(value: Any) -> Reward | None:
    if value is None or isinstance(value, Missing):
        return value
    if not isinstance(value, bool | int | float) and callable(getattr(value, "item", None)):
        value = value.item()
    if not isinstance(value, bool | int | float):
        return Missing("error", f"the reward is no number: {value!r}")
    number = float(value)
    return number if math.isfinite(number) else Missing("error", f"the reward is not finite: {number}")
