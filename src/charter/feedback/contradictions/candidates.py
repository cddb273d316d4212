"""Which pairs of principles a judge is asked about: cheap signs that two are about the same thing."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import combinations

from charter.constitution import Constitution, Principle
from charter.constitution.cases import Conflict
from charter.constitution.prompt import plain

_WORD = re.compile(r"[^\W\d_]{3,}")
_ENDING = re.compile(r"(?:ing|ed|es|s|ly)$")
_TAG = 0.25
"""What a shared tag counts; words count at most 1."""


@dataclass(frozen=True)
class Candidates:
    """Pairs, the most alike first.

    Attributes:
        pairs: that are asked about.
        counts: of all pairs: how many, and why others are not asked about.
    """

    pairs: tuple[tuple[Principle, Principle], ...]
    counts: Mapping[str, int] = field(default_factory=dict)


def candidates(constitution: Constitution, most: int) -> Candidates:
    """At most ``most`` pairs of the same or of neighbouring levels that share tags or words.

    Words count by how few principles have them (cosine of tf-idf vectors). A pair that a conflict test
    ranks is left out: the constitution says itself which of the two gives way.
    """
    active = constitution.active
    vectors = _vectors({one.id: plain(f"{one.title} {one.text}", constitution.titles) for one in active})
    ranked = _ranked(constitution)
    counts = Counter({"pairs": 0, "levels apart": 0, "ranked by a conflict test": 0, "nothing in common": 0})
    scored: list[tuple[float, int, tuple[Principle, Principle]]] = []
    for place, (first, second) in enumerate(combinations(active, 2)):
        counts["pairs"] += 1
        alike = _cosine(vectors[first.id], vectors[second.id])
        alike += _TAG * len(set(first.tags) & set(second.tags))
        if abs(constitution.rank(first) - constitution.rank(second)) > 1:
            counts["levels apart"] += 1
        elif frozenset((first.id, second.id)) in ranked:
            counts["ranked by a conflict test"] += 1
        elif alike == 0.0:
            counts["nothing in common"] += 1
        else:
            scored.append((-alike, place, (first, second)))
    chosen = [pair for _, _, pair in sorted(scored, key=lambda one: one[:2])[:most]]
    counts["beyond the limit"] = len(scored) - len(chosen)
    counts["asked"] = len(chosen)
    return Candidates(tuple(chosen), dict(counts))


def _ranked(constitution: Constitution) -> set[frozenset[str]]:
    return {
        frozenset((principle.id, case.config.against))
        for principle in constitution.active
        for case in principle.tests
        if isinstance(case.config, Conflict)
    }


def _vectors(texts: Mapping[str, str]) -> dict[str, dict[str, float]]:
    """Unit vectors of words by how rare they are; a word that all have weighs nothing."""
    words = {id: Counter(_stems(text)) for id, text in texts.items()}
    having = Counter(word for found in words.values() for word in found)
    found = {}
    for id, mine in words.items():
        weights = {word: n * math.log(len(texts) / having[word]) for word, n in mine.items()}
        norm = math.sqrt(sum(weight**2 for weight in weights.values()))
        found[id] = {word: weight / norm for word, weight in weights.items() if weight} if norm else {}
    return found


def _stems(text: str) -> list[str]:
    return [_ENDING.sub("", word) for word in _WORD.findall(text.casefold())]


def _cosine(first: Mapping[str, float], second: Mapping[str, float]) -> float:
    return sum(weight * second.get(word, 0.0) for word, weight in first.items())
