"""Two measures of every checkpoint, and which checkpoints no other one beats on both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from charter.evaluation.side_by_side.cells import clusters
from charter.evaluation.side_by_side.checkpoint import Checkpoint
from charter.evaluation.side_by_side.comparable import shared
from charter.evaluation.side_by_side.measures import Measure
from charter.stats import Interval, wilson

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

DRAWS = 2_000
_EQUAL = 1e-12


@dataclass(frozen=True)
class Place:
    """A checkpoint in the plane.

    Attributes:
        name: the checkpoint.
        x, y: its values, with intervals over prompts; of a health measure without one (None).
        dominated_by: a checkpoint that is at least as good on both and better on one; "" = on the front.
        front_share: share of resampled sets of prompts in which it is on the front; None = none resampled.
    """

    name: str
    x: float
    y: float
    x_interval: Interval | None
    y_interval: Interval | None
    dominated_by: str
    front_share: float | None


@dataclass(frozen=True)
class Pareto:
    """The plot.

    Attributes:
        x, y: the axes.
        places: in the order of the checkpoints.
        prompts: prompts that all of them answered.
        left_out: checkpoints and principles that are not in it, and why.
    """

    x: Measure
    y: Measure
    places: tuple[Place, ...]
    prompts: int
    left_out: Mapping[str, str]

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return {
            "x": asdict(self.x),
            "y": asdict(self.y),
            "prompts": self.prompts,
            "places": [asdict(one) for one in self.places],
            "left_out": dict(self.left_out),
        }


def pareto_of(
    checkpoints: Sequence[Checkpoint],
    x: Measure,
    y: Measure,
    *,
    level: float = 0.95,
    draws: int = DRAWS,
    seed: int = 0,
    any_sampling: bool = False,
) -> Pareto:
    """Place the checkpoints, on the prompts and principles they all share with the first.

    A value is the mean over its principles of the share of prompts that keep to them. Prompts are resampled
    for all checkpoints and both axes together, so that a hard prompt is hard for all.

    Args:
        checkpoints: the first decides what is comparable.
        x: across.
        y: up.
        level: of intervals.
        draws: of prompts.
        seed: of them.
        any_sampling: see :func:`charter.evaluation.side_by_side.comparable.shared`.
    """
    first = checkpoints[0]
    left_out: dict[str, str] = {}
    kept, prompts = [first], list(first.verdicts)
    refused: dict[str, str] = {}
    for one in checkpoints[1:]:
        share = shared(first, one, any_sampling=any_sampling)
        if share.why_not:
            left_out[one.name] = share.why_not
            continue
        kept.append(one)
        prompts = [prompt for prompt in prompts if prompt in set(share.prompts)]
        refused |= {id: f"{one.name}: {why}" for id, why in share.refused.items()}
    sides = []
    for measure in (x, y):
        ids = [id for id in measure.principles if id not in refused]
        unmeasured = {id: one.name for id in ids for one in kept if not clusters(one, id, prompts)}
        left_out |= {id: refused[id] for id in measure.principles if id in refused}
        left_out |= {id: f"{name}: judged on no shared prompt" for id, name in unmeasured.items()}
        sides.append([id for id in ids if id not in unmeasured])
    for one in list(kept):
        for measure, ids in zip((x, y), sides, strict=True):
            if (measure.health and measure.health not in one.health) or not (measure.health or ids):
                left_out[one.name] = f"{measure.name}: not measured"
                kept = [other for other in kept if other is not one]
    if not kept:
        return Pareto(x, y, (), len(prompts), left_out)
    return Pareto(x, y, _places(kept, x, y, sides, prompts, level, draws, seed), len(prompts), left_out)


def _places(
    kept: Sequence[Checkpoint],
    x: Measure,
    y: Measure,
    sides: Sequence[Sequence[str]],
    prompts: Sequence[str],
    level: float,
    draws: int,
    seed: int,
) -> tuple[Place, ...]:
    import numpy as np

    n = len(prompts)
    rng = np.random.default_rng(seed)
    drawn_BN = rng.multinomial(n, np.full(n, 1 / n), draws).astype(np.float64) if n else np.zeros((draws, 0))
    all_1N = np.ones((1, n))
    tails = ((1 - level) / 2, (1 + level) / 2)
    points: list[NDArray[np.float64]] = []
    clouds: list[NDArray[np.float64]] = []
    intervals: list[list[Interval | None]] = []
    for measure, ids in zip((x, y), sides, strict=True):
        if measure.health:
            points.append(np.array([one.health[measure.health] for one in kept]))
            clouds.append(np.tile(points[-1], (draws, 1)))
            intervals.append([None] * len(kept))
            continue
        tables = [_table(one, ids, prompts) for one in kept]
        points.append(np.array([float(_mean(all_1N, table_NP)[0]) for table_NP in tables]))
        cloud_BK = np.stack([_mean(drawn_BN, table_NP) for table_NP in tables], 1)
        clouds.append(cloud_BK)
        intervals.append(
            [
                _interval(cloud_BK[:, c], float(points[-1][c]), table_NP, level, tails)
                for c, table_NP in enumerate(tables)
            ]
        )
    signs = (x.sign, y.sign)
    beaten_by = _beaten_by(points[0] * signs[0], points[1] * signs[1])
    share_K = None
    if x.principles or y.principles:
        share_K = _front_BK(clouds[0] * signs[0], clouds[1] * signs[1]).mean(0)
    return tuple(
        Place(
            one.name,
            float(points[0][c]),
            float(points[1][c]),
            intervals[0][c],
            intervals[1][c],
            "" if (winner := beaten_by[c]) is None else kept[winner].name,
            None if share_K is None else round(float(share_K[c]), 4),
        )
        for c, one in enumerate(kept)
    )


def _table(one: Checkpoint, ids: Sequence[str], prompts: Sequence[str]) -> NDArray[np.float64]:
    """Share of answers that pass, by prompt and principle; nan where it was not judged."""
    import numpy as np

    table_NP = np.full((len(prompts), len(ids)), np.nan)
    for column, id in enumerate(ids):
        found = clusters(one, id, prompts)
        for row, prompt in enumerate(prompts):
            if prompt in found:
                table_NP[row, column] = sum(found[prompt]) / len(found[prompt])
    return table_NP


def _mean(weight_BN: NDArray[np.float64], table_NP: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean over principles of the weighted mean over prompts; a principle no draw met is left out of it."""
    import numpy as np

    known_NP = np.isfinite(table_NP)
    total_BP = weight_BN @ np.where(known_NP, table_NP, 0.0)
    count_BP = weight_BN @ known_NP
    with np.errstate(invalid="ignore", divide="ignore"):
        rate_BP = np.where(count_BP > 0, total_BP / count_BP, np.nan)
    found_BP = np.isfinite(rate_BP)
    return np.asarray(np.where(found_BP, rate_BP, 0.0).sum(1) / np.maximum(found_BP.sum(1), 1))


