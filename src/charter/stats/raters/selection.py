"""Which items to label next so that the labels stand for all of them."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

Method = Literal["facility_location", "k_center"]
"""``facility_location``: on average every item has a like among the chosen (greedy: at least 1 - 1/e of the
best, Nemhauser et al. 1978). ``k_center``: no item is far from all of them (greedy: at most twice the best,
Gonzalez 1985); it takes outliers."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Items to label next.

    Attributes:
        chosen: positions, in order of choice.
        coverage: mean over items of the cosine similarity to the nearest labelled one, after each choice.
        before: the same before the first choice; None where nothing is labelled yet.
        farthest: largest distance (1 - cosine) of an item to the nearest labelled one, in the end.
        at_random: coverage of as many items taken at random: mean of ten draws.
    """

    chosen: tuple[int, ...]
    coverage: tuple[float, ...]
    before: float | None
    farthest: float
    at_random: float


def select(
    features_ND: Array,
    many: int,
    *,
    labelled: Sequence[int] = (),
    strata: Sequence[Hashable] | None = None,
    method: Method = "facility_location",
    seed: int = 0,
) -> Selection:
    """Greedy choice of ``many`` further items.

    With ``strata`` each choice is made among the strata with the smallest share of their items labelled, so
    that none is forgotten, however alike its items are to others.

    Args:
        features_ND: one row an item; only directions count. A row of zeros is like nothing.
        many: items to choose; fewer where fewer are left.
        labelled: positions that have labels.
        strata: of each item.
        method: see :data:`Method`.
        seed: of the draws of ``at_random``.

    Raises:
        ValueError: no items, ``many`` below 1, features that are not finite, or strata of another number.
    """
    import numpy as np

    n = len(features_ND)
    if not n or many < 1 or not np.isfinite(features_ND).all():
        raise ValueError("a choice needs items with finite features, and at least one to choose")
    if strata is not None and len(strata) != n:
        raise ValueError(f"{len(strata)} strata for {n} items")
    length_N = np.linalg.norm(features_ND, axis=1, keepdims=True)
    unit_ND = features_ND / np.where(length_N > 0, length_N, 1.0)
    like_NN = np.clip(unit_ND @ unit_ND.T, -1.0, 1.0)
    np.fill_diagonal(like_NN, 1.0)
    have = list(dict.fromkeys(labelled))
    near_N = like_NN[have].max(0) if have else np.full(n, -1.0)
    before = float(near_N.mean()) if have else None
    open_N = np.ones(n, dtype=bool)
    open_N[have] = False
    names = list(strata) if strata is not None else [0] * n
    codes_N = np.array([{name: i for i, name in enumerate(dict.fromkeys(names))}[one] for one in names])
    size_S = np.bincount(codes_N)
    done_S = np.bincount(codes_N[have], minlength=len(size_S)).astype(float)
    chosen: list[int] = []
    curve: list[float] = []
    while len(chosen) < many and open_N.any():
        share_S = np.where(np.bincount(codes_N[open_N], minlength=len(size_S)) > 0, done_S / size_S, np.inf)
        among = np.flatnonzero(open_N & (share_S[codes_N] == share_S.min()))
        if method == "facility_location":
            gain = np.maximum(like_NN[among] - near_N[None], 0.0).sum(1)
            best = int(among[int(np.argmax(gain))])
        else:
            best = int(among[int(np.argmin(near_N[among]))])
        chosen.append(best)
        open_N[best] = False
        done_S[codes_N[best]] += 1
        near_N = np.maximum(near_N, like_NN[best])
        curve.append(float(near_N.mean()))
    rng = np.random.default_rng(seed)
    others = np.setdiff1d(np.arange(n), have)
    draws = [rng.choice(others, len(chosen), replace=False) for _ in range(10)] if chosen else []
    by_chance = [float(like_NN[np.concatenate((have, d)).astype(int)].max(0).mean()) for d in draws]
    return Selection(
        chosen=tuple(chosen),
        coverage=tuple(curve),
        before=before,
        farthest=float(1.0 - near_N.min()),
        at_random=float(np.mean(by_chance)) if by_chance else float(near_N.mean()),
    )
