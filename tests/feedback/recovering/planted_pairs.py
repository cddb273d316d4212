"""Answers with many features drawn at random, and labels made by one hidden rule."""

from __future__ import annotations

import random
from collections.abc import Callable

from charter.feedback.recovering.pairs import Pairs, pairs_of
from charter.feedback.rules.text import words
from charter.types import Completion, Context, Group, Judgement, Message, PairTarget, Sample

Rule = Callable[[dict[str, float], dict[str, float], random.Random], int]
"""1 = the first answer is preferred, -1 = the second."""

_NOUNS = (
    "river",
    "bridge",
    "garden",
    "engine",
    "market",
    "window",
    "winter",
    "student",
    "doctor",
    "bread",
    "cloud",
    "teacher",
    "harbour",
    "mountain",
)
_VERBS = (
    "carries",
    "follows",
    "repairs",
    "watches",
    "paints",
    "moves",
    "holds",
    "visits",
    "finds",
    "sells",
    "cleans",
    "builds",
    "opens",
    "turns",
)
_PRAISE = ("Great question!", "You are so smart.", "Well done.", "What a wonderful idea.")
_HEDGE = ("Perhaps it depends.", "It might be so.", "Probably not always.")


def answer(rng: random.Random, *, flattery_lengthens: bool = False) -> tuple[str, dict[str, float]]:
    """An answer and what was put into it."""
    sentences = rng.randint(2, 9)
    text = [
        f"The {rng.choice(_NOUNS)} {rng.choice(_VERBS)} the {rng.choice(_NOUNS)} near a {rng.choice(_NOUNS)}"
        f"{rng.choice(['.', '.', '.', '!'])}"
        for _ in range(sentences)
    ]
    items = rng.choice([0, 0, 3, 5])
    flattery = rng.choice([0, 0, 1, 2])
    if flattery_lengthens and flattery:
        text += [
            f"This {rng.choice(_NOUNS)} always {rng.choice(_VERBS)} some {rng.choice(_NOUNS)}."
            for _ in range(3)
        ]
    if rng.random() < 0.4:
        text.append(rng.choice(_HEDGE))
    opening = " ".join(rng.sample(_PRAISE, flattery))
    body = " ".join(text)
    listed = "".join(f"\n- the {rng.choice(_NOUNS)}" for _ in range(items))
    whole = f"{opening} {body}{listed}".strip()
    if rng.random() < 0.3:
        whole += " Shall I tell you about the harbour?"
    return whole, {"words": float(len(words(whole))), "lists": float(items > 0), "flattery": float(flattery)}


def more(name: str) -> Rule:
    """More of it wins; a tie is a coin."""

    def rule(a: dict[str, float], b: dict[str, float], rng: random.Random) -> int:
        gap = a[name] - b[name]
        return rng.choice([1, -1]) if gap == 0 else 1 if gap > 0 else -1

    return rule


def coin(a: dict[str, float], b: dict[str, float], rng: random.Random) -> int:
    """No rule."""
    return rng.choice([1, -1])


def mixed(first: Rule, second: Rule, share: float) -> Rule:
    """The first rule on a share of the pairs, else the second."""
    return lambda a, b, rng: first(a, b, rng) if rng.random() < share else second(a, b, rng)


def noisy(rule: Rule, noise: float) -> Rule:
    """Labels turned round with a chance."""
    return lambda a, b, rng: rule(a, b, rng) * (-1 if rng.random() < noise else 1)


def groups(
    rule: Rule, n: int = 600, seed: int = 0, *, repeats: int = 1, flattery_lengthens: bool = False
) -> list[Group]:
    """Groups of two answers with ``repeats`` labels each."""
    rng = random.Random(seed)
    found = []
    for number in range(n):
        (first, ours), (second, theirs) = (
            answer(rng, flattery_lengthens=flattery_lengthens) for _ in range(2)
        )
        if first == second:
            continue
        context = Context((Message("user", f"Tell me about the {rng.choice(_NOUNS)}, number {number}."),))
        samples = tuple(Sample(context, Completion((Message("assistant", t),))) for t in (first, second))
        said = []
        for _ in range(repeats):
            side = rule(ours, theirs, rng)
            said.append(Judgement(PairTarget(0, 1) if side > 0 else PairTarget(1, 0), 1.0, judge="planted"))
        found.append(Group(samples, tuple(said), f"g{number}"))
    return found


def pairs(rule: Rule, n: int = 600, seed: int = 0, **how: object) -> Pairs:
    """Labelled pairs."""
    return pairs_of(groups(rule, n, seed, **how), name="planted")  # type: ignore[arg-type]
