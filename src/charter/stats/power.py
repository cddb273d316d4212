"""How much data a decision needs."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Literal

from charter.stats.intervals import wilson, z_of
from charter.stats.paired import mcnemar_exact
from charter.stats.search import smallest

Decision = Literal["pass", "fail", "undecided"]


POWER = 0.8
"""Power that plans aim at."""

ODDS = " in about four of five studies"
"""How often what a plan asks for decides, in words."""


def planning_level(level: float, power: float = POWER) -> float:
    """The confidence level at which the expected interval must leave out a bound, for ``power`` at ``level``.

    At ``level`` itself half of all studies would decide. The usual sum of two normal quantiles: 99.5% for
    95% and a power of 0.8.
    """
    return 2 * NormalDist().cdf(z_of(level) + NormalDist().inv_cdf(power)) - 1


def flips_needed(alpha: float = 0.05) -> int:
    """Fewest flips, all the same way, that an exact McNemar test calls significant.

    Six for 0.05: five give p = 0.0625.
    """
    if not 0.0 < alpha < 1.0:
        raise ValueError(f"alpha lies between 0 and 1, not {alpha!r}")
    flips = 1
    while mcnemar_exact(flips, 0) >= alpha:
        flips += 1
    return flips


def more_pairs_to_decide(n10: int, n01: int, n: int, alpha: float = 0.05) -> int | None:
    """Paired prompts to add so that the change is significant in :data:`POWER` of studies at these rates.

    Args:
        n10: prompts that passed before only.
        n01: prompts that passed after only.
        n: paired prompts so far.
        alpha: significance level.

    Returns:
        0 when it already is; None when the flips balance, or more than
        :data:`SEARCH_LIMIT` would be needed.
    """
    if min(n10, n01) < 0 or n10 + n01 > n:
        raise ValueError(f"{n10!r} + {n01!r} flips of {n!r} pairs")
    if n10 == n01:
        return None if mcnemar_exact(n10, n01) >= alpha else 0

    strict = 1 - planning_level(1 - alpha)

    def decided(total: int) -> bool:
        up, down = max(n10, n01), min(n10, n01)
        # The surplus side is rounded down and the other up, so that rounding never decides.
        return mcnemar_exact(up * total // n, -(-down * total // n)) < strict

    if mcnemar_exact(n10, n01) < alpha:
        return 0
    return smallest(lambda more: decided(n + more))


def gate_decision(k: int, n: int, bound: float, level: float = 0.95) -> Decision:
    """Whether the rate behind ``k`` of ``n`` is at least ``bound``, as far as the data can tell."""
    interval = wilson(k, n, level)
    if interval.lo >= bound:
        return "pass"
    return "fail" if interval.hi < bound else "undecided"


def more_prompts_for_gate(k: int, n: int, bound: float, level: float = 0.95) -> int | None:
    """Prompts to add before :func:`gate_decision` decides, if the rate stays as it is.

    Returns:
        0 when decided; None when nothing was measured, or the rate is so close to
        the bound that more than :data:`SEARCH_LIMIT` would be needed.
    """
    if gate_decision(k, n, bound, level) != "undecided":
        return 0
    if n == 0:
        return None
    rate = k / n
    passing = rate >= bound

    def decided(total: int) -> bool:
        likely = math.floor(rate * total) if passing else math.ceil(rate * total)
        wanted = "pass" if passing else "fail"
        return gate_decision(min(likely, total), total, bound, level) == wanted

    return smallest(lambda more: decided(n + more))
