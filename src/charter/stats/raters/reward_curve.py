"""How good a cheap reward head becomes with more labels, chosen at random or where it is least sure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from charter.stats.raters.learning_curve import Point
from charter.stats.raters.measure import Measure, difference_of, mean_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

Order = Literal["random", "active"]
Fit = Callable[["Array", "Array"], Callable[["Array"], "Array"]]
"""From feature differences ``[n, D]`` and soft labels ``[n]`` (probability that the first is better) to a
function that scores differences: above 0 = the first is better."""

RANDOM_SHARE = 0.2
"""Of what active choice takes, so many are taken at random: an honest estimate needs them."""

RIDGE = 1.0


@dataclass(frozen=True, slots=True)
class RewardCurve:
    """Accuracy on held-out pairs by number of labels.

    Attributes:
        order: how labels were chosen.
        points: accuracy, each held-out pair the mean over repeats.
        by_pair: of each point, of each held-out pair, the share of repeats that had it right.
    """

    order: Order
    points: tuple[Point, ...]
    by_pair: tuple[tuple[float, ...], ...]

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return {"order": self.order, "points": [point.to_json() for point in self.points]}


def ridge_logistic(features_ND: Array, labels_N: Array, ridge: float = RIDGE) -> Callable[[Array], Array]:
    """Logistic regression without intercept (swapping a pair turns its sign), by Newton's method."""
    import numpy as np
    from scipy.special import expit

    w = np.zeros(features_ND.shape[1])
    for _ in range(50):
        p = expit(features_ND @ w)
        gradient = features_ND.T @ (labels_N - p) - ridge * w
        curvature = (features_ND * (p * (1 - p))[:, None]).T @ features_ND + ridge * np.eye(len(w))
        step = np.linalg.solve(curvature, gradient)
        w = w + step
        if float(np.abs(step).max()) < 1e-8:
            break
    return lambda rows: np.asarray(rows @ w)


def reward_curve(
    features_ND: Array,
    labels_N: Array,
    truth_N: Array,
    sizes: Sequence[int],
    *,
    order: Order = "random",
    fit: Fit = ridge_logistic,
    held_out: float = 0.3,
    repeats: int = 20,
    level: float = 0.95,
    seed: int = 0,
) -> RewardCurve:
    """Accuracy of a head trained on the first of ``sizes`` labels, then more, on pairs it never saw.

    Args:
        features_ND: difference of the two answers' features, first less second.
        labels_N: probability that the first is better, from labels; what is learnt from.
        truth_N: 1 or 0, what is measured against: gold or experts where there are any. With labels for truth
            the ceiling is the raters' own noise.
        sizes: numbers of labelled pairs, rising.
        order: ``active``: most uncertain first, beside a random share of :data:`RANDOM_SHARE`.
        fit: see :data:`Fit`.
        held_out: share of the pairs that is only measured on; the same pairs for equal seeds, so that curves
            can be compared.
        repeats: orders of choosing.
        level: of the intervals, over held-out pairs.
        seed: of the split and the orders.

    Raises:
        ValueError: sizes that do not rise, or that leave nothing held out.
    """
    import numpy as np

    n = len(features_ND)
    rng = np.random.default_rng(seed)
    shuffled = rng.permutation(n)
    test, pool = shuffled[: round(held_out * n)], shuffled[round(held_out * n) :]
    if list(sizes) != sorted(set(sizes)) or not sizes or sizes[0] < 1:
        raise ValueError(f"sizes {list(sizes)} do not rise from 1")
    if len(test) < 2 or sizes[-1] > len(pool):
        raise ValueError(f"{n} pairs leave {len(pool)} to learn from and {len(test)} to measure on")
    right = np.zeros((len(sizes), len(test)))
    for _ in range(repeats):
        taken: list[int] = []
        waiting = rng.permutation(pool)
        score: Callable[[Array], Array] | None = None
        for at, size in enumerate(sizes):
            more = _choose(features_ND, waiting, size - len(taken), score if order == "active" else None, rng)
            taken += more.tolist()
            waiting = waiting[~np.isin(waiting, more)]
            score = fit(features_ND[taken], labels_N[taken])
            guess = score(features_ND[test])
            right[at] += np.where(guess == 0, 0.5, (guess > 0) == (truth_N[test] > 0.5))
    right /= repeats
    points = tuple(
        Point(size, mean_of(row.tolist(), level=level)) for size, row in zip(sizes, right, strict=True)
    )
    return RewardCurve(order, points, tuple(tuple(row.tolist()) for row in right))


def compare(first: RewardCurve, second: RewardCurve, *, level: float = 0.95) -> list[tuple[int, Measure]]:
    """Accuracy of ``first`` less that of ``second`` by number of labels, on the same held-out pairs.

    Raises:
        ValueError: other sizes or held-out pairs.
    """
    sizes = [point.labels for point in first.points]
    if sizes != [point.labels for point in second.points] or len(first.by_pair[0]) != len(second.by_pair[0]):
        raise ValueError("curves of other sizes or held-out pairs cannot be compared")
    return [
        (size, difference_of([x - y for x, y in zip(a, b, strict=True)], level=level))
        for size, a, b in zip(sizes, first.by_pair, second.by_pair, strict=True)
    ]


def _choose(
    features_ND: Array, waiting: Any, many: int, score: Callable[[Array], Array] | None, rng: Any
) -> Any:
    """The next pairs to label; without a head to ask, at random (``waiting`` is shuffled)."""
    import numpy as np

    if score is None:
        return waiting[:many]
    unsure = np.argsort(np.abs(score(features_ND[waiting])), kind="stable")
    by_chance = round(RANDOM_SHARE * many)
    chosen = waiting[unsure[: many - by_chance]]
    rest = waiting[~np.isin(waiting, chosen)]
    return np.concatenate((chosen, rng.permutation(rest)[:by_chance]))
