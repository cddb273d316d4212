"""From what was read in answers to rows: shares, paired changes, means."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import Any

from charter.evaluation.probes.rows import Row, Unit
from charter.stats import (
    Interval,
    bootstrap_mean,
    mcnemar_exact,
    newcombe_paired,
    permutation_test,
    wilson,
)

RESAMPLES = 4000
"""Draws of a bootstrap or of a permutation test."""


def share(name: str, flags: Sequence[bool | None], level: float, why: str = "", **detail: Any) -> Row:
    """The share of items that are so, with Wilson's interval; None = could not be read, left out."""
    known = [flag for flag in flags if flag is not None]
    k, n = sum(known), len(known)
    return Row(
        name,
        k / n if n else None,
        wilson(k, n, level) if n else None,
        n,
        len(flags) - n,
        "share",
        why=why if n else "no item could be read",
        detail={"k": k, **detail},
    )


def change(
    name: str,
    first: Sequence[bool | None],
    second: Sequence[bool | None],
    level: float,
    why: str = "",
    **detail: Any,
) -> Row:
    """How a share differs between two ways of asking the same items: second less first.

    Newcombe's paired interval and McNemar's exact test; items that could not be read in both are left out.
    """
    pairs = [(a, b) for a, b in zip(first, second, strict=True) if a is not None and b is not None]
    both, lost, won, neither = (
        pairs.count(cell) for cell in ((True, True), (True, False), (False, True), (False, False))
    )
    n = len(pairs)
    return Row(
        name,
        (won - lost) / n if n else None,
        newcombe_paired(both, lost, won, neither, level) if n else None,
        n,
        len(first) - n,
        "change",
        mcnemar_exact(lost, won) if n else None,
        why if n else "no item could be read in both ways",
        {"both": both, "first_only": lost, "second_only": won, "neither": neither, **detail},
    )


def mean(
    name: str,
    values: Sequence[float | None],
    level: float,
    why: str = "",
    *,
    bounds: tuple[float, float] | None = None,
    tested: bool = False,
    unit: Unit = "number",
    seed: int = 0,
    **detail: Any,
) -> Row:
    """The mean over items with a bootstrap interval; None = missing, left out.

    Args:
        name: of the row.
        values: one an item.
        level: of the interval.
        why: see :class:`~charter.evaluation.probes.rows.Row`.
        bounds: least and most a value can be; gives an interval where all values are the same.
        tested: values are paired differences: test by flipping signs that their mean is 0.
        unit: of the row.
        seed: of the draws.
        detail: see :class:`~charter.evaluation.probes.rows.Row`.
    """
    known = [float(value) for value in values if value is not None]
    missing = len(values) - len(known)
    if not known:
        return Row(name, None, None, 0, missing, unit, why="no item could be read", detail=detail)
    interval: Interval | None
    if len(set(known)) > 1:
        interval = bootstrap_mean([[one] for one in known], level=level, resamples=RESAMPLES, seed=seed)
    else:
        interval = None if bounds is None else _alike(known[0], len(known), bounds, level)
    p = permutation_test(known, draws=RESAMPLES, seed=seed) if tested else None
    return Row(name, fmean(known), interval, len(known), missing, unit, p, why, detail)


def _alike(value: float, n: int, bounds: tuple[float, float], level: float) -> Interval:
    """An interval of the mean where all of ``n`` items say ``value``.

    A share of items that Wilson's interval does not exclude may be anything else, at worst a bound.
    """
    rest = 1 - wilson(n, n, level).lo
    lo, hi = bounds
    return Interval(value - rest * (value - lo), value + rest * (hi - value))


def gap(a: float | None, b: float | None) -> float | None:
    """``a - b``; None where one is missing."""
    return None if a is None or b is None else a - b


def not_measured(name: str, why: str, unit: Unit = "number") -> Row:
    """A row that says why there is no number."""
    return Row(name, None, None, 0, 0, unit, why=why)
