"""Choosing principles on the training pairs: forward, each beside those chosen before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from charter.feedback.recovering.candidate import Candidate
from charter.feedback.recovering.partial import controls_of, effects, residual
from charter.feedback.recovering.votes import Floats, Votes

LEAST_EFFECT = 0.05
"""Smallest effect that makes a principle one of its own: it moves preferences by two and a half points."""

LEAST_T = 3.0
"""Smallest effect on the training pairs in its own standard errors."""

_MOST = 12
_PAIRS_PER_COLUMN = 20


@dataclass(frozen=True)
class Material:
    """Pairs as numbers.

    Attributes:
        candidates: C of them.
        votes: theirs on N pairs.
        labels_N: 1 = A is preferred, -1 = B.
        prompts_N: the prompt of each pair.
        longer_N: log ratio of the lengths, A to B.
    """

    candidates: Sequence[Candidate]
    votes: Votes
    labels_N: NDArray[np.int8]
    prompts_N: NDArray[np.int64]
    longer_N: Floats

    def controls(self, held: Sequence[int], about: int | None = None) -> Floats:
        """Columns that hold ``held`` equal, and length too, unless it is ``about`` that."""
        keep_length = about is None or self.candidates[about].feature != "length"
        others = [at for at in held if at != about and not self.mirrors(at, about)]
        fine = len(self.labels_N) >= _PAIRS_PER_COLUMN * (3 * len(others) + 2)
        return controls_of(self.votes, others, self.longer_N if keep_length else None, fine=fine)

    def mirrors(self, one: int, other: int | None) -> bool:
        """Whether two candidates read the same feature."""
        if other is None:
            return False
        mine, theirs = self.candidates[one], self.candidates[other]
        return bool(mine.feature) and mine.feature == theirs.feature and mine.id != theirs.id


def forward(train: Material, wanted: Sequence[int], forced: Sequence[int] = ()) -> list[int]:
    """Candidates that explain labels which the ones before them do not, in the order they were taken.

    In each round the one that explains most joins, if its effect is positive, at least :data:`LEAST_EFFECT`
    and :data:`LEAST_T` of its standard errors.

    Args:
        train: pairs to choose on.
        wanted: who may be chosen.
        forced: held equal from the start, and not returned.
    """
    chosen: list[int] = []
    while len(chosen) < _MOST:
        held = [*forced, *chosen]
        best, most = None, 0.0
        group = [at for at in wanted if at not in held and not any(train.mirrors(at, one) for one in held)]
        rows = train.votes.cast_CN[group].astype(float)
        # Length is chosen as any other: before it is, it is not held equal.
        fine = len(train.labels_N) >= _PAIRS_PER_COLUMN * 3 * max(len(held), 1)
        left = residual(train.labels_N, rows, controls_of(train.votes, held, None, fine=fine))
        for at, effect, error, row in zip(group, *effects(left, train.prompts_N), left.votes_KN, strict=True):
            explained = float(effect) ** 2 * float(row @ row)
            if effect >= LEAST_EFFECT and effect >= LEAST_T * error and explained > most:
                best, most = at, explained
        if best is None:
            return chosen
        chosen.append(best)
    return chosen
