"""Dawid-Skene: the true answers and each rater's errors at once, from raters who rate the same items.

Dawid and Skene, Applied Statistics 28 (1979) 20-28. ``one_coin``: one accuracy a rater, errors spread evenly.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from charter.stats.agreement import Rating

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

Model = Literal["full", "one_coin"]

SMOOTHING = 0.5
"""Pseudo-count of each kind of answer: no rater is called infallible on the strength of a few items."""

_FLOOR = 1e-10
"""Least probability, as in crowd-kit."""

_CHUNK_CELLS = 4_000_000


@dataclass(frozen=True, slots=True)
class DawidSkene:
    """What the raters say together, and how each of them errs.

    Attributes:
        classes: the answers there are, sorted.
        raters: in order of appearance.
        items: likewise.
        prior_K: share of each true class.
        posterior_NK: probability of each true class, by item.
        confusion_RKV: probability of each answer given the true class, by rater; rows sum to 1.
        mass_RK: how many items of each true class the rater rated, by posterior.
        rated_R: items each rater rated.
        objective: log-likelihood (with smoothing: and log prior of the errors) on entry of every round, nats.
        converged: did it stop before the last round?
        model: see :data:`Model`.
        smoothing: see :data:`SMOOTHING`.
        known: true classes that were given.
        said: the ratings as a sparse matrix ``[N, R * V]``, for the bootstrap.
    """

    classes: tuple[float, ...]
    raters: tuple[Hashable, ...]
    items: tuple[Hashable, ...]
    prior_K: Array
    posterior_NK: Array
    confusion_RKV: Array
    mass_RK: Array
    rated_R: Array
    objective: tuple[float, ...]
    converged: bool
    model: Model
    smoothing: float
    known: Mapping[Any, float]
    said: Any

    def posterior(self, item: Hashable) -> dict[float, float]:
        """Probability of each class of one item."""
        row = self.posterior_NK[self.items.index(item)]
        return {value: float(p) for value, p in zip(self.classes, row, strict=True)}

    def confusion(self, rater: Hashable) -> Array:
        """Of one rater, shape ``[K, V]``: true class by answer."""
        of_one: Array = self.confusion_RKV[self.raters.index(rater)]
        return of_one

    @property
    def accuracy_R(self) -> Array:
        """Probability that each rater is right, over true classes as frequent as they are."""
        found: Array = accuracy(self.prior_K, self.confusion_RKV)
        return found


def accuracy(prior_K: Array, confusion_RKV: Array) -> Array:
    """Probability of being right, by rater; leading dimensions are kept."""
    import numpy as np

    right = np.diagonal(confusion_RKV, axis1=-2, axis2=-1)
    right_R: Array = np.asarray((right * prior_K[..., None, :]).sum(-1))
    return right_R


def dawid_skene(
    ratings: Iterable[Rating],
    *,
    classes: Sequence[float] | None = None,
    known: Mapping[Any, float] | None = None,
    model: Model = "full",
    smoothing: float = SMOOTHING,
    tol: float = 1e-9,
    rounds: int = 500,
) -> DawidSkene:
    """Expectation maximisation from the vote shares.

    Args:
        ratings: at most one a rater and item.
        classes: the answers there can be; default: those that occur.
        known: true classes of some items (gold), which are held fixed.
        model: see :data:`Model`.
        smoothing: see :data:`SMOOTHING`; 0 = maximum likelihood.
        tol: stop when the objective grows by less, nats a rating; negative = never.
        rounds: at most.

    Raises:
        ValueError: no ratings, a rating or known class that is none of ``classes``, two ratings by one rater
            of one item, fewer than two classes, or negative smoothing.
    """
    import numpy as np

    if smoothing < 0:
        raise ValueError(f"smoothing is {smoothing!r}")
    table = Table.of(ratings, classes, known or {})
    n, k = len(table.items), len(table.classes)
    counts_NK = np.asarray(table.said.reshape((n, -1)).toarray().reshape(n, -1, k).sum(1))
    start_NK = np.where(table.is_known_N[:, None], table.known_NK, counts_NK / counts_NK.sum(1)[:, None])
    weight_NB = np.ones((n, 1))
    em = Em(table, model, smoothing)
    prior_BK, errors_BKC = em.maximise(start_NK[:, None, :], weight_NB)
    seen: list[float] = []
    converged = False
    post_NBK = start_NK[:, None, :]
    for _ in range(max(1, rounds)):
        post_NBK, value_B = em.expect(prior_BK, errors_BKC, weight_NB)
        prior_BK, errors_BKC = em.maximise(post_NBK, weight_NB)
        seen.append(float(value_B[0]))
        if len(seen) > 1 and seen[-1] - seen[-2] < tol * table.said.nnz:
            converged = True
            break
    return DawidSkene(
        classes=table.classes,
        raters=table.raters,
        items=table.items,
        prior_K=prior_BK[0],
        posterior_NK=post_NBK[:, 0],
        confusion_RKV=by_rater(errors_BKC, k)[0],
        mass_RK=_mass(table, post_NBK[:, 0]),
        rated_R=np.asarray(table.said.sum(0)).reshape(-1, k).sum(1),
        objective=tuple(seen),
        converged=converged,
        model=model,
        smoothing=smoothing,
        known=dict(known or {}),
        said=table.said,
    )


def bootstrap_errors(
    found: DawidSkene, *, draws: int = 200, rounds: int = 50, seed: int = 0
) -> tuple[Array, Array]:
    """Class shares ``[B, K]`` and confusion matrices ``[B, R, K, V]`` of data sets of redrawn items.

    Every draw begins at the fit to all items, so that classes keep their meaning.
    """
    import numpy as np

    table = Table.again(found)
    n, k = len(found.items), len(found.classes)
    em = Em(table, found.model, found.smoothing)
    rng = np.random.default_rng(seed)
    chunk = max(1, _CHUNK_CELLS // (n * k))
    priors, errors = [], []
    for begin in range(0, draws, chunk):
        many = min(chunk, draws - begin)
        weight_NB = rng.multinomial(n, np.full(n, 1 / n), many).T.astype(np.float64)
        post_NBK = np.repeat(found.posterior_NK[:, None, :], many, axis=1)
        prior_BK, errors_BKC = em.maximise(post_NBK, weight_NB)
        for _ in range(rounds):
            before = errors_BKC
            post_NBK, _ = em.expect(prior_BK, errors_BKC, weight_NB)
            prior_BK, errors_BKC = em.maximise(post_NBK, weight_NB)
            if float(np.abs(errors_BKC - before).max()) < 1e-4:
                break
        priors.append(prior_BK)
        errors.append(by_rater(errors_BKC, k))
    return np.concatenate(priors), np.concatenate(errors)


@dataclass(frozen=True, slots=True)
class Table:
    """The ratings, one row an item, one column a rater and answer; see :class:`DawidSkene`."""

    classes: tuple[float, ...]
    raters: tuple[Hashable, ...]
    items: tuple[Hashable, ...]
    said: Any
    is_known_N: NDArray[np.bool_]
    known_NK: Array

    @classmethod
    def of(
        cls, ratings: Iterable[Rating], classes: Sequence[float] | None, known: Mapping[Any, float]
    ) -> Table:
        """Of ratings; errors as in :func:`dawid_skene`."""
        import numpy as np
        from scipy.sparse import csr_matrix

        rows = list(ratings)
        if not rows:
            raise ValueError("no ratings")
        found = tuple(sorted({row.value for row in rows} | set(known.values())))
        values = found if classes is None else tuple(sorted(set(classes)))
        if len(values) < 2:
            raise ValueError("fewer than two classes: there is nothing to be wrong about")
        strange = [value for value in found if value not in values]
        if strange:
            raise ValueError(f"{strange[0]!r} is none of the classes {list(values)}")
        raters = {rater: i for i, rater in enumerate(dict.fromkeys(row.rater for row in rows))}
        items = {item: i for i, item in enumerate(dict.fromkeys(row.item for row in rows))}
        place = {value: i for i, value in enumerate(values)}
        pairs = {(row.rater, row.item) for row in rows}
        if len(pairs) < len(rows):
            raise ValueError("a rater rated an item twice")
        k = len(values)
        columns = [raters[row.rater] * k + place[row.value] for row in rows]
        cells = (np.ones(len(rows)), ([items[row.item] for row in rows], columns))
        said = csr_matrix(cells, shape=(len(items), len(raters) * k))
        return cls(values, tuple(raters), tuple(items), said, *cls._known(tuple(items), values, known))

    @classmethod
    def again(cls, found: DawidSkene) -> Table:
        """The one that was fitted."""
        fixed = cls._known(found.items, found.classes, found.known)
        return cls(found.classes, found.raters, found.items, found.said, *fixed)

    @staticmethod
    def _known(
        items: Sequence[Hashable], classes: Sequence[float], known: Mapping[Any, float]
    ) -> tuple[NDArray[np.bool_], Array]:
        import numpy as np

        known_NK = np.zeros((len(items), len(classes)))
        for row, item in enumerate(items):
            if item in known:
                known_NK[row, classes.index(known[item])] = 1.0
        return known_NK.sum(1) > 0, known_NK


class Em:
    """The two steps, for B weightings of the items at once."""

    def __init__(self, table: Table, model: Model, smoothing: float) -> None:
        self.table, self.model, self.smoothing = table, model, smoothing
        self.turned = table.said.T.tocsr()

    def maximise(self, post_NBK: Array, weight_NB: Array) -> tuple[Array, Array]:
        """Class shares ``[B, K]`` and errors ``[B, K, R * V]``."""
        import numpy as np

        n, b, k = post_NBK.shape
        weighted_NBK = post_NBK * weight_NB[:, :, None]
        prior_BK = np.clip(weighted_NBK.sum(0) / weight_NB.sum(0)[:, None], _FLOOR, None)
        counts_CBK = (self.turned @ weighted_NBK.reshape(n, b * k)).reshape(-1, b, k)
        counts_RVBK = counts_CBK.reshape(-1, k, b, k)
        errors_RVBK = self._full(counts_RVBK) if self.model == "full" else self._one_coin(counts_RVBK)
        return prior_BK, errors_RVBK.reshape(-1, b, k).transpose(1, 2, 0)

    def _full(self, counts_RVBK: Array) -> Array:
        import numpy as np

        counts_RVBK = np.clip(counts_RVBK + self.smoothing, _FLOOR, None)
        return np.asarray(counts_RVBK / counts_RVBK.sum(1, keepdims=True))

    def _one_coin(self, counts_RVBK: Array) -> Array:
        import numpy as np

        k = counts_RVBK.shape[1]
        right_RB = np.einsum("rkbk->rb", counts_RVBK) + self.smoothing
        total_RB = counts_RVBK.sum((1, 3)) + 2 * self.smoothing
        # A rater whom a draw of items leaves nothing is one who guesses.
        skill_RB = np.where(total_RB > 0, right_RB / np.where(total_RB > 0, total_RB, 1.0), 1 / k)
        skill_RB = np.clip(skill_RB, _FLOOR, 1 - _FLOOR)
        eye_VK = np.eye(k)[None, :, None, :]
        skill = skill_RB[:, None, :, None]
        return np.asarray(np.clip(np.where(eye_VK > 0, skill, (1 - skill) / (k - 1)), _FLOOR, 1 - _FLOOR))

    def expect(self, prior_BK: Array, errors_BKC: Array, weight_NB: Array) -> tuple[Array, Array]:
        """Posterior ``[N, B, K]``, and the objective of the parameters, by weighting."""
        import numpy as np
        from scipy.special import logsumexp

        b, k, c = errors_BKC.shape
        logs_BKC = np.log(errors_BKC)
        joint_NBK = (self.table.said @ logs_BKC.transpose(2, 0, 1).reshape(c, b * k)).reshape(-1, b, k)
        joint_NBK = joint_NBK + np.log(prior_BK)[None]
        fixed_N = self.table.is_known_N
        joint_NBK[fixed_N] = np.where(
            self.table.known_NK[fixed_N][:, None, :] > 0, joint_NBK[fixed_N], -np.inf
        )
        total_NB = logsumexp(joint_NBK, axis=2)
        value_B = (total_NB * weight_NB).sum(0) + self._log_prior(logs_BKC)
        return np.exp(joint_NBK - total_NB[:, :, None]), np.asarray(value_B)

    def _log_prior(self, logs_BKC: Array) -> Array:
        """Of the errors: what the pseudo-counts maximise."""
        import numpy as np

        if self.smoothing == 0.0:
            return np.zeros(len(logs_BKC))
        if self.model == "full":
            return np.asarray(self.smoothing * logs_BKC.sum((1, 2)))
        k = logs_BKC.shape[1]
        cells_BKRV = logs_BKC.reshape(len(logs_BKC), k, -1, k)
        # One accuracy a rater: the first class tells it, and any other answer its rest.
        right_BR, wrong_BR = cells_BKRV[:, 0, :, 0], cells_BKRV[:, 0, :, 1] + np.log(k - 1)
        return np.asarray(self.smoothing * (right_BR + wrong_BR).sum(1))


def by_rater(errors_BKC: Array, k: int) -> Array:
    """``[B, K, R * V]`` as ``[B, R, K, V]``."""
    b = len(errors_BKC)
    return errors_BKC.reshape(b, k, -1, k).transpose(0, 2, 1, 3)


def _mass(table: Table, post_NK: Array) -> Array:
    """Items of each true class that each rater rated, by posterior: ``[R, K]``."""
    import numpy as np

    k = post_NK.shape[1]
    return np.asarray((table.said.T @ post_NK).reshape(-1, k, k).sum(1))
