"""Dawid-Skene on the labels of a file, one fit for pairs and one for ratings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from charter.feedback.people.heard import Question, choice, gold_choice, of_kind, question
from charter.label import Label
from charter.stats.agreement import Rating
from charter.stats.raters.dawid_skene import DawidSkene, dawid_skene
from charter.stats.raters.error_intervals import DRAWS, Errors, rater_errors

LEAST_RATERS = 3
"""Two raters who disagree do not say who is wrong."""

LEAST_SHARED = 20
MOST_CLASSES = 7


@dataclass(frozen=True, slots=True)
class Consensus:
    """What the raters say together, where that can be told.

    Attributes:
        fit: None where it cannot.
        why: it cannot.
        errors: by rater.
    """

    fit: DawidSkene | None
    why: str = ""
    errors: Mapping[str, Errors] = field(default_factory=dict)

    @property
    def reliability(self) -> dict[str, float]:
        """Of each rater with enough labels: accuracy beyond guessing."""
        return {rater: one.reliability for rater, one in self.errors.items() if one.accuracy.enough}

    def first_better(self) -> dict[Question, float]:
        """Of a fit of pairs: probability that the first answer is better, half of a tie's included."""
        if self.fit is None:
            return {}
        expected_N = self.fit.posterior_NK @ [float(value) for value in self.fit.classes]
        return {item: float(p) for item, p in zip(self.fit.items, expected_N, strict=True)}  # type: ignore[misc]


def consensus(
    labels: Sequence[Label], kind: str, *, level: float = 0.95, draws: int = DRAWS, seed: int = 0
) -> Consensus:
    """One fit over all principles: a rater has one way to err in pairs, and one in ratings.

    Gold values hold where there are any. Without them it takes three raters who share items.
    """
    said = of_kind(labels, kind)
    if not said:
        return Consensus(None, f"no {kind} labels")
    ratings = [Rating(label.rater, question(label), float(choice(label) or 0.0)) for label in said]
    known = {question(label): value for label in said if (value := gold_choice(label)) is not None}
    values = {rating.value for rating in ratings} | set(known.values())
    if len(values) < 2:
        return Consensus(None, "all labels are equal")
    if len(values) > MOST_CLASSES:
        return Consensus(None, f"more than {MOST_CLASSES} different ratings are no classes")
    seen = Counter(rating.item for rating in ratings)
    shared = sum(count >= LEAST_RATERS for count in seen.values())
    if not known and shared < LEAST_SHARED:
        what = f"{shared} items have {LEAST_RATERS} raters or more, and none a known answer"
        return Consensus(None, f"{what}; {LEAST_SHARED} are needed")
    fit = dawid_skene(ratings, known=known)
    errors = rater_errors(fit, level=level, draws=draws, seed=seed)
    return Consensus(fit, "", {str(rater): one for rater, one in errors.items()})


def reliabilities(labels: Sequence[Label], fits: Mapping[str, Consensus]) -> dict[str, float]:
    """One number a rater: the mean over its kinds of labels, by how many it gave of each."""
    found: dict[str, float] = {}
    counts = Counter((label.rater, label.kind) for label in labels)
    for rater in {label.rater for label in labels}:
        of = [
            (counts[rater, kind], fit.reliability[rater])  # type: ignore[index]
            for kind, fit in fits.items()
            if rater in fit.reliability
        ]
        if of:
            found[rater] = sum(n * value for n, value in of) / sum(n for n, _ in of)
    return found
