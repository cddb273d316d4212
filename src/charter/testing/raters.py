"""Raters from a script: each knows the truth, and errs as it is told to.

For tests of whatever reads labels: what is planted here, an estimator must find again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal

import numpy as np

from charter.label import Label

ItemKind = Literal["pair", "rating"]


@dataclass(frozen=True)
class SimulatedItem:
    """One item, and what is true of it.

    Attributes:
        id: its name.
        truth: 1 or -1 for a pair (1 = the first of ``answers`` is better), 0 or 1 for a rating.
        answers: the answers' texts.
        models: who wrote them.
        principle: id.
        contested: groups with a stance see the truth the other way round here.
        gold: the labels say what is right.
        suggestion: what raters are shown before they label; None = nothing.
        stratum: kept in the labels' ``meta``.
    """

    id: str
    truth: int
    answers: tuple[str, ...]
    models: tuple[str, ...] = ()
    principle: str = ""
    contested: bool = False
    gold: bool = False
    suggestion: int | None = None
    stratum: str = ""

    @property
    def kind(self) -> ItemKind:
        """A pair has two answers."""
        return "pair" if len(self.answers) == 2 else "rating"


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
    group: str = ""
    stance: float = 0.0
    seconds: float = 20.0
    source: Literal["human", "expert", "ai", "implicit"] = "human"


def simulated_items(
    n: int,
    *,
    kind: ItemKind = "pair",
    gold: float = 0.0,
    suggested: float = 0.0,
    suggestion_right: float = 0.5,
    contested: float = 0.0,
    principles: Sequence[str] = ("",),
    models: dict[str, float] | None = None,
    strata: Sequence[str] = ("",),
    seed: int = 0,
) -> list[SimulatedItem]:
    """Items whose first answer is the better one, and the longer one, half of the time, independently.

    Args:
        n: how many.
        kind: pairs of answers, or single answers.
        gold: share that says what is right.
        suggested: share with a suggestion.
        suggestion_right: probability that the suggestion is true.
        contested: share on which groups differ.
        principles: items take turns.
        models: log strengths by name: pairs of two of them, the truth is drawn by Bradley-Terry.
        strata: items take turns.
        seed: of all draws.
    """
    rng = np.random.default_rng(seed)
    made = []
    for i in range(n):
        truth, wrote = int(rng.integers(0, 2)), ()
        if kind == "pair":
            truth = 2 * truth - 1
        if models and kind == "pair":
            names = [str(name) for name in rng.choice(list(models), 2, replace=False)]
            wrote = tuple(names)  # type: ignore[assignment]
            gap = models[names[0]] - models[names[1]]
            truth = 1 if rng.random() < 1 / (1 + np.exp(-gap)) else -1
        says = None
        if rng.random() < suggested:
            wrong = -truth if kind == "pair" else 1 - truth
            says = truth if rng.random() < suggestion_right else wrong
        texts = [f"answer {side} to question {i}" + " and more" * int(rng.integers(1, 9)) for side in "ab"]
        if len(texts[0]) == len(texts[1]):
            texts[int(rng.integers(0, 2))] += " words"
        made.append(
            SimulatedItem(
                id=f"i{i}",
                truth=truth,
                answers=tuple(texts) if kind == "pair" else (texts[0],),
                models=wrote,
                principle=principles[i % len(principles)],
                contested=bool(rng.random() < contested),
                gold=bool(rng.random() < gold),
                suggestion=says,
                stratum=strata[i % len(strata)],
            )
        )
    return made


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
    _said: dict[tuple[str, str], int | None] = field(default_factory=dict, init=False, repr=False)

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
            value=value,
            principle=item.principle,
            prompt=f"question of {item.id}",
            answers=item.answers,
            models=item.models,
            shown=shown,
            group=rater.group,
            source=rater.source,
            gold=item.truth if item.gold else None,
            repeat_of=repeat_of,
            suggestion=suggestion,
            seconds=float(rater.seconds * np.exp(0.5 * rng.standard_normal())),
            at=at.isoformat(),
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
    ) -> int | None:
        """What it says; None = a tie."""
        no = -1 if item.kind == "pair" else 0
        if rng.random() < rater.spam:
            return 1 if rng.random() < 0.5 else no
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
        truth = item.truth
        if item.contested and rng.random() < rater.stance:
            truth = (1 if truth == no else no) if item.kind == "rating" else -truth
        if rng.random() < rater.accuracy - rater.fatigue * worn:
            return truth
        return 1 if truth == no else no
