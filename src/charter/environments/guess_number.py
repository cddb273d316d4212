"""Guess a number: the model guesses, and hears whether it is higher or lower."""

from __future__ import annotations

import math
import random
import re
from dataclasses import dataclass

from pydantic import Field

from charter.config import Config
from charter.environments.base import Environment, State, Turn, Unfinished, opening_of
from charter.errors import DataError
from charter.types import Completion, Context, Group, Message, Sample

_GUESS = re.compile(r"<guess>\s*([-+]?\d{1,12})\s*(?:</guess>|\Z)", re.IGNORECASE)
_NUMBER = re.compile(r"(?<![\w.])[-+]?\d{1,12}(?![\w]|\.\d)")


class GuessNumberOptions(Config):
    """Options of :class:`GuessNumber`."""

    size: int = Field(100, ge=2, le=10**6)
    """Numbers to choose from."""

    largest_start: int = Field(900, ge=0, le=10**9)
    """The smallest number to choose from is drawn from 0 to this."""

    max_turns: int | None = Field(None, ge=1)
    """Most guesses; None = one more than halving needs."""


@dataclass(frozen=True)
class _Game:
    secret: int
    low: int
    high: int
    guesses: int = 0
    misread: int = 0


class GuessNumber(Environment):
    """A secret number in a range that the prompt names.

    The reward is ``1 - (k - 1) / max_turns`` for the right number in turn ``k``, and 0 for none. A turn
    without a number costs a turn. Guesses are written ``<guess>37</guess>``; without the tag the last
    whole number of the turn counts. Prompts of a data file need columns ``low``, ``high`` and
    ``secret``.
    """

    name = "guess_number"

    def __init__(self, options: GuessNumberOptions | None = None) -> None:
        self.options = options or GuessNumberOptions()
        needed = math.ceil(math.log2(self.options.size + 1))
        self.max_turns = self.options.max_turns or needed + 1

    def prompts(self, count: int, seed: int) -> list[Group]:
        """``count`` games; ranges differ as far as there are enough."""
        rng = random.Random(f"{seed}:guess_number")
        seen: set[int] = set()
        groups = []
        for number in range(count):
            for _ in range(20):
                low = rng.randint(0, self.options.largest_start)
                if low not in seen:
                    break
            seen.add(low)
            secret = random.Random(f"{seed}:guess_number:{number}").randrange(self.options.size)
            groups.append(self._game(low, low + secret, f"guess_number-{seed}-{number}"))
        return groups

    def start(self, prompt: Group, seed: int) -> State:
        """The range; the secret is kept apart.

        Raises:
            DataError: the prompt has no ``low``, ``high`` and ``secret`` that fit.
        """
        try:
            low, high, secret = (int(prompt.meta[name]) for name in ("low", "high", "secret"))
        except (KeyError, TypeError, ValueError):
            low, high, secret = 1, 0, 0
        if not low <= secret <= high:
            raise DataError(
                "the game has no secret between its ends",
                where=prompt.source or prompt.id or None,
                fix="prompts of this environment have whole numbers 'low', 'high' and 'secret'",
            )
        return State(opening_of(prompt), memory=_Game(secret, low, high))

    def step(self, state: State, text: str) -> Turn:
        """Higher, lower, or right."""
        game: _Game = state.memory
        guess = _guess(text)
        misread = game.misread + (guess is None)
        game = _Game(game.secret, game.low, game.high, game.guesses + 1, misread)
        info = {"guesses": game.guesses, "misread": game.misread}
        if guess == game.secret:
            reward = max(1.0 - (game.guesses - 1) / self.max_turns, 0.0)
            return Turn(done=True, reward=reward, memory=game, info=info)
        if guess is None:
            said = f"Write a whole number from {game.low} to {game.high} as <guess>number</guess>."
        else:
            said = f"My number is {'higher' if guess < game.secret else 'lower'} than {guess}."
        return Turn((Message("user", said),), memory=game, info=info)

    def finish(self, state: State, why: Unfinished) -> float:
        """Not found."""
        return 0.0

    def _game(self, low: int, secret: int, name: str) -> Group:
        high = low + self.options.size - 1
        text = (
            f"I think of a whole number from {low} to {high}. Find it in at most {self.max_turns} guesses: "
            "write one as <guess>number</guess>, and I say whether mine is higher or lower."
        )
        meta = {"low": low, "high": high, "secret": secret}
        return Group((Sample(Context((Message("user", text),)), Completion()),), id=name, meta=meta)


def _guess(text: str) -> int | None:
    tagged = _GUESS.findall(text) or _NUMBER.findall(text)
    return int(tagged[-1]) if tagged else None
