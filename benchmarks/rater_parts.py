"""Simulations of raters with planted errors: each part yields what was planted, and the interval found.

Raters and items are those of ``charter.testing.raters``, or are drawn here where the truth must be known
exactly.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from charter.feedback.people.consensus import consensus
from charter.feedback.people.gold_curve import confidence_on_gold
from charter.feedback.people.heard import choice, hear, question
from charter.feedback.people.rater_row import RaterRow, rater_row
from charter.label import Label
from charter.stats.agreement import Rating, krippendorff_alpha
from charter.stats.intervals import Interval
from charter.stats.raters.dawid_skene import dawid_skene
from charter.stats.raters.error_intervals import rater_errors
from charter.stats.raters.exercise import exercise
from charter.stats.raters.groups import group_gaps
from charter.stats.raters.learning_curve import majority_curve
from charter.stats.raters.measure import mean_of, quantiles_of
from charter.stats.raters.noisy_bradley_terry import Comparison, noisy_bradley_terry
from charter.testing.raters import RaterStudy, SimulatedRater, simulated_items

Found = Iterator[tuple[str, float, Interval | None]]
"""Of one simulation: measure, planted truth, interval."""


def behaviour(seed: int, n: int = 150) -> Found:
    """The measures of one rater's labels, beside two others who are right in nine of ten."""
    rater = SimulatedRater("x", 0.8, position=0.2, length=0.1, suggestion=0.3)
    others = [SimulatedRater(f"o{i}", 0.9) for i in range(2)]
    items = simulated_items(n, gold=1.0, suggested=0.5, seed=seed)
    labels = RaterStudy([rater, *others], items, repeats=0.3, seed=seed + 10**6).labels()
    row = _row(labels, "x")
    # What it thinks about is right in 0.8; the rest falls on either side by a coin.
    free = 0.8 * 0.9 * 0.8 + (0.2 + 0.8 * 0.1) * 0.5
    shown = 0.3 * 0.5 + 0.7 * free
    gold = 0.5 * shown + 0.5 * free
    yield "gold accuracy", gold, row.gold.interval
    # A suggestion is as often on either side, and so takes its share of sides and lengths away.
    thinks = 0.5 * 1.0 + 0.5 * 0.7
    yield "P(first)", 0.5 + thinks * 0.2 / 2, row.first.interval
    yield "P(longer)", 0.5 + thinks * 0.8 * 0.1 / 2, row.longer.interval
    # The others take the longer in half: nothing is planted in them.
    yield "longer than others", thinks * 0.8 * 0.1 / 2, row.longer_than_others.interval
    yield "suggestions followed", 0.3 + 0.7 * 0.5, row.followed.interval
    yield "pull of suggestions", 0.3 * 0.5, _pull(labels)
    yield "agreement", gold * 0.9 + (1 - gold) * 0.1, row.agreement.interval


def _pull(labels: list[Label]) -> Interval | None:
    """Others' labels without a suggestion are needed: theirs are shown none here."""
    plain = [
        one if one.rater == "x" else replace(one, suggestion=None) for one in labels if not one.repeat_of
    ]
    return _row(plain, "x").pull.interval


def _row(labels: list[Label], rater: str) -> RaterRow:
    heard = hear(labels)
    table: dict[Any, list[tuple[Label, float]]] = {}
    for label in heard.labels:
        if (value := choice(label)) is not None:
            table.setdefault(question(label), []).append((label, value))
    return rater_row(rater, heard, table, bar=0.7)


def repeats(seed: int) -> Found:
    """Right in 0.8: the same answer twice in 0.68."""
    labels = RaterStudy(
        [SimulatedRater("x", 0.8)], simulated_items(100, seed=seed), repeats=1.0, seed=seed + 7
    )
    yield "repeat consistency", 0.8**2 + 0.2**2, _row(labels.labels(), "x").repeats.interval


def late(seed: int) -> Found:
    """Agreement with one other rater who is always right: 0.85 in the first half, 0.65 in the second."""
    raters = [SimulatedRater("x", 0.95, fatigue=0.4), SimulatedRater("o", 1.0)]
    labels = RaterStudy(raters, simulated_items(200, seed=seed), seed=seed + 7).labels()
    yield "late less early", -0.4 * 100 / 199, _row(labels, "x").late.interval


def times(seed: int) -> Found:
    """Log-normal times with median 20."""
    rng = np.random.default_rng(seed)
    yield "median time", 20.0, quantiles_of((20 * np.exp(0.5 * rng.standard_normal(80))).tolist()).interval


def errors(seed: int, n: int = 200, known: float = 0.0, words: str = "") -> Found:
    """Dawid-Skene: accuracies, and the cells of a rater who misses one class; a share of items known."""
    rng = np.random.default_rng(seed)
    truth = rng.random(n) < 0.4
    tables = [[[0.9, 0.1], [0.35, 0.65]], *[[[p, 1 - p], [1 - p, p]] for p in (0.95, 0.85, 0.75, 0.6)]]
    said = [
        Rating(r, i, float(rng.random() < table[int(truth[i])][1]))
        for r, table in enumerate(tables)
        for i in range(n)
        if rng.random() < 0.8
    ]
    told = {i: float(truth[i]) for i in range(n) if known and rng.random() < known}
    found = rater_errors(dawid_skene(said, known=told), draws=100, seed=seed)
    for r, table in enumerate(tables):
        right = 0.6 * table[0][0] + 0.4 * table[1][1]
        yield f"Dawid-Skene accuracy {right:.2f}{words}", right, found[r].accuracy.interval
    yield f"Dawid-Skene cell, frequent class{words}", 0.9, found[0].intervals[0][0]
    yield f"Dawid-Skene cell, rare class{words}", 0.65, found[0].intervals[1][1]


