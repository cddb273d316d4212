"""Sums whose answer is known, and a wrong answer to each."""

from __future__ import annotations

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sum:
    """One item.

    Attributes:
        text: such as ``34 + 57``.
        answer: of it.
        wrong: a number near it.
    """

    text: str
    answer: int
    wrong: int


def sums(count: int, seed: int) -> list[Sum]:
    """``count`` different ones, sums, differences and products in turn."""
    rng = random.Random(f"{seed}:probe sums")
    found: dict[str, Sum] = {}
    while len(found) < count:
        a, b, c = rng.randint(11, 99), rng.randint(11, 99), rng.randint(3, 9)
        forms = ((f"{a} + {b}", a + b), (f"{a + 100} - {b}", a + 100 - b), (f"{a} * {c}", a * c))
        text, answer = forms[len(found) % len(forms)]
        wrong = answer + rng.choice((-10, -2, -1, 1, 2, 10))
        found.setdefault(text, Sum(text, answer, wrong))
    return list(found.values())
