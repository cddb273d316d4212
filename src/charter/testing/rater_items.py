"""Items whose truth is known, for raters from a script."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

ItemKind = Literal["pair", "rating", "ranking"]
Truth = int | tuple[int, ...]


@dataclass(frozen=True)
class SimulatedItem:
    """One item, and what is true of it.

    Attributes:
        id: its name.
        truth: 1 or -1 for a pair (1 = the first of ``answers`` is better), the right rating of a single
            answer, the ranks of a ranking (1 = best).
        answers: the answers' texts.
        models: who wrote them.
        principle: id.
        contested: groups with a stance see the truth the other way round here.
        gold: the labels say what is right.
        suggestion: what raters are shown before they label; None = nothing.
        stratum: kept in the labels' ``meta``.
        scale: lowest and highest rating; (0, 1) = a verdict.
    """

    id: str
    truth: Truth
    answers: tuple[str, ...]
    models: tuple[str, ...] = ()
    principle: str = ""
    contested: bool = False
    gold: bool = False
    suggestion: int | None = None
    stratum: str = ""
    scale: tuple[int, int] = (0, 1)

    @property
    def kind(self) -> ItemKind:
        """A ranking's truth is ranks; a pair has two answers."""
        if isinstance(self.truth, tuple):
            return "ranking"
        return "pair" if len(self.answers) == 2 else "rating"


def turned(item: SimulatedItem) -> Truth:
    """The truth the other way round: the other answer, the other end of the scale, the order backwards."""
    if isinstance(item.truth, tuple):
        return tuple(max(item.truth) + 1 - rank for rank in item.truth)
    return -item.truth if item.kind == "pair" else sum(item.scale) - item.truth


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
    scale: tuple[int, int] = (0, 1),
    ranked: int = 4,
    seed: int = 0,
) -> list[SimulatedItem]:
    """Items whose first answer is the better one, and the longer one, half of the time, independently.

    Gold items are plain, as those made of GOOD and BAD examples are: a rating's truth is an end of the
    scale, a ranking's two ranks.

    Args:
        n: how many.
        kind: pairs of answers, single answers, or several in order.
        gold: share that says what is right.
        suggested: share with a suggestion; not of rankings.
        suggestion_right: probability that the suggestion is true.
        contested: share on which groups differ.
        principles: items take turns.
        models: log strengths by name: pairs of two of them, the truth is drawn by Bradley-Terry.
        strata: items take turns.
        scale: of ratings; the truth of ordinary items is any of its steps, equally often.
        ranked: answers of a ranking.
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
        if rng.random() < suggested and kind != "ranking":
            wrong = -truth if kind == "pair" else 1 - truth
            says = truth if rng.random() < suggestion_right else wrong
        answers = ranked if kind == "ranking" else 2
        names_of = "abcdefgh"[:answers]
        texts = [f"answer {one} to question {i}" + " and more" * int(rng.integers(1, 9)) for one in names_of]
        if len(texts[0]) == len(texts[1]):
            texts[int(rng.integers(0, 2))] += " words"
        differ, known = bool(rng.random() < contested), bool(rng.random() < gold)
        right: Truth = truth
        if kind == "rating" and scale != (0, 1):
            right, says = _on_scale(rng, truth, says, scale, known)
        elif kind == "ranking":
            right = _ranks(rng, answers, known)
        made.append(
            SimulatedItem(
                id=f"i{i}",
                truth=right,
                answers=(texts[0],) if kind == "rating" else tuple(texts),
                models=wrote,
                principle=principles[i % len(principles)],
                contested=differ,
                gold=known,
                suggestion=says,
                stratum=strata[i % len(strata)],
                scale=scale if kind == "rating" else (0, 1),
            )
        )
    return made


def _on_scale(
    rng: np.random.Generator, truth: int, says: int | None, scale: tuple[int, int], gold: bool
) -> tuple[int, int | None]:
    """A verdict's truth and suggestion as ratings on a longer scale."""
    right = scale[truth] if gold else int(rng.integers(scale[0], scale[1] + 1))
    if says is None:
        return right, None
    return right, right if says == truth else sum(scale) - right


def _ranks(rng: np.random.Generator, answers: int, gold: bool) -> tuple[int, ...]:
    ranks = [int(rank) + 1 for rank in rng.permutation(answers)]
    return tuple(1 + (rank > answers // 2) for rank in ranks) if gold else tuple(ranks)
