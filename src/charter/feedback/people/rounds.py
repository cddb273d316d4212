"""Rounds of labelling: what a calibration exercise changed, and how large the next round must be."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import Any

from charter.errors import DataError
from charter.feedback.people.heard import choice, gold_class, hear, of_kind, question, share_of_scale
from charter.feedback.people.next_items import Candidate
from charter.label import Label, is_right
from charter.stats.agreement import Metric, Rating
from charter.stats.intervals import square_and_add, wilson
from charter.stats.raters.exercise import exercise
from charter.stats.raters.learning_curve import extrapolate
from charter.stats.raters.plan import Spread, plan, spread_of
from charter.stats.raters.reward_curve import compare, reward_curve

LEAST_PAIRS = 40
_MOST_SHOWN = 6


def compare_rounds(
    before: Sequence[Label], after: Sequence[Label], *, scale: tuple[float, ...] = (), seed: int = 0
) -> dict[str, Any]:
    """Agreement, and accuracy on gold where there is any, before and after an exercise.

    Only raters who took part in both rounds count: else other raters, not the exercise, could be the cause.
    """
    rounds = [hear(labels, scale=scale).labels for labels in (before, after)]
    both = {label.rater for label in rounds[0]} & {label.rater for label in rounds[1]}
    rounds_of_both = [[label for label in labels if label.rater in both] for labels in rounds]
    found: dict[str, Any] = {"raters": len(both), "agreement": [], "gold": None}
    for kind in ("pair", "rating"):
        said = [of_kind(labels, kind) for labels in rounds_of_both]
        if all(said):
            values = {choice(label) for labels in said for label in labels}
            metric: Metric = "ordinal" if kind == "rating" and len(values) > 2 else "nominal"
            first, second = (_ratings(labels) for labels in said)
            found["agreement"].append({"kind": kind, **exercise(first, second, metric, seed=seed).to_json()})
    tests = [[hit for label in labels if (hit := is_right(label)) is not None] for labels in rounds_of_both]
    if all(tests):
        (k0, n0), (k1, n1) = ((sum(hits), len(hits)) for hits in tests)
        interval = square_and_add(k0 / n0, wilson(k0, n0), k1 / n1, wilson(k1, n1))
        found["gold"] = {
            "before": k0 / n0,
            "after": k1 / n1,
            "change": k1 / n1 - k0 / n0,
            "lo": interval.lo,
            "hi": interval.hi,
        }
    return found


def plans(labels: Sequence[Label], half_width: float) -> dict[str, Any]:
    """Ways to know a rate of these raters to ``half_width``, from how these labels vary.

    For ratings that carry their scale it is their mean, the scale counting from 0 to 1. For pairs it is gold
    accuracy where there is gold, else how often the first stored answer wins, which varies as any win rate
    of such raters does.
    """
    placed = [(one, share) for one in labels if (share := share_of_scale(one)) is not None]
    what, values = "mean rating", [Rating(one.rater, question(one), share) for one, share in placed]
    if not placed:
        pairs = of_kind(labels, "pair")
        tests = [label for label in pairs if label.gold is not None]
        what, values = ("gold accuracy", _hits(tests)) if tests else ("win rate", _ratings(pairs))
    try:
        spread = spread_of(values)
    except ValueError as error:
        # The widest a rate can be, and no knowledge of raters: said, so that nobody takes it for measured.
        spread, what = Spread(0.0, 0.0, 0.25), f"worst case, as {error}"
    found = plan(half_width, spread)
    return {
        "half_width": half_width,
        "of": what,
        "variance": {"item": spread.item, "rater": spread.rater, "rest": spread.rest},
        "plans": [one.to_json() for one in found[:_MOST_SHOWN]],
    }


def reward_curves(
    differences: Sequence[Candidate], labels: Sequence[Label], *, seed: int = 0
) -> dict[str, Any]:
    """How good a cheap reward head is by number of labelled pairs, chosen at random and actively.

    Args:
        differences: features of the first answer less those of the second, by item.
        labels: last words; an item's soft label is its vote share. Items with a gold value are measured
            against it, the others against most of their labels: the raters' own noise is then the ceiling.
        seed: of the split and the orders.

    Raises:
        DataError: fewer than :data:`LEAST_PAIRS` labelled pairs have features.
    """
    import numpy as np

    votes: dict[str, list[float]] = {}
    gold: dict[str, float] = {}
    for label in of_kind(labels, "pair"):
        votes.setdefault(label.item, []).append(float(choice(label) or 0.0))
        if (wanted := gold_class(label)) is not None:
            gold[label.item] = wanted
    rows = [one for one in differences if one.item in votes]
    share = {item: fmean(values) for item, values in votes.items()}
    truth = {item: gold.get(item, share[item]) for item in share}
    used = [one for one in rows if truth[one.item] != 0.5]
    if len(used) < LEAST_PAIRS:
        raise DataError(
            f"{len(used)} labelled pairs with a better answer have features; {LEAST_PAIRS} are needed",
            fix="name more items, by the ids of the labels",
        )
    x = np.array([one.features for one in used], dtype=np.float64)
    y = np.array([share[one.item] for one in used])
    t = np.array([float(truth[one.item] > 0.5) for one in used])
    most = len(used) - round(0.3 * len(used))
    sizes = sorted({max(2, round(most * part)) for part in (0.05, 0.1, 0.2, 0.4, 0.7, 1.0)})
    by_chance = reward_curve(x, y, t, sizes, seed=seed)
    active = reward_curve(x, y, t, sizes, order="active", seed=seed)
    gained = compare(active, by_chance)
    return {
        "pairs": len(used),
        "against_gold": sum(one.item in gold for one in used),
        "undecided": len(rows) - len(used),
        "without_labels": len(differences) - len(rows),
        "random": by_chance.to_json(),
        "active": active.to_json(),
        "active_less_random": [{"labels": size, **one.to_json()} for size, one in gained],
        "ahead": extrapolate(by_chance.points, 2 * most, seed=seed).to_json(),
    }


def _ratings(labels: Sequence[Label]) -> list[Rating]:
    return [Rating(one.rater, question(one), float(choice(one) or 0.0)) for one in labels]


def _hits(labels: Sequence[Label]) -> list[Rating]:
    return [Rating(one.rater, question(one), float(bool(is_right(one)))) for one in labels]
