"""Win rates between models on the same prompts, judged by a constitution."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from charter.errors import UserError
from charter.stats import Interval, wilson
from charter.types import Group


@dataclass(frozen=True, slots=True)
class Duel:
    """One model against another.

    Attributes:
        first, second: their names.
        wins, losses, ties: prompts on which ``first`` passed more, fewer, as many principles.
        missing: prompts left out, because an answer to them has no verdict.
        rate: share of the decided prompts that ``first`` won.
        interval: 95% Wilson interval of that share.
        p: exact sign test of "no difference".
    """

    first: str
    second: str
    wins: int
    losses: int
    ties: int
    missing: int
    rate: float | None
    interval: Interval | None
    p: float


@dataclass(frozen=True, slots=True)
class WinRates:
    """All pairwise comparisons, and a Bradley-Terry ranking where there are more than two models."""

    duels: tuple[Duel, ...]
    ratings: Mapping[str, float]

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "duels": [
                {
                    "first": d.first,
                    "second": d.second,
                    "wins": d.wins,
                    "losses": d.losses,
                    "ties": d.ties,
                    "missing": d.missing,
                    "rate": d.rate,
                    "lo": None if d.interval is None else d.interval.lo,
                    "hi": None if d.interval is None else d.interval.hi,
                    "p": d.p,
                }
                for d in self.duels
            ],
            "ratings": dict(self.ratings),
        }


def win_rates(answers: Mapping[str, Sequence[Group]]) -> WinRates:
    """Compare judged answers, prompt by prompt.

    A prompt is won by the answer with the larger weighted share of judged principles passed. A prompt
    on which one of the two answers has no verdict at all is left out and counted.

    Args:
        answers: judged groups per model, on the same prompts in the same order.

    Raises:
        UserError: fewer than two models, or different prompts.
    """
    names = list(answers)
    if len(names) < 2:
        raise UserError("comparing needs at least two models with different names")
    ids = {name: [g.id for g in groups] for name, groups in answers.items()}
    if any(ids[name] != ids[names[0]] for name in names):
        raise UserError("the models did not answer the same prompts")
    scores = {name: [_score(g) for g in groups] for name, groups in answers.items()}
    duels = tuple(_duel(a, b, scores[a], scores[b]) for a, b in combinations(names, 2))
    return WinRates(duels, _ratings(duels) if len(names) > 2 else {})


def _score(group: Group) -> float | None:
    judged = [(j.weight, j.value) for j in group.judgements if j.value is not None]
    weight = sum(w for w, _ in judged)
    return sum(w * value for w, value in judged) / weight if weight else None


def _duel(first: str, second: str, a: Sequence[float | None], b: Sequence[float | None]) -> Duel:
    from charter.stats import mcnemar_exact

    both = [(x, y) for x, y in zip(a, b, strict=True) if x is not None and y is not None]
    wins = sum(x > y for x, y in both)
    losses = sum(x < y for x, y in both)
    decided = wins + losses
    return Duel(
        first,
        second,
        wins,
        losses,
        len(both) - decided,
        len(a) - len(both),
        wins / decided if decided else None,
        wilson(wins, decided) if decided else None,
        mcnemar_exact(wins, losses),
    )


def _ratings(duels: Sequence[Duel]) -> dict[str, float]:
    """Bradley-Terry strengths in log units, centred, ties counted half."""
    import math

    from evalica import Winner, bradley_terry

    first: list[str] = []
    second: list[str] = []
    winners: list[Any] = []
    for duel in duels:
        for count, winner in ((duel.wins, Winner.X), (duel.losses, Winner.Y), (duel.ties, Winner.Draw)):
            first += [duel.first] * count
            second += [duel.second] * count
            winners += [winner] * count
    scores = bradley_terry(first, second, winners).scores
    logs = {str(name): math.log(value) for name, value in scores.items()}
    centre = sum(logs.values()) / len(logs)
    return {name: round(value - centre, 4) for name, value in logs.items()}
