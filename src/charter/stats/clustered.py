"""How much values that come in clusters are worth: answers to one prompt are alike, and count for less.

The rate is the mean over clusters of a cluster's mean. Its variance between clusters says of how many
independent values it might be the mean (the design effect: Kish 1965). With few clusters that variance is
itself a guess, so the number is lowered by the ratio of t quantiles (Korn and Graubard, Survey Methodology
24, 1998).
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import TypeVar

_Kind = TypeVar("_Kind", bound=Hashable)

_LEVEL = 0.95


def by_cluster(rows: Iterable[tuple[Hashable, float]]) -> list[list[float]]:
    """The values of each cluster, from rows of ``(cluster, value)``."""
    found: dict[Hashable, list[float]] = {}
    for cluster, value in rows:
        found.setdefault(cluster, []).append(value)
    return list(found.values())


def effective_number(clusters: Sequence[Sequence[float]]) -> float:
    """How many independent values these are worth.

    At least the number of clusters (that is what they are worth where all values of a cluster are equal), at
    most the number of values; the number of values where each cluster has one.

    Raises:
        ValueError: a cluster without values.
    """
    if not all(clusters):
        raise ValueError("a cluster needs at least one value")
    count, values = len(clusters), sum(map(len, clusters))
    if count < 2 or values == count:
        return float(count)
    means = [math.fsum(cluster) / len(cluster) for cluster in clusters]
    squares = [math.fsum(value * value for value in cluster) / len(cluster) for cluster in clusters]
    mean = math.fsum(means) / count
    alone = math.fsum(squares) / count - mean * mean
    between = math.fsum((one - mean) ** 2 for one in means) / (count - 1) / count
    # Clusters that all agree show no spread; they are then worth one value each, not endlessly many.
    worth = alone / between * _fewer(values, count) if between > 0 else float(count)
    return min(float(values), max(float(count), worth))


def effective_counts(clusters: Sequence[Sequence[float]]) -> tuple[float, float]:
    """``(passed, n)`` of as many independent answers as answers that share prompts are worth.

    Args:
        clusters: of each prompt its verdicts, 0 or 1.

    Raises:
        ValueError: a prompt without verdicts, or a value outside [0, 1].
    """
    if any(not cluster or not all(0 <= value <= 1 for value in cluster) for cluster in clusters):
        raise ValueError("a prompt needs at least one verdict, and verdicts lie in [0, 1]")
    n = effective_number(clusters)
    means = [math.fsum(cluster) / len(cluster) for cluster in clusters]
    # Rounding must not pass more than there are.
    return min(n, math.fsum(means) * (n / max(1, len(means)))), n


def effective_cells(
    rows: Sequence[tuple[Hashable, _Kind]], value: Mapping[_Kind, float]
) -> tuple[dict[_Kind, float], float]:
    """Counts of each kind, of as many independent rows as rows that share clusters are worth; and how many.

    Args:
        rows: ``(cluster, kind)``.
        value: of every kind the value whose mean is asked for: its spread says what the rows are worth.
    """
    clusters: dict[Hashable, list[_Kind]] = {}
    for cluster, kind in rows:
        clusters.setdefault(cluster, []).append(kind)
    n = effective_number([[value[kind] for kind in kinds] for kinds in clusters.values()])
    shares = {
        kind: math.fsum(kinds.count(kind) / len(kinds) for kinds in clusters.values()) / max(1, len(clusters))
        for kind in value
    }
    return {kind: share * n for kind, share in shares.items()}, n


@lru_cache(maxsize=4096)
def _fewer(values: int, clusters: int) -> float:
    """Squared ratio of the t quantiles with the freedom of the values and of the clusters; at most 1."""
    from scipy.stats import t

    tail = 0.5 + _LEVEL / 2
    return float((t.ppf(tail, values - 1) / t.ppf(tail, clusters - 1)) ** 2)
