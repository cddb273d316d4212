"""The over-optimisation curves of a training run, from the metrics it wrote down.

Two rewards can play the held-out part: one of weight 0, which is watched and not trained on, and the
trained reward itself on prompts that are not trained on.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from charter.errors import DataError
from charter.evaluation.overoptimisation.gold_law import Point
from charter.evaluation.overoptimisation.overoptimisation import (
    FEWEST,
    Overoptimisation,
    after_training,
    points_of_run,
)
from charter.rundir import read_jsonl

PROXY, HELDOUT, KL = "reward", "heldout_reward", "kl"


@dataclass(frozen=True, slots=True)
class RunCurve:
    """One held-out reward over a run.

    Attributes:
        gold: name of its metric.
        proxy: name of the metric of the reward that is trained on.
        points: steps at which both and the KL were measured.
        left_out: steps with the held-out reward, but not both of the others.
        found: the fit; None = it cannot be made.
        why: why not; "" where there is one.
    """

    gold: str
    proxy: str
    points: tuple[Point, ...]
    left_out: int
    found: Overoptimisation | None
    why: str = ""

    @property
    def name(self) -> str:
        """What people call the held-out reward."""
        if self.gold == HELDOUT:
            return "the same reward on held-out prompts"
        return self.gold.removeprefix("rewards/").removesuffix("/mean")

    def words(self) -> str:
        """What it comes to, in a sentence."""
        return self.why if self.found is None else self.found.words()

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        found = self.found
        peak = None
        if found is not None and found.peak is not None and found.peak_interval is not None:
            peak = {"d": found.peak, "lo": found.peak_interval.lo, "hi": found.peak_interval.hi}
        return {
            "gold": self.gold,
            "name": self.name,
            "proxy": self.proxy,
            "points": [{**asdict(point), "d": point.d} for point in self.points],
            "left_out": self.left_out,
            "curve": [] if found is None else [list(place) for place in found.curve.places],
            "peak": peak,
            "peaked": None if found is None else found.peaked,
            "alpha": None if found is None else found.law.alpha,
            "beta": None if found is None else found.law.beta,
            "words": self.words(),
        }


def watched_metrics(names: Sequence[str] | None) -> list[str]:
    """Metrics of the rewards that a run watched and was not trained on, its result's ``watched_rewards``."""
    return [f"rewards/{name}/mean" for name in names or ()]


def curves_of_run(
    directory: Path,
    golds: Sequence[str],
    *,
    proxy: str = PROXY,
    kl: str = KL,
    resamples: int = 2000,
    seed: int = 0,
) -> list[RunCurve]:
    """A curve for each held-out reward that the run measured at all; see :func:`after_training`.

    Args:
        directory: of the run, with ``metrics.jsonl``.
        golds: names of metrics.
        proxy: of the reward that is trained on.
        kl: of the distance, in nats per sequence.
        resamples: bootstrap draws of each fit.
        seed: of the draws.
    """
    rows = read_jsonl(directory / "metrics.jsonl")
    measured = [name for name in golds if any(row.get(name) is not None for row in rows)]
    return [_curve(directory, name, proxy, kl, resamples, seed) for name in measured]


def _curve(directory: Path, gold: str, proxy: str, kl: str, resamples: int, seed: int) -> RunCurve:
    try:
        points, left_out = points_of_run(directory, proxy=proxy, gold=gold, kl=kl)
    except DataError as error:
        return RunCurve(gold, proxy, (), 0, None, f"no curve: {error.what}")
    points = sorted((one for one in points if math.isfinite(one.kl)), key=lambda one: one.d)
    try:
        found = after_training(points, left_out=left_out, resamples=resamples, seed=seed)
    except DataError as error:
        few = len(points) < FEWEST
        why = f"{len(points)} measurements, and a fit takes {FEWEST}" if few else error.what
        return RunCurve(gold, proxy, tuple(points), left_out, None, f"not fitted: {why}")
    return RunCurve(gold, proxy, found.points, left_out, found)
