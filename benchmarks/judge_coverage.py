"""How often intervals of judged rates hold the truth, in simulations with planted errors.

    python benchmarks/judge_coverage.py        # under three minutes of one core

Writes ``results/judge_coverage.json``. Three parts: the corrected rate over a grid of true rates, judges,
answers and labels, beside Wilson's interval of the raw rate; prediction-powered rates beside the labels
alone; kappa and alpha, alpha beside the usual bootstrap over pairs of ratings.
"""

from __future__ import annotations

import argparse
import shlex
import sys
import time
from collections.abc import Callable, Iterable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from charter.rundir import machine, now, versions, write_json
from charter.stats import wilson
from charter.stats.agreement import Rating, krippendorff_alpha
from charter.stats.judge_rate import JudgeErrors, corrected_rate
from charter.stats.kappa import cohen_kappa, fleiss_kappa
from charter.stats.prediction_powered import prediction_powered_mean, prediction_powered_rate

Row = dict[str, Any]
OUT = Path(__file__).resolve().parent / "results" / "judge_coverage.json"

RATES = (0.05, 0.1, 0.3, 0.5, 0.7, 0.9, 0.95)
SENSITIVITIES = SPECIFICITIES = (0.7, 0.8, 0.9)
ANSWERS, LABELS = (100, 400), (30, 60, 200)
LEVEL, LOW, HIGH = 0.95, 0.93, 0.97


def corrected(runs: int) -> list[Row]:
    """One row a cell: coverage and mean width of the corrected and of the raw interval."""
    cells = product(RATES, SENSITIVITIES, SPECIFICITIES, ANSWERS, LABELS)
    return [_corrected(number, runs, *cell) for number, cell in enumerate(cells)]


def _corrected(seed: int, runs: int, rate: float, q1: float, q0: float, n: int, labels: int) -> Row:
    rng = np.random.default_rng(seed)
    good = labels // 2
    bad = labels - good
    drawn = np.stack(
        (
            rng.binomial(n, rate * q1 + (1 - rate) * (1 - q0), runs),
            rng.binomial(good, q1, runs),
            rng.binomial(bad, 1 - q0, runs),
        ),
        axis=1,
    )
    held = width = raw = unknown = 0.0
    distinct, times = np.unique(drawn, axis=0, return_counts=True)
    for (passed, right, slipped), many in zip(distinct.tolist(), times.tolist(), strict=True):
        found = corrected_rate(passed, n, JudgeErrors(good, right, bad, slipped), LEVEL)
        held += many * (found.interval.lo <= rate <= found.interval.hi)
        width += many * (found.interval.hi - found.interval.lo)
        raw += many * (found.raw_interval.lo <= rate <= found.raw_interval.hi)
        unknown += many * (found.status != "identified")
    setting = {"rate": rate, "sensitivity": q1, "specificity": q0, "answers": n, "labels": labels}
    shares = {"coverage": held, "width": width, "raw_coverage": raw, "no_estimate": unknown}
    return {**setting, **{name: round(value / runs, 4) for name, value in shares.items()}}


def powered(runs: int) -> list[Row]:
    """One row a cell: the beta interval for rates, the t interval, and the labels alone."""
    cells = product((0.1, 0.3, 0.5, 0.9, 0.95), (0.7, 0.9), (0.7, 0.9), (30, 100), (300,))
    return [_powered(number, runs, *cell) for number, cell in enumerate(cells)]


def _powered(seed: int, runs: int, rate: float, q1: float, q0: float, labels: int, n: int) -> Row:
    rng = np.random.default_rng(seed)
    names = ("coverage", "width", "t_coverage", "labels_coverage", "labels_width")
    sums = dict.fromkeys(names, 0.0)
    for run in range(runs):
        good = rng.random(labels + n) < rate
        passed = rng.random(labels + n) < np.where(good, q1, 1 - q0)
        y, f, rest = good[:labels], passed[:labels], passed[labels:]
        found = prediction_powered_rate(y.tolist(), f.tolist(), int(rest.sum()), n, seed=run, draws=1000)
        mean = prediction_powered_mean(y, f, rest)
        alone = wilson(int(y.sum()), labels)
        sums["coverage"] += _holds(found.interval, rate)
        sums["width"] += found.interval.hi - found.interval.lo
        sums["t_coverage"] += _holds(mean.interval, rate)
        sums["labels_coverage"] += _holds(alone, rate)
        sums["labels_width"] += alone.hi - alone.lo
    setting = {"rate": rate, "sensitivity": q1, "specificity": q0, "labels": labels, "unlabelled": n}
    return {**setting, **{name: round(value / runs, 4) for name, value in sums.items()}}


