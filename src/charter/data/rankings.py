"""Groups whose answers are compared with each other, and those that are ranked from best to worst."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

from charter.data.formats import LoadedData
from charter.errors import DataError
from charter.types import Group, PairTarget

UNCOMPARED = "dropped: no answer is better than another"
MOST_TIED = 10
"""Answers that may share a rank; as :data:`charter.objectives.ranking.MOST_TIED`, which needs torch."""


def compared(loaded: LoadedData, options: Any) -> LoadedData:
    """Only the groups in which some answer is better than another; the rest is counted.

    Raises:
        DataError: nothing is left.
    """
    kept = tuple(group for group in loaded.groups if _pairs(group))
    if not kept:
        raise DataError("no answer is better than another", where=loaded.name or None)
    lost = len(loaded.groups) - len(kept)
    return replace(loaded, groups=kept, counts={**loaded.counts, UNCOMPARED: lost})


def ranked(loaded: LoadedData, options: Any) -> LoadedData:
    """Groups whose pairs are those of one ranking, ties allowed.

    Raises:
        DataError: a group's pairs contradict each other, are uncertain or leave answers uncompared, or
            many tie.
    """
    loaded = compared(loaded, options)
    for group in loaded.groups:
        _check_ranking(group)
    return loaded


def _check_ranking(group: Group) -> None:
    """A ranking's pairs are exactly those whose better answer is beaten by fewer."""
    pairs = _pairs(group)
    beaten = Counter(worse for _, worse in pairs)
    everyone = range(len(group.samples))
    if any(said.probability not in (None, 1.0) for said in group.judgements):
        raise DataError(
            "a ranking takes no probability",
            where=group.source,
            fix="remove the column, or train pairs with reward or reward-kwise",
        )
    if pairs != {(a, b) for a in everyone for b in everyone if beaten[a] < beaten[b]}:
        raise DataError(
            "the pairs are not those of one ranking",
            where=group.source,
            fix="give responses with ranks or scores, or train pairs with reward-kwise",
        )
    most = max(Counter(beaten[i] for i in everyone).values())
    if most > MOST_TIED:
        raise DataError(
            f"{most} answers share a rank, at most {MOST_TIED} may",
            where=group.source,
            fix="use reward-kwise, which leaves ties out",
        )


def _pairs(group: Group) -> set[tuple[int, int]]:
    return {
        (said.target.better, said.target.worse)
        for said in group.judgements
        if isinstance(said.target, PairTarget) and said.verdict == "judged"
    }
