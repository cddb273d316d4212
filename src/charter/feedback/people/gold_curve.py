"""On items whose answer is known: how good are k labels together, and are sure labels more often right?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from charter.feedback.people.heard import class_of, gold_class, question
from charter.label import Label, is_right
from charter.stats.raters.learning_curve import extrapolate, majority_curve
from charter.stats.raters.measure import rate_of


def gold_curve(labels: Sequence[Label], *, level: float = 0.95) -> dict[str, Any]:
    """Accuracy of the majority by labels an item, and of twice as many where the curve can say it.

    A tie on an item that has none, and a rating in the middle of its scale, are left out of the majority:
    they vote for neither side.
    """
    counted: dict[tuple[str, ...], tuple[int, int]] = {}
    ties = 0
    for label in labels:
        value, wanted = class_of(label), gold_class(label)
        if value is None or wanted is None:
            continue
        if value == 0.5 != wanted and (label.kind == "pair" or label.scale):
            ties += 1
            continue
        key = (*question(label), label.kind)
        hits, total = counted.get(key, (0, 0))
        counted[key] = (hits + (value == wanted), total + 1)
    points = majority_curve(list(counted.values()), level=level)
    ahead = extrapolate(points, 2 * points[-1].labels, level=level) if points else None
    return {
        "items": len(counted),
        "ties_left_out": ties,
        "points": [point.to_json() for point in points],
        "ahead": None if ahead is None else ahead.to_json(),
    }


def confidence_on_gold(labels: Sequence[Label], *, level: float = 0.95) -> list[dict[str, Any]]:
    """Accuracy by the size of the margin given: raters who are well calibrated are righter where surer."""
    by_size: dict[float, list[bool]] = {}
    for label in labels:
        if label.kind == "pair" and label.outcome == "judged" and (found := is_right(label)) is not None:
            by_size.setdefault(abs(float(label.value)), []).append(found)
    return [{"margin": size, **rate_of(by_size[size], level=level).to_json()} for size in sorted(by_size)]
