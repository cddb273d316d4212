"""Rates over held-out prompts, and the change between two models on the same prompts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from charter.stats import (
    Interval,
    bootstrap_mean,
    cluster_means,
    mcnemar_exact,
    newcombe_paired,
    permutation_test,
    square_and_add,
    wilson,
)

Clusters = Sequence[Sequence[float]]
"""Per prompt, the values of its samples: 1.0 pass, 0.0 fail, or a fraction between."""


@dataclass(frozen=True, slots=True)
class Rate:
    """A mean over prompts with its interval.

    Attributes:
        k: answers that passed; None for a mean of fractions.
        n: answers counted.
        rate: mean over prompts of each prompt's mean (``k / n`` with one sample per prompt).
        lo: lower end of the interval.
        hi: upper end.
    """

    k: int | None
    n: int
    rate: float
    lo: float
    hi: float

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Change:
    """What alignment changed on the same prompts: after minus before.

    Attributes:
        diff: difference of the two rates.
        lo: lower end of its interval.
        hi: upper end.
        p: two-sided p-value of no change.
        p_holm: ``p`` corrected for testing all measured principles.
        test: ``mcnemar`` (one answer per prompt), ``permutation`` (means per prompt), or
            ``prediction_powered`` (of the true rates, by people's labels of both models' answers).
        up: prompts that went up.
        down: prompts that went down.
    """

    diff: float
    lo: float
    hi: float
    p: float
    p_holm: float
    test: str
    up: int
    down: int

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return asdict(self)


def rate_of(clusters: Clusters, *, level: float, seed: int) -> Rate:
    """Mean over prompts: Wilson when every prompt is all pass or all fail, else clustered BCa bootstrap.

    Prompts that are all alike have no spread to resample; there too every prompt
    counts as one of Wilson's trials, which errs on the wide side.
    """
    means = [float(mean) for mean in cluster_means(clusters)]
    rate = sum(means) / len(means)
    values = [value for cluster in clusters for value in cluster]
    binary = all(value in (0.0, 1.0) for value in values)
    if len(set(means)) == 1 or all(mean in (0.0, 1.0) for mean in means):
        interval = wilson(round(sum(means)), len(means), level)
    else:
        interval = _bootstrap(means, level, seed)
    return Rate(int(sum(values)) if binary else None, len(values), rate, interval.lo, interval.hi)


def change_of(before: Clusters, after: Clusters, *, level: float, seed: int) -> Change:
    """Change on the same prompts, in the same order; ``p_holm`` starts as ``p``.

    One pass-or-fail answer per prompt: exact McNemar and Newcombe's interval.
    Otherwise: differences of per-prompt means, sign-flip permutation and BCa bootstrap.
    """
    first, second = cluster_means(before), cluster_means(after)
    differences = [float(d) for d in second - first]
    up, down = sum(d > 0 for d in differences), sum(d < 0 for d in differences)
    mean = sum(differences) / len(differences)
    single = all(len(cluster) == 1 for cluster in (*before, *after))
    if single and all(cluster[0] in (0.0, 1.0) for cluster in (*before, *after)):
        both = int(sum(min(a, b) for a, b in zip(first, second, strict=True)))
        interval = newcombe_paired(both, down, up, len(differences) - both - up - down, level)
        p, test = mcnemar_exact(down, up), "mcnemar"
    else:
        interval = _difference_interval(before, after, differences, level, seed)
        p, test = permutation_test(differences, seed=seed), "permutation"
    return Change(mean, interval.lo, interval.hi, p, p, test, up, down)


def _difference_interval(
    before: Clusters, after: Clusters, differences: list[float], level: float, seed: int
) -> Interval:
    if len(set(differences)) > 1:
        return _bootstrap(differences, level, seed)
    # Every prompt moved alike, so there is nothing to resample: combine the two rates' own intervals.
    first, second = rate_of(before, level=level, seed=seed), rate_of(after, level=level, seed=seed)
    return square_and_add(
        first.rate, Interval(first.lo, first.hi), second.rate, Interval(second.lo, second.hi)
    )


def _bootstrap(values: list[float], level: float, seed: int) -> Interval:
    return bootstrap_mean([[value] for value in values], level=level, seed=seed)
