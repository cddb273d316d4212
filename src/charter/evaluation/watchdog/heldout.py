"""Over-optimisation: the held-out reward falls while the reward that is trained on does not."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from charter.evaluation.watchdog.memory import SMOOTH, Memory, Series, neighbour_sigma, smoothed

HELD_OUT, PROXY = "heldout_reward", "reward"

PROXY_THEN = "reward at heldout_reward"
"""The series of the proxy's readings at those of the held-out reward."""

FEWEST = 8
"""Held-out readings before anything is said."""

_FLOOR = 0.02


@dataclass(frozen=True)
class HeldOutFell:
    """The held-out reward is ``z`` deviations below its best, and the proxy is no lower than it was then.

    Both are medians of three readings. A deviation is that of the difference of two such medians,
    from the distances of successive held-out readings, which a trend hardly enlarges. It is at
    least 2% of the range the held-out reward has covered (Gao et al. 2022, 2210.10760, for
    the shape that is looked for: the gold reward peaks while the proxy goes on rising).
    """

    z: float
    metric: str = HELD_OUT

    def excess(self, memory: Memory) -> float | None:
        """See :class:`charter.evaluation.watchdog.signal.Rule`."""
        gold, proxy = memory.get(HELD_OUT), memory.get(PROXY_THEN)
        if gold is None or proxy is None or len(gold.recent) < FEWEST:
            return None
        gold_now, proxy_now, best = gold.now, proxy.now, _best(gold)
        if proxy_now < smoothed(proxy.recent, best) - _noise(proxy.recent):
            return 0.0
        noise = max(_noise(gold.recent), _FLOOR * (max(gold.recent) - min(gold.recent)))
        fall = smoothed(gold.recent, best) - gold_now
        return fall / (self.z * noise) if noise > 0 else 0.0

    def words(self, memory: Memory) -> str:
        """See :class:`charter.evaluation.watchdog.signal.Rule`."""
        gold, proxy = memory.series[HELD_OUT], memory.series[PROXY_THEN]
        best = _best(gold)
        return (
            f"the held-out reward fell from {smoothed(gold.recent, best):.3g} to {gold.now:.3g} while the "
            f"reward trained on went from {smoothed(proxy.recent, best):.3g} to {proxy.now:.3g}"
        )


def _best(series: Series) -> int:
    """Where the smoothed series was highest."""
    places = range(SMOOTH - 1, len(series.recent))
    return max(places, key=lambda place: smoothed(series.recent, place))


def _noise(values: Sequence[float]) -> float:
    """Deviation of the difference of two medians of three readings, each 0.67 of the deviation of one."""
    return math.sqrt(2) * 0.67 * neighbour_sigma(values)
