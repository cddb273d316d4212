"""Where settings and readings of formulas come from, and which of them could not be settled.

Papers are cited by their arXiv ids. Where a paper's own text was not at hand, the entry says what was
read in its place.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Source:
    """One point of an algorithm that is not plain from its formula.

    Attributes:
        point: what the question is.
        settled: whether a source answers it.
        found: what the source says, or what was looked for and what is done in its place.
    """

    point: str
    settled: bool
    found: str


def settled(point: str, found: str) -> Source:
    """A point that a source answers."""
    return Source(point, True, found)


def unsettled(point: str, found: str) -> Source:
    """A point that no source at hand answers."""
    return Source(point, False, found)
