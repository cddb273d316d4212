"""What a vote is worth when other votes are held equal.

The labels are regressed on the votes without a constant (to exchange A and B turns every sign), by least
squares, with errors that hang together within prompts (Liang and Zeger 1986; small-sample factor CR1). The
coefficient is on the scale of performance: 0.2 = a vote moves the share of preferred answers by ten points.
Where each label follows one of several rules, drawn by chance, it is exactly the share of that rule.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charter.feedback.recovering.clusters import critical, sums
from charter.feedback.recovering.metrics import as_json
from charter.feedback.recovering.votes import Votes
from charter.stats import Interval

Floats = NDArray[np.float64]

_NOTHING = 1e-9
LEAST_LEFT = 0.02
"""A vote of whose variation the others leave less than this share cannot be told apart from them."""


@dataclass(frozen=True)
class Partial:
    """An effect with others held equal.

    Attributes:
        effect: on the scale of performance, with its interval.
        p: two-sided.
        left: share of the vote's variation that the others do not explain.
    """

    effect: tuple[float, Interval]
    p: float
    left: float

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {**as_json(self.effect), "p": self.p, "variation_left": self.left}


@dataclass(frozen=True)
class Residual:
    """Labels and votes without what controls explain, shapes ``[N]`` and ``[K, N]``.

    Attributes:
        labels_N: what is left of the labels.
        votes_KN: what is left of each vote.
        share_K: share of each vote's variation that is left.
        controls: independent controls.
    """

    labels_N: Floats
    votes_KN: Floats
    share_K: Floats
    controls: int


def residual(labels_N: NDArray[np.int8], votes_KN: Floats, controls_NM: Floats) -> Residual:
    """Take out of labels and votes what the controls explain."""
    y_N = labels_N.astype(float)
    if controls_NM.shape[1]:
        basis_NR, values_R, _ = np.linalg.svd(controls_NM, full_matrices=False)
        basis_NR = basis_NR[:, values_R > 1e-8 * max(float(values_R.max(initial=0.0)), 1.0)]
    else:
        basis_NR = np.zeros((len(y_N), 0))
    left_KN = votes_KN - (votes_KN @ basis_NR) @ basis_NR.T
    before_K = (votes_KN**2).sum(axis=1)
    share_K = (left_KN**2).sum(axis=1) / np.maximum(before_K, _NOTHING)
    return Residual(y_N - basis_NR @ (basis_NR.T @ y_N), left_KN, share_K, basis_NR.shape[1])


def effects(left: Residual, prompts_N: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Coefficient and standard error of each vote alone beside the controls, shapes ``[K]``."""
    n, prompts = len(left.labels_N), len(np.unique(prompts_N))
    size_K = (left.votes_KN**2).sum(axis=1)
    safe_K = np.maximum(size_K, _NOTHING)
    effect_K = np.where(left.share_K >= LEAST_LEFT, left.votes_KN @ left.labels_N / safe_K, np.nan)
    spare = n - left.controls - 1
    if prompts < 2 or spare < 1:
        return np.full(len(size_K), np.nan), np.full(len(size_K), np.nan)
    factor = prompts / (prompts - 1) * (n - 1) / spare
    error_K = np.zeros(len(size_K))
    for at, (vote_N, effect) in enumerate(zip(left.votes_KN, effect_K, strict=True)):
        score_G = sums(vote_N * (left.labels_N - np.nan_to_num(effect) * vote_N), prompts_N)
        error_K[at] = math.sqrt(factor * float(score_G @ score_G)) / safe_K[at]
    return effect_K, error_K


def partial(
    votes: Votes,
    wanted: int,
    controls_NM: Floats,
    labels_N: NDArray[np.int8],
    prompts_N: NDArray[np.int64],
    level: float = 0.95,
) -> Partial | None:
    """The effect of one candidate beside controls; None = it cannot be told apart from them."""
    left = residual(labels_N, votes.cast_CN[[wanted]].astype(float), controls_NM)
    effect_K, error_K = effects(left, prompts_N)
    effect, error = float(effect_K[0]), float(error_K[0])
    if math.isnan(effect):
        return None
    prompts = len(np.unique(prompts_N))
    half = critical(level, prompts) * error
    return Partial(
        (effect, Interval(effect - half, effect + half)), _p(effect, error, prompts), float(left.share_K[0])
    )


def controls_of(votes: Votes, held: list[int], longer_N: Floats | None, *, fine: bool = True) -> Floats:
    """The columns that hold some votes equal, and length, shape ``[N, M]``.

    Beside a vote stand its sign without a margin and its strength, so that a rule which goes on below the
    margin is held equal too.

    Args:
        votes: of all candidates.
        held: which are held equal.
        longer_N: log ratio of the lengths, A to B; None = length is not held equal.
        fine: off = the votes alone, where pairs are few.
    """
    columns = [votes.cast_CN[at].astype(float) for at in held]
    if fine:
        columns += [np.sign(votes.graded_CN[at]) for at in held] + [votes.graded_CN[at] for at in held]
    if longer_N is not None:
        columns += [np.sign(longer_N), np.clip(longer_N, -1, 1)]
    return np.stack(columns, axis=1) if columns else np.zeros((votes.cast_CN.shape[1], 0))


def _p(effect: float, error: float, prompts: int) -> float:
    if abs(effect) < _NOTHING:
        return 1.0
    if error < _NOTHING:
        return 0.0
    from scipy.stats import t

    return float(2 * t.sf(abs(effect) / error, prompts - 1))
