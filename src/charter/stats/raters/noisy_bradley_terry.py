"""Bradley-Terry strengths from raters who differ in reliability and may prefer a side, with ties.

A rater either compares (probability ``reliability``) or answers without reading, by side. Comparing follows
Davidson's model with ties (JASA 65, 1970); the mixture is that of crowd-kit's noisy Bradley-Terry, after
Bugakova et al. (1809.08374), with ties added.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from charter.stats.intervals import Interval, z_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

PENALTY = 0.01
"""Inverse variance of the strengths' prior: what keeps an undefeated one finite."""

_TRUST = (4.0, 1.0)
"""Beta prior of a reliability, mean 4/5. Strengths and reliabilities trade against each other: where all
raters guess more, all strengths are larger. The prior says which to believe when the data hardly do."""

_SIDE = 0.25
"""Inverse variance of the prior of the log-odds of a guess by side."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """One rater's word on two competitors.

    Attributes:
        rater: who.
        first: the competitor shown first; its name.
        second: the other.
        outcome: 1 = first is better, 0 = second, 0.5 = a tie.
        cluster: comparisons that hang together (the same item); None = on its own.
    """

    rater: Hashable
    first: Hashable
    second: Hashable
    outcome: float
    cluster: Hashable = None


@dataclass(frozen=True, slots=True)
class Strengths:
    """What the comparisons say.

    Attributes:
        scores: log strength of each competitor, centred on 0: ``sigmoid(a - b)`` is the probability of a
            over b where there is no tie.
        intervals: of the scores, from the sandwich variance over clusters.
        reliability: probability that each rater compares, and does not guess; empty without raters.
        reliability_intervals: of it.
        side: probability that a rater's guess is the one shown first.
        tie: Davidson's tie parameter; 0 without ties.
        tie_guess: probability that a guess is a tie.
        log_likelihood: nats, without the priors.
        converged: did the optimiser say so?
        n: comparisons.
    """

    scores: dict[Hashable, float]
    intervals: dict[Hashable, Interval]
    reliability: dict[Hashable, float]
    reliability_intervals: dict[Hashable, Interval]
    side: dict[Hashable, float]
    tie: float
    tie_guess: float
    log_likelihood: float
    converged: bool
    n: int

    @property
    def ranking(self) -> list[Hashable]:
        """The best first; of equals the one met first."""
        return sorted(self.scores, key=lambda name: -self.scores[name])

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "scores": {str(k): v for k, v in self.scores.items()},
            "intervals": {str(k): list(v) for k, v in self.intervals.items()},
            "reliability": {str(k): v for k, v in self.reliability.items()},
            "reliability_intervals": {str(k): list(v) for k, v in self.reliability_intervals.items()},
            "side": {str(k): v for k, v in self.side.items()},
            "tie": self.tie,
            "tie_guess": self.tie_guess,
            "n": self.n,
            "converged": self.converged,
        }


def noisy_bradley_terry(
    comparisons: Sequence[Comparison],
    *,
    raters: bool = True,
    penalty: float = PENALTY,
    level: float = 0.95,
) -> Strengths:
    """Strengths, and with ``raters`` the reliability and side of each rater.

    Args:
        comparisons: of at least two competitors.
        raters: off = everybody compares: plain Bradley-Terry, with Davidson's ties.
        penalty: see :data:`PENALTY`; must be above 0.
        level: of the intervals.

    Raises:
        ValueError: no comparisons, an outcome that is not 0, 0.5 or 1, a competitor against itself, or
            ``penalty`` or ``level`` out of range.
    """
    import numpy as np
    from scipy.optimize import minimize

    z = z_of(level)
    if not comparisons:
        raise ValueError("no comparisons")
    if not penalty > 0:
        raise ValueError(f"penalty is {penalty!r}")
    problem = _Problem(comparisons, raters, penalty)

    def negative(x: Array) -> tuple[float, Array]:
        logs_N, gradient_NP = problem.likelihood(x)
        prior, slope = problem.prior(x)
        return -(float(logs_N.sum()) + prior), -(gradient_NP.sum(0) + slope)

    start = problem.start()
    done = minimize(negative, start, jac=True, method="L-BFGS-B", options={"maxiter": 2000, "ftol": 1e-13})
    x = np.asarray(done.x)
    variance_PP = _sandwich(problem, x)
    k, r = len(problem.names), len(problem.raters)
    centre_KK = np.eye(k) - 1.0 / k
    scores_K = x[:k] - x[:k].mean()
    spread_K = np.sqrt(np.clip(np.diagonal(centre_KK @ variance_PP[:k, :k] @ centre_KK), 0.0, None))
    trust, side = x[k : k + r], x[k + r : k + 2 * r]
    spread_R = np.sqrt(np.clip(np.diagonal(variance_PP)[k : k + r], 0.0, None))
    nu, tie_guess = problem.ties(x)
    return Strengths(
        scores={name: float(s) for name, s in zip(problem.names, scores_K, strict=True)},
        intervals={
            name: Interval(float(s - z * e), float(s + z * e))
            for name, s, e in zip(problem.names, scores_K, spread_K, strict=True)
        },
        reliability={who: _sigmoid(t) for who, t in zip(problem.raters, trust, strict=True)},
        reliability_intervals={
            who: Interval(_sigmoid(t - z * e), _sigmoid(t + z * e))
            for who, t, e in zip(problem.raters, trust, spread_R, strict=True)
        },
        side={who: _sigmoid(q) for who, q in zip(problem.raters, side, strict=True)},
        tie=nu,
        tie_guess=tie_guess,
        log_likelihood=float(problem.likelihood(x)[0].sum()),
        converged=bool(done.success),
        n=len(comparisons),
    )


class _Problem:
    """Parameters: scores, log-odds of reliability, log-odds of the first side, log tie, log-odds of a guessed
    tie."""

    def __init__(self, comparisons: Sequence[Comparison], raters: bool, penalty: float) -> None:
        import numpy as np

        for one in comparisons:
            if one.outcome not in (0.0, 0.5, 1.0):
                raise ValueError(f"outcome {one.outcome!r} is neither 0, 0.5 nor 1")
            if one.first == one.second:
                raise ValueError(f"{one.first!r} against itself")
        self.names = tuple(dict.fromkeys(name for one in comparisons for name in (one.first, one.second)))
        self.raters = tuple(dict.fromkeys(one.rater for one in comparisons)) if raters else ()
        self.penalty = penalty
        place = {name: i for i, name in enumerate(self.names)}
        who = {rater: i for i, rater in enumerate(self.raters)}
        self.first_N = np.array([place[one.first] for one in comparisons])
        self.second_N = np.array([place[one.second] for one in comparisons])
        self.rater_N = np.array([who.get(one.rater, 0) for one in comparisons])
        self.won_N = np.array([one.outcome == 1.0 for one in comparisons])
        self.tied_N = np.array([one.outcome == 0.5 for one in comparisons])
        self.has_ties = bool(self.tied_N.any())
        clusters: dict[Hashable, int] = {}
        self.cluster_N = np.array(
            [
                clusters.setdefault(("own", i) if one.cluster is None else ("of", one.cluster), len(clusters))
                for i, one in enumerate(comparisons)
            ]
        )
        self.size = len(self.names) + 2 * len(self.raters) + 2

    def start(self) -> Array:
        import numpy as np

        x = np.zeros(self.size)
        k, r = len(self.names), len(self.raters)
        np.add.at(x, self.first_N, np.where(self.tied_N, 0.0, np.where(self.won_N, 1.0, -1.0)))
        np.add.at(x, self.second_N, np.where(self.tied_N, 0.0, np.where(self.won_N, -1.0, 1.0)))
        games = np.bincount(np.concatenate((self.first_N, self.second_N)), minlength=k)
        x[:k] /= games
        x[k : k + r] = 1.5
        x[-1] = -2.0
        return x

    def ties(self, x: Array) -> tuple[float, float]:
        """Davidson's parameter, and the probability that a guess is a tie."""
        if not self.has_ties:
            return 0.0, 0.0
        return float(math.exp(x[-2])), (_sigmoid(x[-1]) if self.raters else 0.0)

    def likelihood(self, x: Array) -> tuple[Array, Array]:
        """Log-probability of each comparison, and its gradient ``[N, P]``."""
        import numpy as np
        from scipy.special import expit

        n, k, r = len(self.first_N), len(self.names), len(self.raters)
        nu, guess_tie = self.ties(x)
        half_N = (x[self.first_N] - x[self.second_N]) / 2
        up_N, down_N = np.exp(half_N), np.exp(-half_N)
        total_N = up_N + down_N + nu
        top_N = np.where(self.tied_N, nu, np.where(self.won_N, up_N, down_N))
        read_N = top_N / total_N
        sign_N = np.where(self.tied_N, 0.0, np.where(self.won_N, 0.5, -0.5))
        slope_N = sign_N - (up_N - down_N) / (2 * total_N)
        rows = np.arange(n)
        gradient_NP = np.zeros((n, self.size))
        share_N = np.ones(n)
        if r:
            trust_N, side_N = expit(x[k + self.rater_N]), expit(x[k + r + self.rater_N])
            by_side_N = np.where(self.won_N, side_N, 1 - side_N) * (1 - guess_tie)
            guess_N = np.where(self.tied_N, guess_tie, by_side_N)
            p_N = trust_N * read_N + (1 - trust_N) * guess_N
            share_N = trust_N * read_N / p_N  # probability that the rater compared
            gradient_NP[rows, k + self.rater_N] = share_N * (1 - trust_N) - (1 - share_N) * trust_N
            side_slope_N = np.where(self.won_N, 1 - side_N, -side_N) * ~self.tied_N
            gradient_NP[rows, k + r + self.rater_N] = (1 - share_N) * side_slope_N
            if self.has_ties:
                gradient_NP[:, -1] = (1 - share_N) * (self.tied_N - guess_tie)
        else:
            p_N = read_N
        gradient_NP[rows, self.first_N] = share_N * slope_N
        gradient_NP[rows, self.second_N] = -share_N * slope_N
        if self.has_ties:
            gradient_NP[:, -2] = share_N * (self.tied_N - nu / total_N)
        return np.log(np.clip(p_N, 1e-300, None)), gradient_NP

    def prior(self, x: Array) -> tuple[float, Array]:
        """Log density, and its gradient."""
        import numpy as np
        from scipy.special import expit, log_expit

        k, r = len(self.names), len(self.raters)
        slope = np.zeros_like(x)
        scores, trust, side = x[:k], x[k : k + r], x[k + r : k + 2 * r]
        a, b = _TRUST
        value = -0.5 * self.penalty * float(scores @ scores) - 0.5 * _SIDE * float(side @ side)
        value += float((a * log_expit(trust) + b * log_expit(-trust)).sum())
        slope[:k] = -self.penalty * scores
        slope[k : k + r] = a * (1 - expit(trust)) - b * expit(trust)
        slope[k + r : k + 2 * r] = -_SIDE * side
        # The two of the ties are only held near 0, so that they stay finite.
        value -= 0.005 * float(x[-2:] @ x[-2:])
        slope[-2:] = -0.01 * x[-2:]
        return value, slope


