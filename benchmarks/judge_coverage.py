"""How often intervals of judged rates hold the truth, in simulations with planted errors.

    python benchmarks/judge_coverage.py        # about six minutes of one core

Writes ``results/judge_coverage.json``. Parts: ``corrected``, the corrected rate over a grid of true rates,
judges, answers and labels, beside Wilson's interval of the raw rate; ``clustered``, the same with several
labels a prompt, beside intervals that take them for independent; ``powered``, prediction-powered rates beside
the labels alone; ``agreement``, kappa and alpha, alpha beside the usual bootstrap over pairs of ratings;
``joint``, levels of several judged principles; ``plans``, how often what a plan asks for decides. Finished
cells are kept under ``--cache``, so the same command continues an interrupted run.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from common import RESULTS, cache_folder
from judge_joint import SLOW, STUDIES, joint_cell, joint_settings, plan_cell
from kept_cells import Kept

from charter.errors import CharterError, exit_code_of
from charter.interrupt import graceful
from charter.progress import progress
from charter.rundir import machine, now, sha256_file, sha256_json, versions, write_json
from charter.stats import wilson
from charter.stats.agreement import Rating, krippendorff_alpha
from charter.stats.judge_rate import JudgeErrors, corrected_rate
from charter.stats.kappa import cohen_kappa
from charter.stats.prediction_powered import prediction_powered_rate

Row = dict[str, Any]
Cell = Callable[[], Row]
OUT = RESULTS / "judge_coverage.json"
SOURCE = Path(__file__).resolve().parents[1] / "src" / "charter"

RATES = (0.05, 0.1, 0.3, 0.5, 0.7, 0.9, 0.95)
SENSITIVITIES = SPECIFICITIES = (0.7, 0.8, 0.9)
ANSWERS, LABELS = (100, 400), (30, 60, 200)
LEVEL, LOW, HIGH = 0.95, 0.93, 0.97


def parts(runs: int) -> dict[str, list[tuple[Any, Cell]]]:
    """Of each part its cells: what decides a cell, and how it is computed."""
    grid = product(RATES, SENSITIVITIES, SPECIFICITIES, ANSWERS, LABELS)
    labelled = product((20, 60), (2, 4), (0.0, 0.3, 0.7))
    rates = product((0.1, 0.3, 0.5, 0.9, 0.95), (0.7, 0.9), (0.7, 0.9), (30, 100), (300,))
    raters = product((30, 100), (0.8, 0.9))
    found: dict[str, list[tuple[Any, Cell]]] = {
        "corrected": [(cell, partial(_corrected, i, runs, *cell)) for i, cell in enumerate(grid)],
        "clustered": [(cell, partial(_clustered, i, runs, *cell)) for i, cell in enumerate(labelled)],
        "powered": [(cell, partial(_powered, i, runs, *cell)) for i, cell in enumerate(rates)],
        "agreement": [(cell, partial(_agreement, i, runs // 2, *cell)) for i, cell in enumerate(raters)],
        "joint": [(cell, partial(joint_cell, i, runs, cell)) for i, cell in enumerate(joint_settings())],
        "plans": [
            (name, partial(plan_cell, i, int(runs * SLOW.get(name, 1.0)), name))
            for i, name in enumerate(STUDIES)
        ],
    }
    # The example of the documentation: a good model, and a judge that passes nine good answers of ten.
    example = (0.95, 0.9, 0.8, 200, 120)
    found["example"] = [(example, partial(_corrected, 0, 4 * runs, *example))]
    return found


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


def _clustered(seed: int, runs: int, prompts: int, answers: int, alike: float) -> Row:
    """Labels of several answers a prompt, as many prompts of good as of bad ones.

    ``alike``: the intraclass correlation of the judge's verdicts on a prompt's answers of one kind.
    """
    rng = np.random.default_rng([seed, 3])
    rate, q1, q0, n = 0.8, 0.85, 0.8, 300
    sums = dict.fromkeys(("coverage", "as_independent", "sensitivity", "sensitivity_as_independent"), 0.0)
    for _ in range(runs):
        good, bad = (alike_verdicts(rng, prompts, answers, share, alike) for share in (q1, 1 - q0))
        errors = JudgeErrors.of(good, bad)
        alone = JudgeErrors(prompts * answers, sum(map(sum, good)), prompts * answers, sum(map(sum, bad)))
        passed = int(rng.binomial(n, rate * q1 + (1 - rate) * (1 - q0)))
        for name, one in (("coverage", errors), ("as_independent", alone)):
            sums[name] += _holds(corrected_rate(passed, n, one, LEVEL).interval, rate)
        sums["sensitivity"] += _holds(errors.sensitivity_interval(LEVEL), q1)
        sums["sensitivity_as_independent"] += _holds(alone.sensitivity_interval(LEVEL), q1)
    setting = {"prompts": prompts, "answers": answers, "alike": alike}
    return {**setting, **{name: round(value / runs, 4) for name, value in sums.items()}}


def alike_verdicts(
    rng: np.random.Generator, prompts: int, answers: int, share: float, alike: float
) -> list[list[float]]:
    """Verdicts of each prompt; its own chance of passing is beta distributed around ``share``."""
    if alike == 0.0:
        chances = np.full(prompts, share)
    else:
        size = 1 / alike - 1
        chances = rng.beta(share * size, (1 - share) * size, prompts)
    found: list[list[float]] = (rng.random((prompts, answers)) < chances[:, None]).astype(float).tolist()
    return found


def _powered(seed: int, runs: int, rate: float, q1: float, q0: float, labels: int, n: int) -> Row:
    """The beta interval for rates, the usual t interval, and the labels alone."""
    rng = np.random.default_rng(seed)
    names = ("coverage", "width", "t_coverage", "labels_coverage", "labels_width")
    sums = dict.fromkeys(names, 0.0)
    for run in range(runs):
        good = rng.random(labels + n) < rate
        passed = rng.random(labels + n) < np.where(good, q1, 1 - q0)
        y, f, rest = good[:labels], passed[:labels], passed[labels:]
        found = prediction_powered_rate(y.tolist(), f.tolist(), int(rest.sum()), n, seed=run, draws=1000)
        alone = wilson(int(y.sum()), labels)
        sums["coverage"] += _holds(found.interval, rate)
        sums["width"] += found.interval.hi - found.interval.lo
        sums["t_coverage"] += _holds(_t_interval(y.astype(float), f.astype(float), rest.astype(float)), rate)
        sums["labels_coverage"] += _holds(alone, rate)
        sums["labels_width"] += alone.hi - alone.lo
    setting = {"rate": rate, "sensitivity": q1, "specificity": q0, "labels": labels, "unlabelled": n}
    return {**setting, **{name: round(value / runs, 4) for name, value in sums.items()}}


def _t_interval(y: Any, f: Any, rest: Any) -> tuple[float, float]:
    """PPI++ with its t interval (2311.01453, equation 6): what is usual for means."""
    from scipy.stats import t

    spread = float(np.var(f, ddof=1))
    slope = float(np.cov(y, f)[0, 1]) / spread if spread > 0 else 0.0
    weight = min(1.0, max(0.0, slope / (1 + y.size / rest.size)))
    left = y - weight * f
    everything = float(np.var(np.concatenate((f, rest)), ddof=1))
    variance = weight**2 * everything / rest.size + float(left.var(ddof=1)) / y.size
    estimate = weight * float(rest.mean()) + float(left.mean())
    half = float(t.ppf(0.5 + LEVEL / 2, y.size - 1)) * variance**0.5
    return estimate - half, estimate + half


def _agreement(seed: int, runs: int, items: int, right: float) -> Row:
    """Cohen's kappa and Krippendorff's alpha of raters who err at a known rate."""
    from evalica import alpha_bootstrap
    from pandas import DataFrame

    rng = np.random.default_rng(seed)
    rate, raters = 0.6, 4
    marked = rate * right + (1 - rate) * (1 - right)
    same = right * right + (1 - right) ** 2
    truth = 1 - (1 - same) / (2 * marked * (1 - marked))
    tests: dict[str, Callable[[Any], Any]] = {
        "cohen": lambda said: cohen_kappa(said[0].tolist(), said[1].tolist()).interval,
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


def summaries(rows: Mapping[str, list[Row]]) -> Row:
    """What the documentation quotes."""
    corrected, joint = rows["corrected"], rows["joint"]
    apart = [row for row in joint if not row["errors_together"]]
    return {
        "corrected": summary(corrected),
        "corrected_by_labels": {
            str(n): summary([row for row in corrected if row["labels"] == n]) for n in LABELS
        },
        "raw": summary(corrected, "raw_coverage"),
        "clustered": summary(rows["clustered"]),
        "clustered_as_independent": summary(rows["clustered"], "as_independent"),
        "powered": summary(rows["powered"]),
        "powered_t": summary(rows["powered"], "t_coverage"),
        "joint": summary(apart),
        "joint_raw": summary(apart, "raw_coverage"),
        "joint_by_errors_together": {
            str(share): summary([row for row in joint if row["errors_together"] == share])
            for share in sorted({row["errors_together"] for row in joint} - {0.0})
        },
        "example": rows["example"][0],
    }


def code() -> str:
    """Sha of everything that decides a cell."""
    here = Path(__file__).resolve()
    files = [
        *(SOURCE / "stats").glob("*.py"),
        SOURCE / "evaluation" / "joint.py",
        SOURCE / "evaluation" / "planning.py",
        here,
        here.with_name("judge_joint.py"),
    ]
    return sha256_json([sha256_file(one) for one in sorted(files)])


def main() -> None:
    """Compute what is not known, write, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=800, help="simulations of a cell")
    parser.add_argument(
        "--only", action="append", help="this part alone; repeat it; the others stay as written"
    )
    parser.add_argument("--cache", type=Path, default=cache_folder("judge-coverage"))
    parser.add_argument("--output", type=Path, default=OUT)
    args = parser.parse_args()
    cells = parts(args.runs)
    kept = Kept(args.cache / "cells.jsonl", code())
    rows: dict[str, list[Row]] = {}
    seconds: dict[str, float] = {}
    with graceful() as stop:
        for name in cells:
            found = []
            with progress(name, len(cells[name])) as advance:
                for what, compute in cells[name]:
                    stop.check("stopped between cells", fix="the same command continues")
                    found.append(kept.row([name, args.runs, what], compute))
                    advance(1)
            rows[name], seconds[name] = [row for row, _ in found], round(sum(took for _, took in found), 1)
    said = {
        "command": shlex.join(["python", *sys.argv]),
        "date": now(),
        "machine": machine(),
        "versions": versions(),
        "cpu_seconds": round(sum(seconds.values())),
        "seconds_by_part": seconds,
        "runs": args.runs,
        "summary": summaries(rows),
        **rows,
    }
    write_json(args.output, said)
    shown = {
        **said["summary"],
        "agreement": rows["agreement"],
        "joint": rows["joint"],
        "plans": rows["plans"],
    }
    for name, value in shown.items():
        print(name, value)
    print(f"{said['cpu_seconds']} s of one core: {seconds}")


if __name__ == "__main__":
    try:
        main()
    except CharterError as problem:
        print(f"error: {problem}", file=sys.stderr)
        raise SystemExit(exit_code_of(problem)) from None