def agreement(runs: int) -> list[Row]:
    """Cohen's and Fleiss' kappa and Krippendorff's alpha of raters who err at a known rate."""
    return [_agreement(number, runs, *cell) for number, cell in enumerate(product((30, 100), (0.8, 0.9)))]


def _agreement(seed: int, runs: int, items: int, right: float) -> Row:
    from evalica import alpha_bootstrap
    from pandas import DataFrame

    rng = np.random.default_rng(seed)
    rate, raters = 0.6, 4
    marked = rate * right + (1 - rate) * (1 - right)
    same = right * right + (1 - right) ** 2
    truth = 1 - (1 - same) / (2 * marked * (1 - marked))
    tests: dict[str, Callable[[Any], Any]] = {
        "cohen": lambda said: cohen_kappa(said[0].tolist(), said[1].tolist()).interval,
        "fleiss": lambda said: fleiss_kappa([{0: raters - k, 1: k} for k in said.sum(0).tolist()]).interval,
        "alpha": lambda said: krippendorff_alpha(list(_ratings(said)), resamples=500).interval,
        "alpha_over_pairs": lambda said: _ends(
            alpha_bootstrap(DataFrame(said), n_resamples=500, random_state=0)
        ),
    }
    held = dict.fromkeys(tests, 0)
    for _ in range(runs):
        good = rng.random(items) < rate
        said = np.where(rng.random((raters, items)) < right, good, ~good).astype(float)
        for name, test in tests.items():
            held[name] += _holds(test(said), truth)
    return {"items": items, "right": right, "truth": round(truth, 4)} | {
        name: round(value / runs, 4) for name, value in held.items()
    }


def _ratings(said: Any) -> Iterable[Rating]:
    return (Rating(who, item, float(value)) for who, row in enumerate(said) for item, value in enumerate(row))


def _ends(found: Any) -> tuple[float, float]:
    return found.low, found.high


def _holds(interval: tuple[float, float], truth: float) -> bool:
    return bool(interval[0] <= truth <= interval[1])


def summary(rows: list[Row], key: str = "coverage") -> Row:
    """Mean, extremes, and the share of cells in 93 to 97%."""
    values = [row[key] for row in rows]
    return {
        "cells": len(values),
        "mean": round(sum(values) / len(values), 4),
        "lowest": min(values),
        "highest": max(values),
        "within": round(sum(LOW <= value <= HIGH for value in values) / len(values), 4),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=800, help="simulations of a cell")
    parser.add_argument("--output", type=Path, default=OUT)
    args = parser.parse_args()
    start = time.process_time()
    rows = corrected(args.runs)
    # The example of the documentation: a good model, and a judge that passes nine good answers of ten.
    example = _corrected(0, 4 * args.runs, 0.95, 0.9, 0.8, 200, 120)
    rates, raters = powered(args.runs), agreement(args.runs // 2)
    by_labels = {str(n): summary([row for row in rows if row["labels"] == n]) for n in LABELS}
    found = {
        "command": shlex.join(["python", *sys.argv]),
        "date": now(),
        "machine": machine(),
        "versions": versions(),
        "cpu_seconds": round(time.process_time() - start),
        "runs": args.runs,
        "summary": {
            "corrected": summary(rows),
            "corrected_by_labels": by_labels,
            "raw": summary(rows, "raw_coverage"),
            "powered": summary(rates),
            "powered_t": summary(rates, "t_coverage"),
            "example": example,
        },
        "corrected": rows,
        "powered": rates,
        "agreement": raters,
    }
    write_json(args.output, found)
    for name, value in {**found["summary"], "labels": by_labels, "agreement": raters}.items():
        print(name, value)
    print(f"{found['cpu_seconds']} s of one core")


if __name__ == "__main__":
    main()