def _sandwich(problem: _Problem, x: Array) -> Array:
    """Variance of the parameters where comparisons of a cluster hang together (Liang and Zeger 1986)."""
    import numpy as np

    size, step = len(x), 1e-5
    hessian_PP = np.zeros((size, size))
    for p in range(size):
        moved = np.zeros(size)
        moved[p] = step
        ahead = problem.likelihood(x + moved)[1].sum(0) + problem.prior(x + moved)[1]
        behind = problem.likelihood(x - moved)[1].sum(0) + problem.prior(x - moved)[1]
        hessian_PP[p] = (behind - ahead) / (2 * step)
    gradient_NP = problem.likelihood(x)[1]
    clusters = int(problem.cluster_N.max()) + 1
    by_cluster_CP = np.zeros((clusters, size))
    np.add.at(by_cluster_CP, problem.cluster_N, gradient_NP)
    inverse_PP = np.linalg.pinv((hessian_PP + hessian_PP.T) / 2, hermitian=True)
    few = clusters / max(1, clusters - 1)
    return np.asarray(few * inverse_PP @ (by_cluster_CP.T @ by_cluster_CP) @ inverse_PP)


def _sigmoid(x: float) -> float:
    return float(1.0 / (1.0 + math.exp(-x))) if x >= 0 else float(math.exp(x) / (1.0 + math.exp(x)))
