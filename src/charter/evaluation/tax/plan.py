"""What measuring the tax will take, told before it starts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from charter.stats import flips_needed
from charter.types import Group


@dataclass(frozen=True)
class TaxPlan:
    """The size of the work.

    Attributes:
        tasks: items of each task.
        answers: answers of both models together.
        tokens: most tokens they can have.
        flips: net losses among a task's items, all one way, that would be called a fall.
    """

    tasks: Mapping[str, int]
    answers: int
    tokens: int
    flips: int

    def lines(self) -> list[str]:
        """For people."""
        items = ", ".join(f"{name} {count}" for name, count in self.tasks.items())
        fewest = min(self.tasks.values())
        seen = (
            f"a task that loses {self.flips} items and gains none is called a fall: "
            f"{math.ceil(100 * self.flips / fewest)} points at {fewest} items"
            if fewest >= self.flips
            else f"{fewest} items are too few to call any fall: {self.flips} lost ones are needed"
        )
        return [
            f"plan: items {items}; {self.answers} answers of two models, {self.tokens:,} tokens at most",
            f"plan: {seen}",
        ]


def plan_of(
    prompts: Mapping[str, Sequence[Group]], n: int, max_completion_length: int, alpha: float = 0.05
) -> TaxPlan:
    """The plan.

    Args:
        prompts: of the tasks, by name.
        n: answers to each item.
        max_completion_length: most tokens of one.
        alpha: of claims, shared by the tasks.
    """
    tasks = {name: len(groups) for name, groups in prompts.items()}
    answers = 2 * n * sum(tasks.values())
    return TaxPlan(tasks, answers, answers * max_completion_length, flips_needed(alpha / len(tasks)))


def time_words(seconds: float) -> str:
    """A time for people: ``40 s``, ``3 min``, ``2.1 h``."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
