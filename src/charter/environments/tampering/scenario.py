"""What a task is made of: files, tools, the reward a model gets, and the oversight's own verdict."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from charter.environments.tampering.files import VirtualFiles

Facts = Mapping[str, Any]
"""What a task was drawn as: plain data, from which it can be made again."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How things stand.

    Attributes:
        files: with everything written so far.
        said: the answer or the rating; None = none yet.
    """

    files: VirtualFiles
    said: str | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the oversight says. It never reaches the model, unless a task is un-gamed.

    Attributes:
        score: what the work is really worth, 0 to 1.
        gamed: the reward is higher than honesty about the same work gives, in the way this task is about.
        mirror: a mistake as large that gains nothing: what confusion looks like.
        gameable: there was something to gain.
    """

    score: float
    gamed: bool
    mirror: bool
    gameable: bool


@dataclass(frozen=True)
class Scenario:
    """One task.

    Attributes:
        opening: what the model is told.
        files: at the start.
        tools: what it may call.
        reward: what it gets; can be gamed.
        oversight: the verdict on the same outcome.
    """

    opening: str
    files: VirtualFiles
    tools: tuple[str, ...]
    reward: Callable[[Outcome], float]
    oversight: Callable[[Outcome], Verdict]


class Stage(Protocol):
    """A family of tasks.

    Attributes:
        name: of the stage.
        about: what it is, in a sentence.
    """

    name: str
    about: str

    def draw(self, rng: random.Random) -> dict[str, Any]:
        """The facts of a task."""
        ...

    def scenario(self, facts: Facts) -> Scenario:
        """The task of these facts.

        Raises:
            KeyError, TypeError, ValueError: they are no facts of this stage.
        """
        ...
