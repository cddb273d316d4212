"""What every probe is given."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from charter.data.render import Template
from charter.engines.base import Engine, Sampling
from charter.errors import UserError
from charter.evaluation.probes.asking import Asker
from charter.evaluation.probes.drawn import Drawn, draw, plain_prompts
from charter.feedback.rewards import Rewards
from charter.types import Group

MOST_ITEMS = {"flip": 40, "tampering": 24, "hidden-reasoning": 12}
"""Items of the probes that make theirs; the others use their whole table."""


@dataclass(frozen=True)
class ProbeSettings:
    """How probes are run.

    Attributes:
        items: most items of a probe; None = its own number.
        level: of intervals.
        seed: of items, samples and resamples.
        temperature: of the answers that probes read.
        max_completion_length: most tokens of an answer.
        num_generations: answers of a prompt where a reward chooses among them.

    Raises:
        UserError: a value out of range.
    """

    items: int | None = None
    level: float = 0.95
    seed: int = 0
    temperature: float = 0.0
    max_completion_length: int = 256
    num_generations: int = 16

    def __post_init__(self) -> None:
        if self.items is not None and self.items < 2:
            raise UserError(f"items is {self.items}; a probe needs at least 2", where="items")
        if not 0.0 < self.level < 1.0:
            raise UserError(f"level is {self.level}; it must lie between 0 and 1", where="level")
        if self.num_generations < 4:
            raise UserError(
                f"num_generations is {self.num_generations}; best-of-n needs at least 4",
                where="num_generations",
            )

    @property
    def sampling(self) -> Sampling:
        """Of the answers that are read."""
        return Sampling(
            temperature=self.temperature, max_completion_length=self.max_completion_length, seed=self.seed
        )

    @property
    def free_sampling(self) -> Sampling:
        """Of answers among which something chooses, and of tasks: temperature 1."""
        return Sampling(max_completion_length=self.max_completion_length, seed=self.seed)

    def count(self, probe: str) -> int:
        """Items of a probe that makes its own."""
        return MOST_ITEMS[probe] if self.items is None else self.items

    def of(self, table: Sequence[Any]) -> Sequence[Any]:
        """The first items of a table."""
        return table if self.items is None else table[: self.items]


@dataclass
class Bench:
    """What a probe works with.

    Attributes:
        engine: the model that is probed.
        template: of it; None = an engine that reads words.
        settings: see :class:`ProbeSettings`.
        rewards: those that are probed; None = none.
        heldout: rewards that say what the others are worth; None = none.
        prompts: for what a reward chooses among; empty = the table of plain prompts.
    """

    engine: Engine
    template: Template | None
    settings: ProbeSettings
    rewards: Rewards | None = None
    heldout: Rewards | None = None
    prompts: Sequence[Group] = ()

    @functools.cached_property
    def asker(self) -> Asker:
        """Asks the model; what was asked once is not asked again."""
        return Asker(self.engine, self.template, self.settings.sampling)

    @functools.cached_property
    def drawn(self) -> Drawn:
        """Answers of the model among which rewards choose."""
        prompts = self.settings.of(self.prompts) if self.prompts else plain_prompts(self.settings.items)
        return draw(
            self.engine,
            self.template,
            prompts,
            self.settings.num_generations,
            self.settings.free_sampling,
        )
