"""A transparent executor: a weighted vote of principles, and how often it picks the preferred answer."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charter.errors import TrainingFault
from charter.feedback.recovering.clusters import mean, share
from charter.feedback.recovering.metrics import as_json
from charter.feedback.recovering.pairs import LabelledPair
from charter.stats import Interval

Floats = NDArray[np.float64]

_STEPS = 100


@dataclass(frozen=True)
class Picks:
    """How often something picks the preferred answer of held-out pairs; where it has no pick, a coin does.

    Attributes:
        name: what picks.
        accuracy: with its interval.
        decided: share of the pairs on which it had a pick.
    """

    name: str
    accuracy: tuple[float, Interval]
    decided: float

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {"name": self.name, **as_json(self.accuracy), "decided": self.decided}


@dataclass(frozen=True)
class Ceiling:
    """What nobody can exceed, from pairs that were labelled again.

    Attributes:
        pairs: labelled more than once.
        agreement: how often two labels of a pair agree.
        accuracy: the best that can be reached against single labels, if each is equally noisy.
    """

    pairs: int
    agreement: float
    accuracy: float

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {"pairs": self.pairs, "agreement": self.agreement, "accuracy": self.accuracy}


def fit_weights(cast_CN: NDArray[np.int8], labels_N: NDArray[np.int8], l2: float = 1.0) -> Floats:
    """Weights ``[C]`` of votes in a logistic regression without a constant, by Newton's method.

    Minimises ``sum(log(1 + exp(-y w.v))) + l2 / 2 |w|^2``; the penalty keeps weights finite where the votes
    decide every label.

    Raises:
        TrainingFault: it does not converge, which a convex loss must.
    """
    x_NC, y_N = cast_CN.T.astype(float), labels_N.astype(float)
    w_C = np.zeros(x_NC.shape[1])
    if not w_C.size or not y_N.size:
        return w_C

    def loss(w: Floats) -> float:
        return float(np.logaddexp(0.0, -y_N * (x_NC @ w)).sum() + l2 / 2 * w @ w)

    for _ in range(_STEPS):
        wrong_N = 0.5 * (1 - np.tanh(y_N * (x_NC @ w_C) / 2))
        slope_C = l2 * w_C - x_NC.T @ (y_N * wrong_N)
        if float(np.abs(slope_C).max()) < 1e-8 * max(len(y_N), 1):
            return w_C
        curve_CC = (x_NC * (wrong_N * (1 - wrong_N))[:, None]).T @ x_NC + l2 * np.eye(len(w_C))
        step_C = np.linalg.solve(curve_CC, slope_C)
        scale, before = 1.0, loss(w_C)
        while loss(w_C - scale * step_C) > before + 1e-12 and scale > 1e-6:
            scale /= 2
        w_C = w_C - scale * step_C
    raise TrainingFault("the weights of the principles do not converge")


def right_of(score_N: Floats, labels_N: NDArray[np.int8]) -> Floats:
    """1 where the sign is that of the label, 0 where not, 0.5 where there is none."""
    pick_N = np.where(np.abs(score_N) < 1e-9, 0.0, np.sign(score_N))
    return 0.5 + 0.5 * pick_N * labels_N


def picks(
    name: str,
    score_N: Floats,
    labels_N: NDArray[np.int8],
    prompts_N: NDArray[np.int64],
    level: float = 0.95,
) -> Picks:
    """How often the sign of a score is that of the label."""
    right_N = right_of(score_N, labels_N)
    if not np.abs(score_N).max(initial=0.0) >= 1e-9:
        return Picks(name, (0.5, Interval(0.5, 0.5)), 0.0)  # a coin: nothing to estimate
    interval = share(right_N, np.ones(len(right_N)), prompts_N, level)
    return Picks(name, (float(right_N.mean()), interval), float((np.abs(score_N) >= 1e-9).mean()))


def gain(
    score_N: Floats, against_N: Floats, labels_N: NDArray[np.int8], prompts_N: NDArray[np.int64], level: float
) -> tuple[float, Interval]:
    """How much more often one score is right than another on the same pairs."""
    apart_N = right_of(score_N, labels_N) - right_of(against_N, labels_N)
    return float(apart_N.mean()), mean(apart_N, prompts_N, level)


def ceiling(pairs: Sequence[LabelledPair]) -> Ceiling | None:
    """The ceiling; None = no pair is labelled more than once."""
    said: dict[str, list[bool]] = defaultdict(list)
    for pair in pairs:
        said[pair.key].append(_names_lower(pair))
    repeated = [labels for labels in said.values() if len(labels) > 1]
    if not repeated:
        return None
    same = [float(np.mean([a == b for a, b in combinations(labels, 2)])) for labels in repeated]
    agreement = float(np.mean(same))
    # Two labels, each right with probability p, agree with p^2 + (1 - p)^2.
    return Ceiling(len(repeated), agreement, (1 + max(2 * agreement - 1, 0.0) ** 0.5) / 2)


def _names_lower(pair: LabelledPair) -> bool:
    """Whether the label prefers the answer whose text comes first, whichever was called A."""
    return pair.chosen.completion.text < pair.rejected.completion.text
