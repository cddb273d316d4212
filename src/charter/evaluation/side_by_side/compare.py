"""Everything about many checkpoints, from their judged answers alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from charter.errors import UserError
from charter.evaluation.rates.card import Criteria
from charter.evaluation.side_by_side.cells import SideRow, rows_of
from charter.evaluation.side_by_side.checkpoint import Checkpoint
from charter.evaluation.side_by_side.comparable import Shared, shared
from charter.evaluation.side_by_side.measures import Measure, Tags, default_axes, measure_of
from charter.evaluation.side_by_side.pareto import Pareto, pareto_of
from charter.evaluation.side_by_side.ratings import Ratings, ratings_of


@dataclass(frozen=True)
class SideBySide:
    """What was found.

    Attributes:
        names: the checkpoints; the first is what the others are tested against.
        rows: principle x checkpoint.
        ratings: who wins, and the ratings.
        pareto: two measures; None = there are none to draw.
        notes: of each checkpoint what was not compared with the first, in words.
        prompts: of each checkpoint how many prompts it answered.
        criteria: when a change is claimed.
    """

    names: tuple[str, ...]
    rows: tuple[SideRow, ...]
    ratings: Ratings
    pareto: Pareto | None
    notes: Mapping[str, Sequence[str]]
    prompts: Mapping[str, int]
    criteria: Criteria

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return {
            "schema": 1,
            "checkpoints": [
                {"name": name, "prompts": self.prompts[name], "notes": list(self.notes.get(name, ()))}
                for name in self.names
            ],
            "principles": [row.to_json() for row in self.rows],
            "ratings": self.ratings.to_json(),
            "pareto": None if self.pareto is None else self.pareto.to_json(),
            "criteria": asdict(self.criteria),
        }


def side_by_side(
    checkpoints: Sequence[Checkpoint],
    *,
    x: str | None = None,
    y: str | None = None,
    tags: Tags | None = None,
    criteria: Criteria | None = None,
    any_sampling: bool = False,
) -> SideBySide:
    """Compare checkpoints.

    Args:
        checkpoints: two or more, with different names; the first is what the others are tested against.
        x: measure across; see :func:`charter.evaluation.side_by_side.measures.measure_of`.
        y: measure up; both or neither.
        tags: of the principles, by id.
        criteria: when a change is claimed.
        any_sampling: compare also answers that were sampled differently.

    Raises:
        UserError: fewer than two checkpoints, two of one name, one axis without the other.
        ConfigError: no such measure.
        DataError: verdicts that cannot be read.
    """
    rules = criteria or Criteria()
    names = tuple(one.name for one in checkpoints)
    if len(names) < 2 or len(set(names)) < len(names):
        raise UserError("side by side needs two or more checkpoints with different names")
    if (x is None) != (y is None):
        raise UserError("one axis without the other", fix="name both, or neither")
    axes: tuple[Measure, Measure] | None
    if x is not None and y is not None:
        axes = measure_of(x, checkpoints, tags or {}), measure_of(y, checkpoints, tags or {})
    else:
        axes = default_axes(checkpoints, tags or {})
    first, *others = checkpoints
    shares = {one.name: shared(first, one, any_sampling=any_sampling) for one in others}
    return SideBySide(
        names,
        rows_of(checkpoints, shares, rules),
        ratings_of(checkpoints, level=rules.level, seed=rules.seed, any_sampling=any_sampling),
        None
        if axes is None
        else pareto_of(checkpoints, *axes, level=rules.level, seed=rules.seed, any_sampling=any_sampling),
        {one.name: _notes(first, one, shares[one.name]) for one in others},
        {one.name: len(one.verdicts) for one in checkpoints},
        rules,
    )


def _notes(first: Checkpoint, one: Checkpoint, share: Shared) -> list[str]:
    notes = list(share.notes)
    if share.why_not:
        notes.append(f"not compared with {first.name}: {share.why_not}")
    by_reason: dict[str, list[str]] = {}
    for id, why in share.refused.items():
        by_reason.setdefault(why, []).append(id)
    notes += [f"not compared ({why}): {', '.join(ids)}" for why, ids in by_reason.items()]
    if not (first.sampling and one.sampling):
        unknown = " and ".join(each.name for each in (first, one) if not each.sampling)
        notes.append(f"how {unknown} was sampled is not recorded")
    return notes
