"""A text as a row of numbers, without a model: its words, counted by the hash of each."""

from __future__ import annotations

import hashlib
import math
import re

DIMENSIONS = 256
_WORD = re.compile(r"\w+")


def hashed_words(text: str, dimensions: int = DIMENSIONS) -> tuple[float, ...]:
    """Square roots of the counts of words by hash; tells subjects apart, and nothing finer."""
    counts = [0.0] * dimensions
    for word in _WORD.findall(text.lower()):
        drawn = hashlib.blake2b(word.encode(), digest_size=4).digest()
        counts[int.from_bytes(drawn, "big") % dimensions] += 1.0
    return tuple(math.sqrt(count) for count in counts)
