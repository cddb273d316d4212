"""How often intervals about raters hold the truth, in simulations with planted errors.

    python benchmarks/rater_coverage.py        # about ten minutes of one core

Writes ``results/rater_coverage.json``: one row a measure and setting, with the planted truth, the share of
intervals that hold it, and their mean width. Raters and items are those of ``charter.testing.raters``, or are
drawn here where the truth must be known exactly.
"""

from __future__ import annotations

import argparse
import shlex
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from charter.feedback.people.heard import choice, hear, question
from charter.feedback.people.rater_row import RaterRow, rater_row
from charter.label import Label
from charter.rundir import machine, now, versions, write_json
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

Row = dict[str, Any]
Found = Iterator[tuple[str, float, Interval | None]]
"""Of one simulation: measure, planted truth, interval."""

OUT = Path(__file__).resolve().parent / "results" / "rater_coverage.json"
LOW, HIGH = 0.93, 0.97


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
    from dataclasses import replace

    plain = [
        one if one.rater == "x" else replace(one, suggestion=None) for one in labels if not one.repeat_of
    ]
    return _row(plain, "x").pull.interval


def _row(labels: list[Label], rater: str) -> RaterRow:
    heard = hear(labels)
    table: dict[Any, list[tuple[Label, float]]] = {}
    for label in heard.labels:
        table.setdefault(question(label), []).append((label, float(choice(label) or 0.0)))
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


def errors(seed: int, n: int = 200) -> Found:
    """Dawid-Skene: accuracies, and the cells of a rater who misses one class."""
    rng = np.random.default_rng(seed)
    truth = rng.random(n) < 0.4
    tables = [[[0.9, 0.1], [0.35, 0.65]], *[[[p, 1 - p], [1 - p, p]] for p in (0.95, 0.85, 0.75, 0.6)]]
    said = [
        Rating(r, i, float(rng.random() < table[int(truth[i])][1]))
        for r, table in enumerate(tables)
        for i in range(n)
        if rng.random() < 0.8
    ]
    found = rater_errors(dawid_skene(said), draws=100, seed=seed)
    for r, table in enumerate(tables):
        right = 0.6 * table[0][0] + 0.4 * table[1][1]
        yield f"Dawid-Skene accuracy {right:.2f}", right, found[r].accuracy.interval
    yield "Dawid-Skene cell, frequent class", 0.9, found[0].intervals[0][0]
    yield "Dawid-Skene cell, rare class", 0.65, found[0].intervals[1][1]


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
        yield "noisy Bradley-Terry strength", strength, noisy.intervals[name]
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


PARTS: tuple[tuple[Callable[[int], Found], int], ...] = (
    (behaviour, 600),
    (repeats, 600),
    (late, 600),
    (times, 2000),
    (errors, 500),
    (strengths, 400),
    (alphas, 400),
    (gaps, 2000),
    (curve, 1000),
    (shares, 2000),
)


def measure(part: Callable[[int], Found], runs: int) -> list[Row]:
    """Coverage and mean width of each measure of ``part``."""
    held: dict[str, list[bool]] = {}
    width: dict[str, list[float]] = {}
    for seed in range(runs):
        for name, truth, interval in part(seed):
            if interval is None:
                raise ValueError(f"{name}: no interval in run {seed}")
            held.setdefault(name, []).append(interval.lo - 1e-12 <= truth <= interval.hi + 1e-12)
            width.setdefault(name, []).append(interval.hi - interval.lo)
    return [
        {
            "part": part.__name__,
            "measure": name,
            "intervals": len(values),
            "coverage": round(float(np.mean(values)), 4),
            "width": round(float(np.mean(width[name])), 4),
        }
        for name, values in held.items()
    ]


def summary(rows: list[Row]) -> Row:
    """Over all measures that are meant to hold the truth."""
    values = [row["coverage"] for row in rows if "not meant" not in row["measure"]]
    return {
        "measures": len(values),
        "mean": round(sum(values) / len(values), 4),
        "lowest": min(values),
        "highest": max(values),
        "within": round(sum(LOW <= value <= HIGH for value in values) / len(values), 4),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="times the number of simulations")
    parser.add_argument("--output", type=Path, default=OUT)
    args = parser.parse_args()
    start = time.process_time()
    rows = []
    for part, runs in PARTS:
        rows += measure(part, max(2, round(runs * args.scale)))
        for row in rows:
            if row["part"] == part.__name__:
                print(f"{row['measure']:<60} {row['coverage']:.3f}  width {row['width']:.3f}", flush=True)
    found = {
        "command": shlex.join(["python", *sys.argv]),
        "date": now(),
        "machine": machine(),
        "versions": versions(),
        "cpu_seconds": round(time.process_time() - start),
        "scale": args.scale,
        "summary": summary(rows),
        "rows": rows,
    }
    write_json(args.output, found)
    print(found["summary"])


if __name__ == "__main__":
    main()
