"""Texts that say the same: equal once normalised, or nearly the same words."""

from __future__ import annotations

import re
from collections.abc import Iterable

_WORD = re.compile(r"\w+")

NEAR = 0.8
"""Share of distinct words two texts have in common, from which they count as the same."""


def normalised(text: str) -> str:
    """``text`` in lower case, without punctuation and spacing."""
    return " ".join(_WORD.findall(text.casefold()))


def overlap(one: str, other: str) -> float:
    """Distinct words that both texts have, as a share of those that either has; 1 for two empty texts."""
    ours, theirs = set(normalised(one).split()), set(normalised(other).split())
    either = ours | theirs
    return len(ours & theirs) / len(either) if either else 1.0


class Seen:
    """Texts met so far.

    Args:
        texts: met before.
        near: share of words in common that makes two texts the same.
    """

    def __init__(self, texts: Iterable[str] = (), near: float = NEAR) -> None:
        self._near = near
        self._texts: dict[str, frozenset[str]] = {}
        self._by_word: dict[str, list[str]] = {}
        for text in texts:
            self.add(text)

    def add(self, text: str) -> None:
        """Remember a text."""
        key = normalised(text)
        if key in self._texts:
            return
        self._texts[key] = frozenset(key.split())
        for word in self._texts[key]:
            self._by_word.setdefault(word, []).append(key)

    def twin(self, text: str) -> str | None:
        """The normalised text met before that says the same, or None."""
        key = normalised(text)
        if key in self._texts:
            return key
        words = frozenset(key.split())
        counts: dict[str, int] = {}
        for word in words:
            for other in self._by_word.get(word, ()):
                counts[other] = counts.get(other, 0) + 1
        for other, shared in counts.items():
            if shared / (len(words) + len(self._texts[other]) - shared) >= self._near:
                return other
        return None
