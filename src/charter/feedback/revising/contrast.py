"""How much a revision changes: measures of contrast between two texts, no torch (2408.06266, section 3)."""

from __future__ import annotations

import re
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from charter.data.selection.revision import compare_revision

_TOKEN = re.compile(r"\w+|[^\w\s]")


@dataclass(frozen=True, slots=True)
class Contrast:
    """What differs between a text and its revision.

    Attributes:
        jaccard: distinct tokens both have, as a share of those either has; 1 = the same words.
        levenshtein_ratio: 1 less the edit distance as a share of the longer text; 1 = equal.
        edit_distance: fewest tokens inserted, deleted or replaced.
        length_delta: tokens gained.
    """

    jaccard: float
    levenshtein_ratio: float
    edit_distance: int
    length_delta: int


def tokens(text: str) -> list[str]:
    """Words and single marks of punctuation."""
    return _TOKEN.findall(text)


def contrast(original: str, revised: str) -> Contrast:
    """Measure a revision on words and punctuation."""
    return contrast_of(tokens(original), tokens(revised))


def contrast_of(original: Sequence[Hashable], revised: Sequence[Hashable]) -> Contrast:
    """Measure a revision on tokens of any kind."""
    found = compare_revision(original, revised)
    longest = max(len(original), len(revised))
    ratio = 1 - found.edit_distance / longest if longest else 1.0
    return Contrast(found.jaccard, ratio, found.edit_distance, found.length_delta)
