"""Candidates that say the same, by their votes or by their words: one of each stays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from charter.feedback.recovering.candidate import SOURCES, Candidate
from charter.feedback.recovering.votes import Votes
from charter.feedback.revising.near_duplicates import NEAR, overlap

SAME_VOTES = 0.9
"""Cosine of two candidates' votes from which they count as one."""


@dataclass(frozen=True)
class Cluster:
    """Candidates that say the same.

    Attributes:
        first: which speaks for them, as an index.
        others: those it speaks for, with the cosine of their votes with its own.
    """

    first: int
    others: tuple[tuple[int, float], ...]


def cosines(votes: Votes) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Likeness of the votes of every two candidates, -1 to 1; 0 where one never votes. Shape ``[C, C]``."""
    cast_CN = votes.cast_CN.astype(float)
    size_C = np.sqrt((cast_CN**2).sum(axis=1))
    unit_CN = cast_CN / np.maximum(size_C, 1e-9)[:, None]
    found: np.ndarray[tuple[int, int], np.dtype[np.float64]] = unit_CN @ unit_CN.T
    return found


def clusters(
    candidates: Sequence[Candidate], votes: Votes, lead: Sequence[int], same: float = SAME_VOTES
) -> list[Cluster]:
    """Every candidate in one cluster.

    Who speaks for a cluster: a declared principle before a supplied, a proposed and one of the catalogue;
    then the one that agrees with more labels. Two declared principles are never put together: each is
    reported on.

    Args:
        candidates: all of them.
        votes: on the pairs that principles are chosen on.
        lead: of each, votes for less votes against.
        same: see :data:`SAME_VOTES`.
    """
    alike = cosines(votes)
    order = sorted(
        range(len(candidates)), key=lambda at: (SOURCES.index(candidates[at].source), -lead[at], at)
    )
    firsts: list[int] = []
    others: dict[int, list[tuple[int, float]]] = {}
    for at in order:
        leader = next(
            (first for first in firsts if _same(candidates, first, at, float(alike[first, at]), same)), None
        )
        if leader is None:
            firsts.append(at)
            others[at] = []
        else:
            others[leader].append((at, float(alike[leader, at])))
    return [Cluster(first, tuple(others[first])) for first in firsts]


def _same(candidates: Sequence[Candidate], first: int, second: int, alike: float, same: float) -> bool:
    one, other = candidates[first], candidates[second]
    if one.source == other.source == "declared":
        return False
    if alike >= same:
        return True
    # Texts of the catalogue differ in one word and mean the opposite: they are told apart by votes alone.
    written = "catalogue" not in (one.source, other.source)
    return written and alike >= 0 and overlap(one.says, other.says) >= NEAR
