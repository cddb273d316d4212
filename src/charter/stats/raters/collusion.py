"""Raters who agree with each other more than their accuracy explains: copying, or one person twice."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from statistics import NormalDist
from typing import Any

from charter.stats.raters.dawid_skene import DawidSkene, Em, Table, by_rater

LEAST_SHARED = 20
"""Items two raters must share."""

ALPHA = 0.01
"""Stricter than usual: the expected agreement is itself estimated, and an accusation hangs on it."""

_RECHECKED = 5
"""Pairs most alike by the common fit, and as many that agree most, that are looked at without the two."""

_ROUNDS = 30


@dataclass(frozen=True, slots=True)
class Twins:
    """Two raters, and how much they agree.

    Attributes:
        first, second: who.
        shared: items both rated.
        observed: share of them on which they agree.
        expected: the share that their errors would give if they erred apart.
        p: one-sided, corrected for the number of pairs of raters (Bonferroni).
    """

    first: Hashable
    second: Hashable
    shared: int
    observed: float
    expected: float
    p: float


def too_alike(found: DawidSkene, *, alpha: float = ALPHA, least: int = LEAST_SHARED) -> list[Twins]:
    """Pairs of raters who agree beyond what their errors explain, the plainest first.

    What two raters would agree on if they erred apart is worked out from the other raters alone: with copies
    among those who decide what is true, being alike would look like being right. For the same reason the
    second of a pair that was found is left out of all that follows. Blind where the copies are the majority,
    or nobody else rated the items.
    """
    made: list[Twins] = []
    raters = list(range(len(found.raters)))
    while len(raters) > 2:
        best = _most_alike(_without(found, raters), least)
        if best is None or best.p >= alpha:
            break
        made.append(best)
        raters.remove(found.raters.index(best.second))
    return made


def _without(found: DawidSkene, raters: Sequence[int]) -> DawidSkene:
    """The fit to the labels of ``raters`` only, from where it stood."""
    import numpy as np

    if len(raters) == len(found.raters):
        return found
    k = len(found.classes)
    said = found.said[:, [r * k + v for r in raters for v in range(k)]].tocsr()
    table = replace(Table.again(found), said=said)
    prior_K, post_NK, errors_RKV = _refit(found, table)
    kept = tuple(found.raters[r] for r in raters)
    return replace(
        found,
        raters=kept,
        said=said,
        prior_K=prior_K,
        posterior_NK=post_NK,
        confusion_RKV=errors_RKV,
        mass_RK=np.asarray((said.T @ post_NK).reshape(-1, k, k).sum(1)),
        rated_R=np.asarray(said.sum(0)).reshape(-1, k).sum(1),
    )


def _most_alike(found: DawidSkene, least: int) -> Twins | None:
    rough = []
    for a, b in combinations(range(len(found.raters)), 2):
        both = _shared(found, a, b)
        if len(both) >= least:
            errors = found.confusion_RKV[a], found.confusion_RKV[b]
            rough.append((a, b, both, _score(found, a, b, both, found.posterior_NK, *errors)))
    # Copies who decide what is true look right, not alike: those who agree most are looked at too.
    by_score = sorted(rough, key=lambda one: -one[3][2])[:_RECHECKED]
    by_share = sorted(rough, key=lambda one: -one[3][0])[:_RECHECKED]
    again = {(a, b): both for a, b, both, _ in (*by_score, *by_share)}
    fine = [
        (a, b, both, _score(found, a, b, both, *_others_view(found, a, b))) for (a, b), both in again.items()
    ]
    if not fine:
        return None
    a, b, both, (seen, expected, score) = max(fine, key=lambda one: one[3][2])
    p = min(1.0, len(rough) * (1.0 - NormalDist().cdf(score)))
    return Twins(found.raters[a], found.raters[b], len(both), seen, expected, p)


def _shared(found: DawidSkene, a: int, b: int) -> Any:
    """Positions of the items that both rated."""
    import numpy as np

    k = len(found.classes)
    columns = found.said.tocsc()
    rated = [np.asarray(columns[:, r * k : (r + 1) * k].sum(1)).ravel() > 0 for r in (a, b)]
    return np.flatnonzero(rated[0] & rated[1])


def _score(
    found: DawidSkene, a: int, b: int, both: Any, posterior_NK: Any, first_KV: Any, second_KV: Any
) -> tuple[float, float, float]:
    """Observed and expected share of agreement, and how many standard errors apart they are."""
    k = len(found.classes)
    said_NC = found.said[both].toarray()
    seen = float((said_NC[:, a * k : (a + 1) * k] * said_NC[:, b * k : (b + 1) * k]).sum())
    chance_N = posterior_NK[both] @ (first_KV * second_KV).sum(1)
    expected, spread = float(chance_N.sum()), math.sqrt(float((chance_N * (1 - chance_N)).sum()))
    score = (seen - 0.5 - expected) / spread if spread > 0 else 0.0
    return seen / len(both), expected / len(both), score


def _others_view(found: DawidSkene, a: int, b: int) -> tuple[Any, Any, Any]:
    """The true classes by all other raters, and the errors of the two against that."""
    import numpy as np

    k = len(found.classes)
    table = Table.again(found)
    columns = np.repeat(~np.isin(np.arange(len(found.raters)), (a, b)), k)
    rest = replace(table, said=found.said[:, np.flatnonzero(columns)].tocsr())
    _, post_NK, _ = _refit(found, rest)
    return post_NK, _errors_against(found, a, post_NK), _errors_against(found, b, post_NK)


def _refit(found: DawidSkene, table: Table) -> tuple[Any, Any, Any]:
    """Class shares, posterior and errors of fewer raters, beginning at the fit to all."""
    import numpy as np

    k = len(found.classes)
    em = Em(table, found.model, found.smoothing)
    weight_NB, post_NBK = np.ones((len(found.items), 1)), found.posterior_NK[:, None, :]
    for _ in range(_ROUNDS):
        prior_BK, errors_BKC = em.maximise(post_NBK, weight_NB)
        post_NBK, _ = em.expect(prior_BK, errors_BKC, weight_NB)
    return prior_BK[0], post_NBK[:, 0], by_rater(errors_BKC, k)[0]


def _errors_against(found: DawidSkene, rater: int, post_NK: Any) -> Any:
    """One rater's confusion matrix where the true classes are known with these probabilities."""
    import numpy as np

    k = len(found.classes)
    said_NV = found.said[:, rater * k : (rater + 1) * k].toarray()
    rated = said_NV.sum(1) > 0
    said_NV, post_NK = said_NV[rated], post_NK[rated]
    errors_KV = found.confusion_RKV[rater]
    for _ in range(_ROUNDS):
        joint_NK = post_NK * (said_NV @ errors_KV.T)
        joint_NK /= np.clip(joint_NK.sum(1, keepdims=True), 1e-300, None)
        counts_KV = joint_NK.T @ said_NV + found.smoothing + 1e-10
        errors_KV = counts_KV / counts_KV.sum(1, keepdims=True)
    return errors_KV
