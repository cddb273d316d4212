"""Loud raters: how far a reported number moves when one rater's labels are left out."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from charter.stats.intervals import z_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Statistic = Callable[["NDArray[np.bool_]"], dict[str, float]]
"""Reported numbers by name, of the labels that are kept; a number that has no labels left is absent."""

DRAWS = 100

LEAST_CHANGE = 0.01
"""A smaller change is nobody's loudness, however rarely it happens by chance."""


@dataclass(frozen=True, slots=True)
class Influence:
    """One rater's pull.

    Attributes:
        rater: who.
        labels: of theirs.
        share: of all labels.
        changes: each number without this rater, less the number with everybody.
        usual: size of the change beyond which leaving out as many labels at random goes rarely: once in 20
            for all raters and numbers together.
        lost: numbers that rest on this rater alone.
        ranks: places by which the ranking's most moved name moves; None without a ranking.
    """

    rater: Hashable
    labels: int
    share: float
    changes: dict[str, float]
    usual: dict[str, float]
    lost: tuple[str, ...]
    ranks: int | None = None

    @property
    def loud(self) -> tuple[str, ...]:
        """Numbers that move by more than usual and by :data:`LEAST_CHANGE`, or are lost."""
        moved = (n for n, by in self.changes.items() if abs(by) > max(self.usual[n], LEAST_CHANGE))
        return (*moved, *self.lost)

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "rater": str(self.rater),
            "labels": self.labels,
            "share": self.share,
            "changes": self.changes,
            "usual": self.usual,
            "lost": list(self.lost),
            "ranks": self.ranks,
            "loud": list(self.loud),
        }


def leave_one_out(
    raters: Sequence[Hashable],
    statistic: Statistic,
    *,
    ranking: Callable[[dict[str, float]], Sequence[str]] | None = None,
    draws: int = DRAWS,
    seed: int = 0,
) -> list[Influence]:
    """The influence of each rater on each number.

    Args:
        raters: of each label, in the order that ``statistic`` knows.
        statistic: see :data:`Statistic`.
        ranking: order of names from the numbers, the best first.
        draws: of random labels left out, as many as the rater has.
        seed: of the draws.
    """
    import numpy as np

    if not raters:
        return []
    codes = {rater: i for i, rater in enumerate(dict.fromkeys(raters))}
    who_N = np.array([codes[rater] for rater in raters])
    n = len(who_N)
    everybody = statistic(np.ones(n, dtype=bool))
    order = list(ranking(everybody)) if ranking else []
    rng = np.random.default_rng(seed)
    z = z_of(1 - 0.05 / max(1, len(codes) * len(everybody)))
    made = []
    for rater, code in codes.items():
        kept_N = who_N != code
        without = statistic(kept_N)
        many = int(n - kept_N.sum())
        by_chance: dict[str, list[float]] = {name: [] for name in everybody}
        for _ in range(draws):
            mask_N = np.ones(n, dtype=bool)
            mask_N[rng.choice(n, many, replace=False)] = False
            for name, value in statistic(mask_N).items():
                by_chance[name].append(value - everybody[name])
        usual = {
            name: z * float(np.sqrt(np.mean(np.square(c)))) if c else float("inf")
            for name, c in by_chance.items()
        }
        changes = {name: without[name] - everybody[name] for name in everybody if name in without}
        lost = tuple(name for name in everybody if name not in without)
        ranks = _moved(order, list(ranking(without))) if ranking else None
        made.append(Influence(rater, many, many / n, changes, usual, lost, ranks))
    return made


def _moved(before: Sequence[str], after: Sequence[str]) -> int:
    """Most places that one name moves, among the names that both rank."""
    both = [name for name in before if name in after]
    place = {name: i for i, name in enumerate(name for name in after if name in both)}
    return max((abs(i - place[name]) for i, name in enumerate(both)), default=0)
