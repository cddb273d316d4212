"""The head: logistic regression on frozen features, weights that principles share and what each adds.

The weights under principle ``p`` are ``w + sqrt(s) u_p``, all of them under one ridge penalty (regularised
multi-task learning, Evgeniou and Pontil 2004): what principles have in common is learnt from all of them,
and a principle without rows of its own is judged by ``w``. The loss is convex, so there is nothing to tune
but the penalty and ``s``: labels (binary cross-entropy) and pairs (Bradley-Terry) count the same in all.

Shapes: N answers, D features, P principles.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]
Places = NDArray[np.int64]

_BIAS, _OWN_BIAS = 1e-3, 1e-2
"""Penalties of the intercepts: small, so that they are free but finite."""


@dataclass(frozen=True, eq=False)
class Task:
    """What is learnt from, by place among N answers.

    Attributes:
        x_ND: features.
        code_N: number of each answer's principle, below ``principles``.
        principles: P.
        rows, good, weight: labelled answers.
        better, worse, pair_weight: pairs.
    """

    x_ND: Doubles
    code_N: Places
    principles: int
    rows: Places
    good: NDArray[np.bool_]
    weight: Doubles
    better: Places
    worse: Places
    pair_weight: Doubles

    def within(self, kept: Sequence[int]) -> Task:
        """The labels and pairs of some answers, principles weighed anew."""
        mask = np.zeros(len(self.x_ND), dtype=bool)
        mask[list(kept)] = True
        rows, pairs = mask[self.rows], mask[self.better] & mask[self.worse]
        return Task(
            self.x_ND,
            self.code_N,
            self.principles,
            self.rows[rows],
            self.good[rows],
            self.weight[rows],
            self.better[pairs],
            self.worse[pairs],
            self.pair_weight[pairs],
        )

    @property
    def learnable(self) -> bool:
        """Whether there is a good and a bad answer, or a pair."""
        return bool(len(self.better)) or len(set(self.good.tolist())) == 2

    def balanced(self) -> tuple[Doubles, Doubles]:
        """Weights of labels and of pairs: good and bad ones count the same under each principle, and
        principles by the square root of how many they are. All of them add up to 1, each half to a half."""
        label = _shares(self.weight, self.code_N[self.rows], self.principles, self.good)
        pair = _shares(self.pair_weight, self.code_N[self.better], self.principles, None)
        halves = 0.5 if len(label) and len(pair) else 1.0
        return label * halves, pair * halves


@dataclass(frozen=True)
class Penalty:
    """How much weights cost, and how freely principles differ (``s``)."""

    ridge: float
    own: float


@dataclass(frozen=True, eq=False)
class Head:
    """Fitted weights.

    Attributes:
        mean_D, scale_D: of the features it was fitted on.
        weight_D: what principles have in common.
        own_PD: what each adds.
        bias: of all.
        own_bias_P: what each adds.
        penalty: it was fitted under.
    """

    mean_D: Doubles
    scale_D: Doubles
    weight_D: Doubles
    own_PD: Doubles
    bias: float
    own_bias_P: Doubles
    penalty: Penalty

    def logits(self, x_ND: NDArray[np.floating], code_N: Places) -> Doubles:
        """Log-odds that each answer keeps to its principle, ``(N,)``."""
        z_ND = (np.asarray(x_ND, dtype=np.float64) - self.mean_D) / self.scale_D
        weights = self.weight_D + self.own_PD[code_N]
        found: Doubles = (z_ND * weights).sum(1) + self.bias + self.own_bias_P[code_N]
        return found


def fit(task: Task, penalty: Penalty, start: Head | None = None) -> Head:
    """The head that makes :func:`loss` and the penalty smallest.

    Args:
        task: has a good and a bad answer, or a pair.
        penalty: see :class:`Penalty`.
        start: a head to begin from; the result does not depend on it.
    """
    from scipy.optimize import minimize

    used = np.unique(np.concatenate((task.rows, task.better, task.worse)))
    x = task.x_ND[used]
    mean, scale = x.mean(0), x.std(0)
    # Rows of about unit length, so that a penalty means the same whatever the width.
    scale = np.where(scale > 1e-8, scale, 1.0) * np.sqrt(x.shape[1])
    z = (x - mean) / scale
    place = np.zeros(len(task.x_ND), dtype=np.int64)
    place[used] = np.arange(len(used))
    problem = _Problem(task, z, place, task.code_N[used], penalty)
    begin = np.zeros(problem.size) if start is None else problem.packed(start)
    found = minimize(
        problem, begin, jac=True, method="L-BFGS-B", options={"maxiter": 500, "ftol": 1e-10, "gtol": 1e-6}
    )
    weight, own, bias, own_bias = problem.parts(found.x)
    root = np.sqrt(penalty.own)
    return Head(mean, scale, weight, root * own, float(bias), own_bias, penalty)


def loss(task: Task, logits_N: Doubles) -> float:
    """Mean loss of labels and pairs, each kind a half where both are there, nats."""
    label, pair = task.balanced()
    signs = np.where(task.good, 1.0, -1.0)
    rows = np.logaddexp(0.0, -signs * logits_N[task.rows]) @ label
    pairs = np.logaddexp(0.0, logits_N[task.worse] - logits_N[task.better]) @ pair
    return float(rows + pairs)


class _Problem:
    """Loss and gradient of packed parameters."""

    def __init__(self, task: Task, z: Doubles, place: Places, code: Places, penalty: Penalty) -> None:
        self.z, self.code, self.penalty = z, code, penalty
        self.P, self.D = task.principles, z.shape[1]
        self.rows, self.better, self.worse = (place[one] for one in (task.rows, task.better, task.worse))
        self.signs = np.where(task.good, 1.0, -1.0)
        self.label, self.pair = task.balanced()
        self.size = self.D * (1 + self.P) + 1 + self.P
        self.members = [np.flatnonzero(code == p) for p in range(self.P)]

    def parts(self, packed: Doubles) -> tuple[Doubles, Doubles, Doubles, Doubles]:
        D, P = self.D, self.P
        own = packed[D : D * (1 + P)].reshape(P, D)
        return packed[:D], own, packed[D * (1 + P)], packed[D * (1 + P) + 1 :]

    def packed(self, head: Head) -> Doubles:
        root = np.sqrt(self.penalty.own)
        own = head.own_PD / root if root else np.zeros_like(head.own_PD)
        return np.concatenate((head.weight_D, own.ravel(), [head.bias], head.own_bias_P))

    def __call__(self, packed: Doubles) -> tuple[float, Doubles]:
        weight, own, bias, own_bias = self.parts(packed)
        root = np.sqrt(self.penalty.own)
        logits = self.z @ weight + bias + own_bias[self.code]
        if root:
            for p, mine in enumerate(self.members):
                if len(mine):
                    logits[mine] += root * (self.z[mine] @ own[p])
        margin = self.signs * logits[self.rows]
        gap = logits[self.better] - logits[self.worse]
        value = np.logaddexp(0.0, -margin) @ self.label + np.logaddexp(0.0, -gap) @ self.pair
        slope = np.zeros(len(logits))
        np.add.at(slope, self.rows, -self.signs * self.label * _sigmoid(-margin))
        pull = self.pair * _sigmoid(-gap)
        np.add.at(slope, self.better, -pull)
        np.add.at(slope, self.worse, pull)
        return self._penalised(float(value), slope, weight, own, float(bias), own_bias, float(root))

    def _penalised(
        self,
        value: float,
        slope: Doubles,
        weight: Doubles,
        own: Doubles,
        bias: float,
        own_bias: Doubles,
        root: float,
    ) -> tuple[float, Doubles]:
        ridge = self.penalty.ridge
        value += 0.5 * ridge * float(weight @ weight + (own * own).sum())
        value += 0.5 * (_BIAS * bias * bias + _OWN_BIAS * float(own_bias @ own_bias))
        d_own = ridge * own
        d_own_bias = _OWN_BIAS * own_bias
        for p, mine in enumerate(self.members):
            if len(mine):
                d_own_bias[p] += slope[mine].sum()
                if root:
                    d_own[p] += root * (slope[mine] @ self.z[mine])
        d_weight = self.z.T @ slope + ridge * weight
        return value, np.concatenate((d_weight, d_own.ravel(), [slope.sum() + _BIAS * bias], d_own_bias))


def _shares(weight: Doubles, code: Places, principles: int, good: NDArray[np.bool_] | None) -> Doubles:
    """Weights that add up to 1; see :meth:`Task.balanced`."""
    found = np.zeros(len(weight))
    for p in range(principles):
        mine = np.flatnonzero(code == p)
        if not len(mine):
            continue
        sides = [mine] if good is None else [mine[good[mine]], mine[~good[mine]]]
        sides = [side for side in sides if len(side)]
        for side in sides:
            found[side] = np.sqrt(len(mine)) * weight[side] / weight[side].sum() / len(sides)
    total = found.sum()
    return found / total if total else found


def _sigmoid(x: Doubles) -> Doubles:
    found: Doubles = np.exp(-np.logaddexp(0.0, -x))
    return found