def _interval(
    cloud_B: NDArray[np.float64],
    point: float,
    table_NP: NDArray[np.float64],
    level: float,
    tails: tuple[float, float],
) -> Interval:
    import numpy as np

    if float(np.ptp(cloud_B)) > _EQUAL:
        lo, hi = (float(end) for end in np.quantile(cloud_B, tails))
        return Interval(lo, hi)
    # Prompts that are all alike have no spread to resample: each counts as one of Wilson's trials.
    n = int(np.isfinite(table_NP).any(1).sum())
    return wilson(point * n, n, level)


def _beaten_by(x_K: NDArray[np.float64], y_K: NDArray[np.float64]) -> list[int | None]:
    """Of each point one on the front that beats it."""
    found: list[int | None] = []
    for c in range(len(x_K)):
        above = (x_K >= x_K[c]) & (y_K >= y_K[c]) & ((x_K > x_K[c] + _EQUAL) | (y_K > y_K[c] + _EQUAL))
        places = [int(place) for place in above.nonzero()[0]]
        found.append(max(places, key=lambda place: float(x_K[place] + y_K[place])) if places else None)
    return found


def _front_BK(x_BK: NDArray[np.float64], y_BK: NDArray[np.float64]) -> NDArray[np.bool_]:
    import numpy as np

    no_worse = (x_BK[:, None] >= x_BK[:, :, None]) & (y_BK[:, None] >= y_BK[:, :, None])
    better = (x_BK[:, None] > x_BK[:, :, None] + _EQUAL) | (y_BK[:, None] > y_BK[:, :, None] + _EQUAL)
    return np.asarray(~(no_worse & better).any(2))
