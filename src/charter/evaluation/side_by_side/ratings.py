"""Who wins, prompt by prompt: win rates, Bradley-Terry ratings, and which ranks the data can tell apart."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from charter.evaluation.side_by_side.bradley_terry import strengths
from charter.evaluation.side_by_side.cells import clusters
from charter.evaluation.side_by_side.checkpoint import Checkpoint
from charter.evaluation.side_by_side.comparable import Shared, shared
from charter.stats import Interval, bootstrap_mean, holm, mcnemar_exact, wilson

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

DRAWS = 1_000
_TIE = 1e-9


@dataclass(frozen=True)
class Winning:
    """One checkpoint against another.

    Attributes:
        first, second: their names.
        wins, losses, ties: prompts on which ``first`` kept to more of the principles, to fewer, to as many.
        rate: wins, a tie half; None = nothing was compared.
        lo, hi: its interval, over prompts.
        p: of no difference, by the exact sign test over the prompts that are no tie.
        p_holm: corrected over all pairs.
        left_out: prompts without a principle judged for both.
        why: why nothing was compared, or "".
    """

    first: str
    second: str
    wins: int
    losses: int
    ties: int
    rate: float | None
    lo: float
    hi: float
    p: float | None
    p_holm: float | None
    left_out: int
    why: str = ""


@dataclass(frozen=True)
class Rating:
    """A checkpoint's Bradley-Terry rating.

    Attributes:
        name: the checkpoint.
        rating: log strength, centred on the mean of all: at a difference of 1 the stronger one wins 73%.
        lo, hi: by resampling prompts.
        best_rank, worst_rank: the ranks that the data leave open; equal = told apart from all others.
    """

    name: str
    rating: float
    lo: float
    hi: float
    best_rank: int
    worst_rank: int


@dataclass(frozen=True)
class Ratings:
    """All pairs, and the ratings of those that can be put on one scale.

    Attributes:
        pairs: every two checkpoints.
        ratings: the strongest first; empty = fewer than two are connected.
        prompts: prompts that were resampled.
        left_out: checkpoints without a rating, and why.
    """

    pairs: tuple[Winning, ...]
    ratings: tuple[Rating, ...]
    prompts: int
    left_out: Mapping[str, str]

    def pair(self, first: str, second: str) -> Winning:
        """One against the other, as seen by ``first``."""
        for one in self.pairs:
            if (one.first, one.second) == (first, second):
                return one
            if (one.second, one.first) == (first, second):
                return turned(one)
        raise KeyError((first, second))

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return {
            "pairs": [asdict(one) for one in self.pairs],
            "ratings": [asdict(one) for one in self.ratings],
            "prompts": self.prompts,
            "left_out": dict(self.left_out),
        }


def turned(one: Winning) -> Winning:
    """The same pair, as seen by the other."""
    rate = None if one.rate is None else 1.0 - one.rate
    return Winning(
        one.second, one.first, one.losses, one.wins, one.ties, rate, 1 - one.hi, 1 - one.lo, one.p,
        one.p_holm, one.left_out, one.why,
    )  # fmt: skip


def ratings_of(
    checkpoints: Sequence[Checkpoint],
    *,
    level: float = 0.95,
    draws: int = DRAWS,
    seed: int = 0,
    any_sampling: bool = False,
) -> Ratings:
    """Compare every two checkpoints on the prompts and principles they share.

    A prompt is won by the checkpoint with the larger weighted share of the principles that were judged for
    both.

    Args:
        checkpoints: at least two.
        level: of intervals.
        draws: of prompts, for the intervals of ratings.
        seed: of the draws.
        any_sampling: see :func:`charter.evaluation.side_by_side.comparable.shared`.
    """
    outcomes: dict[tuple[int, int], dict[str, float]] = {}
    pairs: list[Winning] = []
    for i, first in enumerate(checkpoints):
        for j in range(i + 1, len(checkpoints)):
            share = shared(first, checkpoints[j], any_sampling=any_sampling)
            outcomes[i, j] = {} if share.why_not else outcomes_of(first, checkpoints[j], share)
            left_out = len(share.prompts) - len(outcomes[i, j])
            why = share.why_not or ("" if outcomes[i, j] else "no principle was judged for both")
            pairs.append(
                _winning(first.name, checkpoints[j].name, outcomes[i, j], left_out, why, level, seed)
            )
    known = [place for place, pair in enumerate(pairs) if pair.p is not None]
    corrected = holm([p for place in known if (p := pairs[place].p) is not None])
    for place, p in zip(known, corrected, strict=True):
        pairs[place] = Winning(**{**asdict(pairs[place]), "p_holm": p})
    names = [one.name for one in checkpoints]
    rated, prompts, left_out_of = _ratings(names, outcomes, level, draws, seed)
    return Ratings(tuple(pairs), rated, prompts, left_out_of)


def outcomes_of(first: Checkpoint, second: Checkpoint, share: Shared) -> dict[str, float]:
    """Of every shared prompt 1.0 where ``first`` wins, 0.0 where it loses, 0.5 for a tie."""
    lead: dict[str, float] = {}
    for id in share.principles:
        ours, theirs = (clusters(one, id, share.prompts) for one in (first, second))
        weight = first.infos[id].weight
        for prompt in ours:
            if prompt in theirs:
                lead.setdefault(prompt, 0.0)
                lead[prompt] += weight * (_mean(ours[prompt]) - _mean(theirs[prompt]))
    return {prompt: 0.5 if abs(value) < _TIE else float(value > 0) for prompt, value in lead.items()}


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _winning(
    first: str, second: str, found: Mapping[str, float], left_out: int, why: str, level: float, seed: int
) -> Winning:
    values = list(found.values())
    wins, losses = values.count(1.0), values.count(0.0)
    ties = len(values) - wins - losses
    if not values:
        return Winning(first, second, 0, 0, 0, None, 0.0, 1.0, None, None, left_out, why)
    rate = _mean(values)
    interval = (
        bootstrap_mean([[value] for value in values], level=level, seed=seed)
        if len(set(values)) > 1
        else _all_alike(values[0], len(values), level)
    )
    p = mcnemar_exact(wins, losses)
    return Winning(first, second, wins, losses, ties, rate, interval.lo, interval.hi, p, None, left_out)


def _all_alike(value: float, n: int, level: float) -> Interval:
    """Prompts that all went one way, or were all ties, have no spread to resample."""
    if value in (0.0, 1.0):
        return wilson(round(value * n), n, level)
    half = (1.0 - wilson(n, n, level).lo) / 2  # as many prompts as may yet be no tie, all one way
    return Interval(0.5 - half, 0.5 + half)


def _ratings(
    names: Sequence[str],
    outcomes: Mapping[tuple[int, int], Mapping[str, float]],
    level: float,
    draws: int,
    seed: int,
) -> tuple[tuple[Rating, ...], int, dict[str, str]]:
    import numpy as np

    inside = _connected(len(names), [pair for pair, found in outcomes.items() if found])
    left_out = {
        name: f"not compared with {names[inside[0]]} on any prompt"
        for place, name in enumerate(names)
        if place not in inside
    }
    if len(inside) < 2:
        return (), 0, left_out
    prompts = list(dict.fromkeys(prompt for found in outcomes.values() for prompt in found))
    at = {prompt: row for row, prompt in enumerate(prompts)}
    seat = {place: column for column, place in enumerate(inside)}
    k = len(inside)
    wins_NKK = np.zeros((len(prompts), k, k))
    for (i, j), found in outcomes.items():
        if i in seat and j in seat:
            for prompt, value in found.items():
                wins_NKK[at[prompt], seat[i], seat[j]] = value
                wins_NKK[at[prompt], seat[j], seat[i]] = 1.0 - value
    point_K, drawn_BK = resampled(wins_NKK, draws, seed)
    tails = ((1 - level) / 2, (1 + level) / 2)
    ends_2K = np.quantile(drawn_BK, tails, axis=0)
    better_KK = np.quantile(drawn_BK[:, :, None] - drawn_BK[:, None, :], tails[0], axis=0) > 0
    rated = [
        Rating(
            names[place],
            round(float(point_K[c]), 4),
            round(float(ends_2K[0, c]), 4),
            round(float(ends_2K[1, c]), 4),
            1 + int(better_KK[:, c].sum()),
            k - int(better_KK[c].sum()),
        )
        for place, c in seat.items()
    ]
    return tuple(sorted(rated, key=lambda one: -one.rating)), len(prompts), left_out


def resampled(
    wins_NKK: NDArray[np.float64], draws: int, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Strengths of all prompts ``[K]``, and of each draw of as many prompts ``[B, K]``.

    Args:
        wins_NKK: of each prompt who beat whom, a tie half to each.
        draws: how many.
        seed: of them.
    """
    import numpy as np

    n, k, _ = wins_NKK.shape
    rng = np.random.default_rng(seed)
    counts_BN = rng.multinomial(n, np.full(n, 1 / n), draws).astype(np.float64)
    drawn_BKK = (counts_BN @ wins_NKK.reshape(n, k * k)).reshape(draws, k, k)
    return strengths(wins_NKK.sum(0)[None])[0], strengths(drawn_BKK)


def _connected(count: int, pairs: Sequence[tuple[int, int]]) -> list[int]:
    """The largest set of checkpoints that comparisons connect; of equal ones that with the first."""
    groups: list[set[int]] = [{place} for place in range(count)]
    for i, j in pairs:
        one = next(group for group in groups if i in group)
        other = next(group for group in groups if j in group)
        if one is not other:
            groups.remove(other)
            one |= other

    most = max(len(group) for group in groups)
    return sorted(next(group for group in sorted(groups, key=min) if len(group) == most))
