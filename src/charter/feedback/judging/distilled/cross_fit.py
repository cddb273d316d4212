"""Cross-fitting: k heads, each of which grades only what it never saw; the penalty is chosen inside.

Shapes: N answers, D features.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from charter.errors import UserError
from charter.feedback.judging.distilled.folds import Folds
from charter.feedback.judging.distilled.head import Doubles, Head, Penalty, Places, Task, fit, loss
from charter.feedback.judging.distilled.rows import Rows
from charter.feedback.judging.distilled.store import Floats
from charter.interrupt import graceful
from charter.progress import progress

RIDGES = (0.1, 0.01, 1e-3, 1e-4)
OWN = (0.0, 0.5, 2.0)
"""Penalties that are tried."""

DEFAULT = Penalty(0.01, 0.5)
"""Where there are too few folds to choose."""


@dataclass(frozen=True, eq=False)
class FoldHead:
    """A head, and what it was trained on.

    Attributes:
        head: its weights.
        trained: items.
        prompts: keys of their prompts.
        answers: keys of their answers.
        principles: numbers of the principles it had rows of.
    """

    head: Head
    trained: tuple[int, ...]
    prompts: frozenset[str]
    answers: frozenset[str]
    principles: frozenset[int]

    def may_grade(self, prompts: frozenset[str], answer: str) -> bool:
        """Whether neither the prompt nor the answer was trained on."""
        return not (self.prompts & prompts) and answer not in self.answers


@dataclass(frozen=True, eq=False)
class CrossFitted:
    """The heads and what they say of what they never saw.

    Attributes:
        heads: one a fold.
        logits_N: of each answer, by the head of its own fold, before the temperature.
        own_N: whether that head had rows of the answer's principle; else it judged by what principles share.
        temperature: log-odds are divided by it.
    """

    heads: tuple[FoldHead, ...]
    logits_N: Doubles
    own_N: tuple[bool, ...]
    temperature: float


def task_of(rows: Rows, x_ND: Floats, principles: Sequence[str]) -> Task:
    """Rows as arrays; principles by their place in ``principles``."""
    number = {id: place for place, id in enumerate(principles)}
    items, good, weight, _ = zip(*rows.labelled, strict=True) if rows.labelled else ((), (), (), ())
    better, worse, pull, _ = zip(*rows.pairs, strict=True) if rows.pairs else ((), (), (), ())
    return Task(
        np.asarray(x_ND, dtype=np.float64),
        np.asarray([number[one.principle] for one in rows.items], dtype=np.int64),
        len(principles),
        np.asarray(items, dtype=np.int64),
        np.asarray(good, dtype=bool),
        np.asarray(weight, dtype=np.float64),
        np.asarray(better, dtype=np.int64),
        np.asarray(worse, dtype=np.int64),
        np.asarray(pull, dtype=np.float64),
    )


def cross_fit(rows: Rows, task: Task, folds: Folds) -> CrossFitted:
    """A head for each fold, fitted and tuned without it.

    Raises:
        UserError: without some fold there is nothing left to learn from.
        Interrupted: the person asked to stop.
    """
    logits = np.zeros(len(rows.items))
    heads = []
    steps = folds.k * (_trials(folds) + 1)
    with graceful() as stop, progress("fitting heads", steps) as advance:
        for held_out in range(folds.k):
            stop.check("stopped while heads were fitted", fix="start again: what was read is kept")
            penalty = _chosen(rows, task, folds, held_out, advance)
            kept = folds.trained(rows, {held_out})
            inside = task.within(kept)
            if not inside.learnable:
                raise UserError(
                    "without one of its folds the data have no good and bad answers to learn from",
                    fix="give GOOD and BAD answers to more conversations, or labels",
                )
            head = fit(inside, penalty)
            advance(1)
            heads.append(_fold_head(rows, task, head, inside))
            mine = np.flatnonzero(np.asarray(folds.fold) == held_out)
            logits[mine] = head.logits(task.x_ND[mine], task.code_N[mine])
    own = tuple(
        int(code) in heads[fold].principles for code, fold in zip(task.code_N, folds.fold, strict=True)
    )
    return CrossFitted(tuple(heads), logits, own, temperature_of(task, logits))


def temperature_of(task: Task, logits_N: Doubles) -> float:
    """What held-out log-odds are divided by so that probabilities fit best (Guo et al. 2017, 1706.04599).

    It moves no verdict: a probability stays on its side of a half. Between 1/20 and 20; 1 without labels.
    """
    from scipy.optimize import minimize_scalar

    if not len(task.rows):
        return 1.0
    labels = task.within(range(len(task.x_ND)))
    none = np.empty(0, dtype=np.int64)
    labels = Task(
        labels.x_ND,
        labels.code_N,
        labels.principles,
        labels.rows,
        labels.good,
        labels.weight,
        none,
        none,
        np.empty(0),
    )
    edge = float(np.log(20.0))
    found = minimize_scalar(
        lambda t: loss(labels, logits_N / np.exp(t)), bounds=(-edge, edge), method="bounded"
    )
    return float(np.exp(found.x))


def _trials(folds: Folds) -> int:
    return len(RIDGES) * len(OWN) if folds.k > 2 else 0


def _chosen(rows: Rows, task: Task, folds: Folds, held_out: int, advance: object) -> Penalty:
    """The penalty with the smallest loss on folds held out in turn, ``held_out`` never seen."""
    if folds.k <= 2:
        return DEFAULT
    inner = [fold for fold in range(folds.k) if fold != held_out]
    parts = []
    for fold in inner:
        inside = task.within(folds.trained(rows, {held_out, fold}))
        outside = task.within([i for i, one in enumerate(folds.fold) if one == fold])
        if inside.learnable and (len(outside.rows) or len(outside.better)):
            parts.append((inside, outside))
    best, least = DEFAULT, np.inf
    assert callable(advance)
    for own in OWN:
        starts: list[Head | None] = [None] * len(parts)
        for ridge in RIDGES:
            penalty = Penalty(ridge, own)
            total = 0.0
            for place, (inside, outside) in enumerate(parts):
                head = starts[place] = fit(inside, penalty, starts[place])
                total += loss(outside, head.logits(task.x_ND, task.code_N))
            if parts and total < least:
                best, least = penalty, total
            advance(1)
    return best


def _fold_head(rows: Rows, task: Task, head: Head, inside: Task) -> FoldHead:
    """What of the rows the head was fitted on: those with a label or in a pair."""
    used: Places = np.unique(np.concatenate((inside.rows, inside.better, inside.worse)))
    items = [rows.items[index] for index in used]
    return FoldHead(
        head,
        tuple(int(index) for index in used),
        frozenset(key for one in items for key in one.prompts),
        frozenset(one.answer for one in items),
        frozenset(int(code) for code in task.code_N[used]),
    )
