"""Entropy that falls while the reward rises is learning; that which buys no reward is a collapse."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import fmean

from charter.evaluation.watchdog.heldout import PROXY
from charter.evaluation.watchdog.memory import SMOOTH, Memory, Series, neighbour_sigma, smoothed
from charter.evaluation.watchdog.rules import Shrunk

READINGS = 5
"""Of the reward before the fall, and of the last, that are compared."""

CALM_SHARE = 0.5
"""A fall begins where the metric was last above this share of what it began at."""


@dataclass(frozen=True)
class ShrunkInVain:
    """Fallen to a share of its beginning, and the reward is no higher than before the fall.

    A task with one right answer in one form leaves little to vary once it is learned, so entropy falls on
    the way (Cui et al. 2025, 2505.22617, find that reward is bought with entropy). What nobody
    wants is the fall without the reward: no samples are left that differ, and nothing that they could teach.

    The reward has risen where the mean of its last readings is a deviation of that difference above their
    mean before the fall; the deviation is from the distances of neighbouring readings, which a trend hardly
    enlarges. One deviation, as ending a run that learns costs more than ending a broken one a little later.

    Attributes:
        metric, share, least: as in :class:`charter.evaluation.watchdog.rules.Shrunk`.
        paid: the metric that the fall should raise.
    """

    metric: str
    share: float
    least: float
    paid: str = PROXY

    def excess(self, memory: Memory) -> float | None:
        """See :class:`charter.evaluation.watchdog.signal.Rule`."""
        found = self._fall.excess(memory)
        return 0.0 if found and self._bought(memory) else found

    def words(self, memory: Memory) -> str:
        """See :class:`charter.evaluation.watchdog.signal.Rule`."""
        seen = self._fall.words(memory)
        reward = memory.get(self.paid)
        if reward is None:
            return seen
        before, now = _before_and_now(memory.series[self.metric], reward)
        return f"{seen}, and {self.paid} is {now:.3g} after {before:.3g}"

    @property
    def _fall(self) -> Shrunk:
        return Shrunk(self.metric, self.share, self.least)

    def _bought(self, memory: Memory) -> bool:
        reward = memory.get(self.paid)
        if reward is None:
            return False
        before, now = _before_and_now(memory.series[self.metric], reward)
        return now - before > neighbour_sigma(reward.recent) * math.sqrt(2 / READINGS)


def _before_and_now(falling: Series, reward: Series) -> tuple[float, float]:
    """Mean of the reward's last readings before the fall, and of its last."""
    back = _since_calm(falling)
    end = max(len(reward.recent) - back, min(READINGS, len(reward.recent)))
    return fmean(reward.recent[max(end - READINGS, 0) : end]), fmean(reward.recent[-READINGS:])


def _since_calm(series: Series) -> int:
    """For how many readings the metric has been under :data:`CALM_SHARE` of its beginning."""
    values, limit = series.recent, CALM_SHARE * (series.start or 0.0)
    calm = [place for place in range(SMOOTH - 1, len(values)) if smoothed(values, place) >= limit]
    return len(values) - 1 - (calm[-1] if calm else -1)