def errors_fifth_known(seed: int) -> Found:
    """The same with a fifth of the items gold."""
    return errors(seed, known=0.2, words=", a fifth known")


def errors_two_fifths_known(seed: int) -> Found:
    """The same with two fifths of the items gold."""
    return errors(seed, known=0.4, words=", two fifths known")


def five_points(seed: int) -> Found:
    """Ratings from 1 to 5: right by the half of the scale in 0.85, and half of them one step from the end."""
    raters = [SimulatedRater("x", 0.85, timid=0.5), *(SimulatedRater(f"o{i}", 0.9) for i in range(3))]
    items = simulated_items(150, kind="rating", scale=(1, 5), gold=0.4, seed=seed)
    labels = RaterStudy(raters, items, seed=seed + 10**6).labels()
    yield "gold accuracy, five-point ratings", 0.85, _row(labels, "x").gold.interval
    found = consensus(labels, "rating", draws=100, seed=seed)
    yield "Dawid-Skene accuracy, five-point ratings", 0.85, found.errors["x"].accuracy.interval


def rankings(seed: int) -> Found:
    """Rankings of five answers: no BAD one above a GOOD one in 0.8."""
    items = simulated_items(80, kind="ranking", ranked=5, gold=1.0, seed=seed)
    labels = RaterStudy([SimulatedRater("x", 0.8)], items, seed=seed + 10**6).labels()
    yield "gold accuracy, rankings", 0.8, _row(labels, "x").gold.interval


def margins(seed: int) -> Found:
    """Right in 0.8; a margin of 2 on half of what is right and a tenth of what is wrong."""
    rater = SimulatedRater("x", 0.8, strong=0.5, strong_wrong=0.1)
    items = simulated_items(150, gold=1.0, seed=seed)
    said = confidence_on_gold(RaterStudy([rater], items, seed=seed + 10**6).labels())
    for margin, truth in ((1.0, 0.4 / 0.58), (2.0, 0.4 / 0.42)):
        (one,) = [row for row in said if row["margin"] == margin]
        yield f"gold accuracy at margin {margin:g}", truth, Interval(one["lo"], one["hi"])


STRENGTH = {"a": 1.0, "b": 0.2, "c": -0.3, "d": -0.9}


def strengths(seed: int, n: int = 600) -> Found:
    """Noisy Bradley-Terry: a good, a fair and a guessing rater."""
    rng = np.random.default_rng(seed)
    trust = {"good": 0.95, "fair": 0.75, "guesses": 0.2}
    rows = []
    for i in range(n):
        first, second = (str(one) for one in rng.choice(list(STRENGTH), 2, replace=False))
        rater = list(trust)[i % 3]
        read = 1 / (1 + np.exp(STRENGTH[second] - STRENGTH[first]))
        chance = read if rng.random() < trust[rater] else 0.7
        rows.append(Comparison(rater, first, second, float(rng.random() < chance), i))
    noisy = noisy_bradley_terry(rows)
    for name, strength in STRENGTH.items():
        yield f"noisy Bradley-Terry strength {strength:+.1f}", strength, noisy.intervals[name]
    plain = noisy_bradley_terry([row for row in rows if row.rater == "good"], raters=False)
    shrunk = plain.intervals["a"]
    yield (
        "plain Bradley-Terry on noisy raters (not meant to hold)",
        STRENGTH["a"],
        (noisy_bradley_terry(rows, raters=False).intervals["a"] if shrunk else None),
    )


def alphas(seed: int) -> Found:
    """Four raters, each right in 0.85, on 100 items, of which 60 are of the first class."""
    rng = np.random.default_rng(seed)
    marked, same = 0.6 * 0.85 + 0.4 * 0.15, 0.85**2 + 0.15**2
    truth = 1 - (1 - same) / (2 * marked * (1 - marked))

    def ratings() -> list[Rating]:
        good = rng.random(100) < 0.6
        said = np.where(rng.random((4, 100)) < 0.85, good, ~good)
        return [Rating(r, i, float(v)) for r, row in enumerate(said) for i, v in enumerate(row)]

    first, second = ratings(), ratings()
    yield "alpha", truth, krippendorff_alpha(first, resamples=500, seed=seed).interval
    yield "change of alpha", 0.0, exercise(first, second, seed=seed).interval


def gaps(seed: int) -> Found:
    """Groups of eight and twelve raters whose accuracy differs by 0.1, each with 40 tests."""
    rng = np.random.default_rng(seed)
    rates = {f"a{i}": rng.binomial(40, np.clip(rng.normal(0.85, 0.05), 0, 1)) / 40 for i in range(8)}
    rates |= {f"b{i}": rng.binomial(40, np.clip(rng.normal(0.75, 0.05), 0, 1)) / 40 for i in range(12)}
    yield "group gap", 0.1, group_gaps(rates, {name: name[0] for name in rates})[0].interval


def curve(seed: int) -> Found:
    """Majorities of one, three and five of seven labels, each right in 0.75."""
    rng = np.random.default_rng(seed)
    points = majority_curve([(int(k), 7) for k in rng.binomial(7, 0.75, 150)])
    for k, truth in ((1, 0.75), (3, 0.84375), (5, 0.896484375)):
        yield f"majority of {k}", truth, points[k - 1].accuracy.interval


def shares(seed: int) -> Found:
    """Means of values between 0 and 1: each item the mean of three coins."""
    rng = np.random.default_rng(seed)
    yield "mean of item means", 0.9, mean_of((rng.binomial(3, 0.9, 80) / 3).tolist()).interval
