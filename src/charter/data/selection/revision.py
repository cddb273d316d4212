"""How small a revision is: what CLAIR minimises (2408.06266)."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Revision:
    """What a revision changed.

    Attributes:
        jaccard: distinct tokens that both have, as a share of those that either has; 1 for two empty texts.
        edit_distance: fewest tokens inserted, deleted or replaced (Levenshtein).
        length_delta: tokens gained.
    """

    jaccard: float
    edit_distance: int
    length_delta: int


def compare_revision(original: Sequence[Hashable], revised: Sequence[Hashable]) -> Revision:
    """Measure a revision on the tokens (ids or words) of both texts."""
    ours, theirs = set(original), set(revised)
    either = ours | theirs
    return Revision(
        jaccard=len(ours & theirs) / len(either) if either else 1.0,
        edit_distance=edit_distance(original, revised),
        length_delta=len(revised) - len(original),
    )


def edit_distance(first: Sequence[Hashable], second: Sequence[Hashable]) -> int:
    """Levenshtein distance, in time ``len(first) * len(second)`` and the memory of one row."""
    row = list(range(len(second) + 1))
    for i, ours in enumerate(first, start=1):
        diagonal, row[0] = row[0], i
        for j, theirs in enumerate(second, start=1):
            replaced = diagonal + (ours != theirs)
            diagonal, row[j] = row[j], min(replaced, row[j] + 1, row[j - 1] + 1)
    return row[-1]
