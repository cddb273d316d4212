"""Dawid-Skene on the labels of a file, one fit for pairs and one for ratings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from charter.feedback.people.heard import Question, class_of, gold_class, of_kind, question
from charter.label import Label
from charter.stats.agreement import Rating
from charter.stats.raters.dawid_skene import DawidSkene, dawid_skene
from charter.stats.raters.error_intervals import DRAWS, Errors, rater_errors, reliability
from charter.stats.raters.measure import LEAST

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
        left_out: ratings without a scale, beside others that have one: they are no classes of theirs.
    """

    fit: DawidSkene | None
    why: str = ""
    errors: Mapping[str, Errors] = field(default_factory=dict)
    left_out: int = 0

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

    Ratings count by the half of their scale, as in :func:`charter.feedback.people.heard.class_of`. Gold
    values hold where there are any. Without them it takes three raters who share items.
    """
    ratings, known, left_out = classes_said(labels, kind)
    fit, why = _fit(ratings, known, kind)
    if fit is None:
        return Consensus(None, why, left_out=left_out)
    errors = rater_errors(fit, level=level, draws=draws, seed=seed)
    return Consensus(fit, "", {str(rater): one for rater, one in errors.items()}, left_out)


def classes_said(labels: Sequence[Label], kind: str) -> tuple[list[Rating], dict[Question, float], int]:
    """What raters said as classes, the right ones where they are known, and how many ratings are left out.

    Where some ratings have a scale and others have none, the others are left out.
    """
    said = of_kind(labels, kind)
    declared = [label for label in said if label.scale]
    used = declared if declared and kind == "rating" else said
    ratings = [Rating(label.rater, question(label), float(class_of(label) or 0.0)) for label in used]
    known = {question(label): value for label in used if (value := gold_class(label)) is not None}
    return ratings, known, len(said) - len(used)


def shared_enough(ratings: Sequence[Rating]) -> str:
    """Why too few items are shared for raters to be told apart without known answers; "" = enough are."""
    seen = Counter(rating.item for rating in ratings)
    shared = sum(count >= LEAST_RATERS for count in seen.values())
    if shared >= LEAST_SHARED:
        return ""
    what = f"{shared} items have {LEAST_RATERS} raters or more, and none a known answer"
    return f"{what}; {LEAST_SHARED} are needed"


def _fit(
    ratings: Sequence[Rating], known: Mapping[Question, float], kind: str
) -> tuple[DawidSkene | None, str]:
    """The fit, or why there is none."""
    if not ratings:
        return None, f"no {kind} labels"
    values = {rating.value for rating in ratings} | set(known.values())
    if len(values) < 2:
        return None, "all labels are equal"
    if len(values) > MOST_CLASSES:
        return None, f"more than {MOST_CLASSES} different ratings without a scale are no classes"
    why = "" if known else shared_enough(ratings)
    return (None, why) if why else (dawid_skene(ratings, known=known), "")


def quick_reliabilities(labels: Sequence[Label]) -> dict[str, float]:
    """:func:`reliabilities` without the intervals, which take most of the time."""
    by_kind: dict[str, dict[str, float]] = {}
    for kind in ("pair", "rating"):
        ratings, known, _ = classes_said(labels, kind)
        fit, _ = _fit(ratings, known, kind)
        if fit is not None:
            by_kind[kind] = {
                str(rater): reliability(float(right), len(fit.classes))
                for rater, right, n in zip(fit.raters, fit.accuracy_R, fit.rated_R, strict=True)
                if n >= LEAST
            }
    return _mean_over_kinds(labels, by_kind)


def reliabilities(labels: Sequence[Label], fits: Mapping[str, Consensus]) -> dict[str, float]:
    """One number a rater: the mean over its kinds of labels, by how many it gave of each."""
    return _mean_over_kinds(labels, {kind: fit.reliability for kind, fit in fits.items()})


def _mean_over_kinds(labels: Sequence[Label], by_kind: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    found: dict[str, float] = {}
    counts = Counter((label.rater, str(label.kind)) for label in labels)
    for rater in {label.rater for label in labels}:
        of = [(counts[rater, kind], known[rater]) for kind, known in by_kind.items() if rater in known]
        if of:
            found[rater] = sum(n * value for n, value in of) / sum(n for n, _ in of)
    return found
