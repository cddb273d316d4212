"""Over-optimisation: where the reward that counts stops following the reward that is trained on.

Gao, Schulman and Hilton 2022 (2210.10760): with ``d = sqrt(KL)`` the held-out ("gold") reward goes as
``d (alpha - beta log d)`` in training and as ``d (alpha - beta d)`` in best-of-n. Both laws are fitted
here to measured points, with intervals by bootstrap, and say where the held-out reward peaks.
KL is in nats per sequence.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from charter.errors import DataError
from charter.evaluation.overoptimisation.gold_law import Law, Point
from charter.rundir import read_jsonl
from charter.stats.best_of_n import best_of_n, fit_gold, kl_bound
from charter.stats.intervals import Interval, z_of

if TYPE_CHECKING:
    import numpy as np

FEWEST = 6
"""Points that a fit of three numbers is made of, at least."""

_CURVE = 60
_SURE = 0.95


@dataclass(frozen=True, slots=True)
class Curve:
    """The fitted law between the first and the last point, ready to draw: ``(d, lo, middle, hi)``."""

    places: tuple[tuple[float, float, float, float], ...]


@dataclass(frozen=True, slots=True)
class Overoptimisation:
    """What was measured, and what the law says of it.

    Attributes:
        points: in order of ``d``.
        left_out: rows in which one of the three was missing.
        law: see :class:`Law`.
        alpha, beta: intervals.
        peak: where the law is highest, if that is not beyond the last point.
        peak_interval: of its place among the resamples that have one there; None as for ``peak``.
        peaked: share of the resamples that do.
        fall: how much lower the law is at the last point than at its highest before.
        fall_interval: see above.
        curve: see :class:`Curve`.
        resamples: fits that the intervals come from.
    """

    points: tuple[Point, ...]
    left_out: int
    law: Law
    alpha: Interval
    beta: Interval
    peak: float | None
    peak_interval: Interval | None
    peaked: float
    fall: float
    fall_interval: Interval
    curve: Curve
    resamples: int

    @property
    def at_peak(self) -> float | None:
        """The first step (or n) that is as far as the peak."""
        if self.peak is None:
            return None
        return next((point.at for point in self.points if point.d >= self.peak), self.points[-1].at)

    def words(self) -> str:
        """What it comes to, in a sentence."""
        last = self.points[-1].d
        if self.peak is not None and self.peak_interval is not None and self.peaked >= _SURE:
            unit = "step" if self.law.kind == "training" else "n ="
            return (
                f"the held-out reward peaks at sqrt(KL) {self.peak:.2f} ({self.peak_interval.lo:.2f} to "
                f"{self.peak_interval.hi:.2f}), KL {self.peak**2:.1f} nats, {unit} {self.at_peak:g}, "
                f"and is lower by {self.fall:.3g} ({self.fall_interval.lo:.3g} to "
                f"{self.fall_interval.hi:.3g}) at the end"
            )
        if self.peaked <= 1 - _SURE:
            return f"no over-optimisation up to sqrt(KL) {last:.2f}: the held-out reward rises to the end"
        return (
            f"not decided: the held-out reward peaks before sqrt(KL) {last:.2f} in {self.peaked:.0%} of "
            f"{self.resamples} resamples"
        )


def points_of_run(
    directory: Path, *, proxy: str = "reward", gold: str = "heldout_reward", kl: str = "kl"
) -> tuple[list[Point], int]:
    """Points of a run's ``metrics.jsonl``, and how many rows have the held-out reward but not the others.

    Rows without a held-out reward are no measurements, and not counted.

    Raises:
        DataError: the run has no metrics, or none of the three together.
    """
    path = directory / "metrics.jsonl"
    rows = [row for row in read_jsonl(path) if row.get(gold) is not None]
    found = [
        Point(*(float(row[name]) for name in ("step", kl, proxy, gold)))
        for row in rows
        if _is_number(row, kl) and _is_number(row, proxy) and _is_number(row, gold)
    ]
    if not found:
        raise DataError(
            f"no step has all of {proxy!r}, {gold!r} and {kl!r}",
            where=str(path),
            fix="measure a held-out reward and the KL during training",
        )
    return found, len(rows) - len(found)


def after_training(
    points: Sequence[Point],
    *,
    start: float | None = None,
    left_out: int = 0,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Overoptimisation:
    """Fit ``start + d (alpha - beta log d)`` to the steps of a run; points are resampled.

    Args:
        points: at least :data:`FEWEST`, at three different distances.
        start: held-out reward at KL 0, where it was measured; None = fitted with the others.
        left_out: shown with the result.
        level: of the intervals.
        resamples: bootstrap draws.
        seed: of the draws.

    Raises:
        DataError: too few points, or all at the same distances.
    """
    ordered = sorted(points, key=lambda point: point.d)
    if len(ordered) < FEWEST:
        raise DataError(
            f"{len(ordered)} measurements are too few for a fit", fix=f"measure at least {FEWEST}"
        )

    def fit(chosen: Sequence[int]) -> Law | None:
        return _training_law([ordered[i] for i in chosen], start)

    return _judged(ordered, len(ordered), fit, left_out, level, resamples, seed)


def after_best_of_n(
    proxy: Sequence[Sequence[float]],
    gold: Sequence[Sequence[float]],
    ns: Sequence[int],
    *,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Overoptimisation:
    """Fit ``start + d (alpha - beta d)`` to best-of-n by a proxy; prompts are resampled.

    Rewards are the unbiased estimates of :func:`charter.stats.best_of_n.best_of_n`, KL its bound.

    Args:
        proxy: for each prompt the scores that choose, one a sample.
        gold: the scores that count, of the same samples.
        ns: sizes, such as 1, 2, 4, 8, 16; 1 is added where it is missing.
        level, resamples, seed: see :func:`after_training`.

    Raises:
        DataError: fewer than two sizes above 1, or two prompts; a prompt with too few samples or
            scores that do not belong together.
    """
    import numpy as np

    sizes = sorted({1, *ns})
    if len(sizes) < 3 or len(proxy) < 2:
        raise DataError("best-of-n needs two sizes above 1 and two prompts")
    try:
        table = np.array(
            [[[best_of_n(p, n, s) for n in sizes] for s in (p, g)] for p, g in zip(proxy, gold, strict=True)]
        )  # prompts, proxy and gold, sizes
    except ValueError as error:
        raise DataError(f"scores of best-of-n: {error}") from None
    d = [math.sqrt(kl_bound(n)) for n in sizes]

    def fit(chosen: Sequence[int]) -> Law | None:
        means = table[list(chosen), 1].mean(axis=0)
        start = float(means[0])
        return Law("best_of_n", *fit_gold(d, (means - start).tolist(), trained=False), start)

    means = table.mean(axis=0)
    points = [Point(n, kl_bound(n), *map(float, means[:, i])) for i, n in enumerate(sizes)]
    return _judged(points, len(table), fit, 0, level, resamples, seed)


def _training_law(points: Sequence[Point], start: float | None) -> Law | None:
    """The law that fits by least squares; None where the points do not determine it."""
    import numpy as np

    d = [point.d for point in points]
    gold = [point.gold for point in points]
    if start is not None:
        try:
            return Law("training", *fit_gold(d, [g - start for g in gold], trained=True), start)
        except ValueError:
            return None
    rows = [[1.0, x, -x * math.log(x) if x > 0 else 0.0] for x in d]
    found, _, rank, _ = np.linalg.lstsq(np.array(rows), np.array(gold), rcond=None)
    return Law("training", float(found[1]), float(found[2]), float(found[0])) if rank == 3 else None


def _judged(
    points: Sequence[Point],
    units: int,
    fit: Callable[[Sequence[int]], Law | None],
    left_out: int,
    level: float,
    resamples: int,
    seed: int,
) -> Overoptimisation:
    """The fit of everything, and the fits of resampled units."""
    import numpy as np

    z_of(level)  # refuses a level outside (0, 1)
    law = fit(range(units))
    if law is None:
        raise DataError("the measurements are at too few different distances for a fit")
    rng = np.random.default_rng(seed)
    laws = [found for _ in range(resamples) if (found := fit(rng.integers(0, units, units).tolist()))]
    if len(laws) < resamples / 2:
        raise DataError("the measurements are at too few different distances for intervals")

    def interval(values: Sequence[float] | np.ndarray[Any, Any]) -> Interval:
        lo, hi = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
        return Interval(float(lo), float(hi))

    first, last = points[0].d, points[-1].d
    peaks = [peak for one in laws if (peak := _peak_within(one, last)) is not None]
    peak = _peak_within(law, last)
    places = np.linspace(first, last, _CURVE)
    drawn = np.array([[one.gold(x) for x in places] for one in laws])
    band = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return Overoptimisation(
        points=tuple(points),
        left_out=left_out,
        law=law,
        alpha=interval([one.alpha for one in laws]),
        beta=interval([one.beta for one in laws]),
        peak=peak,
        peak_interval=interval(peaks) if peaks and peak is not None else None,
        peaked=len(peaks) / len(laws),
        fall=_fall(law, last),
        fall_interval=interval([_fall(one, last) for one in laws]),
        curve=Curve(
            tuple(
                (float(x), float(lo), law.gold(float(x)), float(hi))
                for x, lo, hi in zip(places, *band, strict=True)
            )
        ),
        resamples=len(laws),
    )


def _peak_within(law: Law, last: float) -> float | None:
    peak = law.peak
    return peak if peak is not None and peak < last else None


def _fall(law: Law, last: float) -> float:
    peak = _peak_within(law, last)
    return 0.0 if peak is None else law.gold(peak) - law.gold(last)


def _is_number(row: Mapping[str, Any], name: str) -> bool:
    value = row.get(name)
    return isinstance(value, (int, float)) and math.isfinite(value)
