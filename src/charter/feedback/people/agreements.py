"""Krippendorff's alpha of the labels of a file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from charter.feedback.people.heard import choice, of_kind, question
from charter.label import Label
from charter.stats.agreement import Agreement, Metric, Rating, krippendorff_alpha


def alphas(labels: Sequence[Label], *, level: float = 0.95, seed: int = 0) -> list[dict[str, Any]]:
    """By principle, kind and scale; tests of raters are left out, as their answers are chosen to be plain."""
    made = []
    ordinary = [label for label in labels if label.gold is None]
    for kind in ("pair", "rating"):
        parts: dict[tuple[str, tuple[float, ...]], list[Label]] = {}
        for label in of_kind(ordinary, kind):
            parts.setdefault((label.principle, label.scale), []).append(label)
        for (principle, _), mine in parts.items():
            values = {choice(label) for label in mine}
            metric: Metric = "ordinal" if kind == "rating" and len(values) > 2 else "nominal"
            ratings = [Rating(one.rater, question(one), float(choice(one) or 0.0)) for one in mine]
            alpha = krippendorff_alpha(ratings, metric, level=level, resamples=1000, seed=seed)
            made.append({"principle": principle, "kind": kind, **_alpha_json(alpha)})
    return made


def _alpha_json(found: Agreement) -> dict[str, Any]:
    return {
        "metric": found.metric,
        "alpha": found.value,
        "lo": found.interval.lo,
        "hi": found.interval.hi,
        "items": found.items,
        "left_out": found.left_out,
        "raters": found.raters,
    }
