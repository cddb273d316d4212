"""Raters from a script: each knows the truth, and errs as it is told to.

For tests of whatever reads labels: what is planted here, an estimator must find again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal

import numpy as np

from charter.label import Label, side_of
from charter.testing.rater_items import SimulatedItem, simulated_items, turned

__all__ = ["RaterStudy", "SimulatedItem", "SimulatedRater", "simulated_items"]

Said = int | tuple[int, ...]


@dataclass(frozen=True)
class SimulatedRater:
    """How one rater errs. Probabilities are applied in this order: the first that strikes decides.

    Attributes:
        name: pseudonym.
        accuracy: of those answers that it thinks about.
        spam: probability of answering at random without reading.
        copies: name of the rater whose answer it copies where there is one ...
        collusion: ... with this probability.
        suggestion: probability of repeating the suggestion, where one is shown.
        position: probability of taking the answer shown first; negative = shown second.
        length: probability of taking the longer answer; negative = the shorter.
        fatigue: accuracy lost from its first label to its last, in equal steps.
        tie: probability of calling a tie.
        timid: probability that a rating is one step nearer to the middle of its scale, where that is in the
            same half.
        strong: probability that a right answer on a pair has a margin of 2, not 1.
        strong_wrong: the same of a wrong one.
        group: its group.
        stance: probability of turning the truth round on contested items.
        seconds: median time of a label; times are log-normal with sigma 0.5.
        source: see :data:`charter.label.Source`.
    """

    name: str
    accuracy: float = 0.85
    spam: float = 0.0
    copies: str = ""
    collusion: float = 0.0
    suggestion: float = 0.0
    position: float = 0.0
    length: float = 0.0
    fatigue: float = 0.0
    tie: float = 0.0
    timid: float = 0.0
    strong: float = 0.0
    strong_wrong: float = 0.0
    group: str = ""
    stance: float = 0.0
    seconds: float = 20.0
    source: Literal["human", "expert", "ai", "implicit"] = "human"


@dataclass
class RaterStudy:
    """Raters who label items.

    Attributes:
        raters: in the order in which they answer an item; whoever copies comes after whom it copies.
        items: in the order in which they are labelled.
        per_item: raters drawn for each item; None = all.
        repeats: share of a rater's labels that are asked again at the end, sides swapped, nothing suggested.
        unsuggested: share of a rater's suggestions that are not shown to it.
        seed: of all draws.
    """

    raters: Sequence[SimulatedRater]
    items: Sequence[SimulatedItem]
    per_item: int | None = None
    repeats: float = 0.0
    unsuggested: float = 0.0
    seed: int = 0
    _said: dict[tuple[str, str], Said | None] = field(default_factory=dict, init=False, repr=False)

    def labels(self) -> list[Label]:
        """Every label, in order of time."""
        rng = np.random.default_rng(self.seed)
        self._said.clear()
        asked = [(item, rater) for item in self.items for rater in self._drawn(rng)]
        load = {rater.name: sum(one.name == rater.name for _, one in asked) for rater in self.raters}
        done = dict.fromkeys(load, 0)
        found: list[Label] = []
        again: list[tuple[SimulatedItem, SimulatedRater, Label]] = []
        clock = datetime(2026, 1, 1, tzinfo=UTC)
        for item, rater in asked:
            share = done[rater.name] / max(1, load[rater.name] - 1)
            done[rater.name] += 1
            shown = self._shown(item, rng)
            says = item.suggestion if rng.random() >= self.unsuggested else None
            label = self._label(rng, rater, item, shown, says, share, f"l{len(found)}", clock)
            clock += timedelta(seconds=label.seconds or 0.0)
            found.append(label)
            if rng.random() < self.repeats:
                again.append((item, rater, label))
        for item, rater, first in again:
            swapped = first.shown[::-1]
            label = self._label(rng, rater, item, swapped, None, 1.0, f"{first.id}r", clock, first.id)
            clock += timedelta(seconds=label.seconds or 0.0)
            found.append(label)
        return found

    def _drawn(self, rng: np.random.Generator) -> list[SimulatedRater]:
        if self.per_item is None or self.per_item >= len(self.raters):
            return list(self.raters)
        chosen = sorted(rng.choice(len(self.raters), self.per_item, replace=False).tolist())
        return [self.raters[i] for i in chosen]

    def _shown(self, item: SimulatedItem, rng: np.random.Generator) -> tuple[int, ...]:
        return tuple(int(i) for i in rng.permutation(len(item.answers)))

    def _label(
        self,
        rng: np.random.Generator,
        rater: SimulatedRater,
        item: SimulatedItem,
        shown: tuple[int, ...],
        suggestion: int | None,
        worn: float,
        id: str,
        at: datetime,
        repeat_of: str = "",
    ) -> Label:
        value = self._answer(rng, rater, item, shown, suggestion, worn)
        if not repeat_of:
            self._said[rater.name, item.id] = value
        return Label(
            id=id,
            item=item.id,
            rater=rater.name,
            kind=item.kind,
            outcome="judged" if value is not None else "tie",
            value=list(value) if isinstance(value, tuple) else value,
            principle=item.principle,
            prompt=f"question of {item.id}",
            answers=item.answers,
            models=item.models,
            shown=shown,
            group=rater.group,
            source=rater.source,
            gold=_gold(item),
            repeat_of=repeat_of,
            suggestion=suggestion,
            seconds=float(rater.seconds * np.exp(0.5 * rng.standard_normal())),
            at=at.isoformat(),
            scale=item.scale if item.kind == "rating" else (),
            meta={"stratum": item.stratum} if item.stratum else {},
        )

    def _answer(
        self,
        rng: np.random.Generator,
        rater: SimulatedRater,
        item: SimulatedItem,
        shown: tuple[int, ...],
        suggestion: int | None,
        worn: float,
    ) -> Said | None:
        """What it says; None = a tie."""
        if rng.random() < rater.spam:
            return _at_random(rng, item)
        copied = (rater.copies, item.id)
        if rng.random() < rater.collusion and copied in self._said:
            return self._said[copied]
        if suggestion is not None and rng.random() < rater.suggestion:
            return suggestion
        if item.kind == "pair":
            if rng.random() < abs(rater.position):
                return 1 if (shown[0] == 0) == (rater.position > 0) else -1
            if rng.random() < abs(rater.length):
                longer = len(item.answers[0]) > len(item.answers[1])
                return 1 if longer == (rater.length > 0) else -1
            if rng.random() < rater.tie:
                return None
        truth = turned(item) if item.contested and rng.random() < rater.stance else item.truth
        right = rng.random() < rater.accuracy - rater.fatigue * worn
        if isinstance(truth, tuple):
            return _ranking(rng, truth, right)
        if item.kind == "pair":
            return (truth if right else -truth) * _margin(rng, rater, right)
        return _rating(rng, rater, truth, item.scale, right)


def _gold(item: SimulatedItem) -> int | list[int] | None:
    if not item.gold:
        return None
    return list(item.truth) if isinstance(item.truth, tuple) else item.truth


def _at_random(rng: np.random.Generator, item: SimulatedItem) -> Said:
    if isinstance(item.truth, tuple):
        return tuple(int(rank) + 1 for rank in rng.permutation(len(item.truth)))
    if item.kind == "rating" and item.scale != (0, 1):
        return int(rng.integers(item.scale[0], item.scale[1] + 1))
    no = -1 if item.kind == "pair" else 0
    return 1 if rng.random() < 0.5 else no


def _margin(rng: np.random.Generator, rater: SimulatedRater, right: bool) -> int:
    p = rater.strong if right else rater.strong_wrong
    return 2 if p and rng.random() < p else 1


def _rating(
    rng: np.random.Generator, rater: SimulatedRater, truth: int, scale: tuple[int, int], right: bool
) -> int:
    """The truth, or as far on the other side of the middle; a middle is missed by going to an end."""
    low, high = scale
    said = truth if right else low + high - truth
    if not right and said == truth:
        said = low if rng.random() < 0.5 else high
    side = side_of(said, scale)
    inner = said + (1 if side == 0.0 else -1)
    if rater.timid and side != 0.5 and side_of(inner, scale) == side and rng.random() < rater.timid:
        return inner
    return said


def _ranking(rng: np.random.Generator, truth: tuple[int, ...], right: bool) -> tuple[int, ...]:
    """A strict order of the answers: the truth's, ties in any order; a wrong one has a best and a worst
    answer in each other's place."""
    order = sorted(range(len(truth)), key=lambda i: (truth[i], rng.random()))
    if not right:
        order[0], order[-1] = order[-1], order[0]
    return tuple(order.index(i) + 1 for i in range(len(truth)))
