"""How far two corners agree: raw and beyond chance, with intervals over conversations."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

from charter.evaluation.consistency.items import Item
from charter.stats import Interval, wilson

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

DRAWS = 2_000


@dataclass(frozen=True)
class Agreed:
    """Two corners on the answers both spoke of.

    Attributes:
        first, second: the corners.
        principle: id; "" = all together.
        n: answers.
        prompts: conversations they belong to, which are resampled.
        both_pass, first_only, second_only, both_fail: counts of answers.
        agree: share on which they say the same; None without answers.
        agree_interval: of it.
        kappa: Cohen's; None where chance agrees completely too.
        kappa_interval: of it; all of [-1, 1] where it says nothing.
    """

    first: str
    second: str
    principle: str
    n: int
    prompts: int
    both_pass: int
    first_only: int
    second_only: int
    both_fail: int
    agree: float | None
    agree_interval: Interval
    kappa: float | None
    kappa_interval: Interval


def agreements(
    items: Sequence[Item],
    corners: Sequence[str],
    principle: str,
    *,
    level: float = 0.95,
    draws: int = DRAWS,
    seed: int = 0,
) -> list[Agreed]:
    """Every two corners that spoke of the same answers.

    Args:
        items: of one principle, or of all.
        corners: names.
        principle: what to write down.
        level: of intervals.
        draws: of conversations.
        seed: of them.
    """
    found = (
        agreed(items, a, b, principle, level=level, draws=draws, seed=seed)
        for a, b in combinations(corners, 2)
    )
    return [one for one in found if one.n]


def agreed(
    items: Iterable[Item],
    first: str,
    second: str,
    principle: str,
    *,
    level: float = 0.95,
    draws: int = DRAWS,
    seed: int = 0,
) -> Agreed:
    """Two corners; answers to one conversation are resampled together (Field and Welsh 2007)."""
    import numpy as np

    counts: dict[str, list[int]] = {}
    for item in items:
        if first in item.said and second in item.said:
            cell = 2 * (not item.said[first]) + (not item.said[second])
            counts.setdefault(item.prompt, [0, 0, 0, 0])[cell] += 1
    if not counts:
        nothing = Interval(-1.0, 1.0)
        return Agreed(first, second, principle, 0, 0, 0, 0, 0, 0, None, Interval(0.0, 1.0), None, nothing)
    counts_C4 = np.array(list(counts.values()), dtype=np.float64)
    total_4 = counts_C4.sum(0)
    raw_1, kappa_1, expected_1 = _rates(total_4[None])
    raw, kappa = float(raw_1[0]), float(kappa_1[0])
    c, n = len(counts_C4), int(total_4.sum())
    drawn_B4 = np.random.default_rng(seed).multinomial(c, np.full(c, 1 / c), draws) @ counts_C4
    raw_B, kappa_B, _ = _rates(drawn_B4)
    tails = ((1 - level) / 2, (1 + level) / 2)
    same = min(c, n)
    alone = wilson(raw * same, same, level)  # where nothing differs, nothing can be resampled
    raw_interval = alone
    if raw not in (0.0, 1.0) and c > 1:
        lo, hi = (float(end) for end in np.quantile(raw_B, tails))
        raw_interval = Interval(lo, hi)
    kappa_interval = Interval(-1.0, 1.0)
    known_B = kappa_B[np.isfinite(kappa_B)]
    if np.isfinite(kappa) and c > 1 and known_B.size >= draws / 2:
        lo, hi = (float(end) for end in np.quantile(known_B, tails))
        if raw == 1.0:
            lo, hi = (alone.lo - float(expected_1[0])) / (1.0 - float(expected_1[0])), 1.0
        kappa_interval = Interval(max(-1.0, lo), hi)
    both_pass, first_only, second_only, both_fail = (int(count) for count in total_4)
    return Agreed(
        first,
        second,
        principle,
        n,
        c,
        both_pass,
        first_only,
        second_only,
        both_fail,
        raw,
        raw_interval,
        kappa if np.isfinite(kappa) else None,
        kappa_interval,
    )


def _rates(
    counts_B4: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Raw agreement, kappa (nan where chance agrees completely) and chance's agreement."""
    import numpy as np

    share_B4 = counts_B4 / counts_B4.sum(1, keepdims=True)
    raw_B = share_B4[:, 0] + share_B4[:, 3]
    first_B, second_B = share_B4[:, 0] + share_B4[:, 1], share_B4[:, 0] + share_B4[:, 2]
    chance_B = first_B * second_B + (1 - first_B) * (1 - second_B)
    with np.errstate(invalid="ignore", divide="ignore"):
        kappa_B = np.where(chance_B < 1 - 1e-12, (raw_B - chance_B) / (1 - chance_B), np.nan)
    return raw_B, kappa_B, chance_B
