"""How often intervals about raters hold the truth, in simulations with planted errors.

    python benchmarks/rater_coverage.py            # some minutes of one core; the same command goes on
    python benchmarks/rater_coverage.py --table    # the committed numbers as the table of docs/raters.md

Writes ``results/rater_coverage.json``: one row a measure and setting, with the planted truth, the share of
intervals that hold it, and their mean width. A part that is done is kept beside the output until all are.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import rater_parts as simulated
from rater_parts import Found

from charter.errors import CharterError, exit_code_of
from charter.interrupt import StopRequest, graceful
from charter.progress import progress
from charter.rundir import machine, now, sha256_file, versions, write_json

Row = dict[str, Any]

OUT = Path(__file__).resolve().parent / "results" / "rater_coverage.json"
LOW, HIGH = 0.93, 0.97
NOT_MEANT = "not meant"

PARTS: tuple[tuple[Callable[[int], Found], int], ...] = (
    (simulated.behaviour, 600),
    (simulated.repeats, 600),
    (simulated.late, 600),
    (simulated.times, 2000),
    (simulated.rankings, 600),
    (simulated.margins, 600),
    (simulated.strengths, 400),
    (simulated.alphas, 400),
    (simulated.gaps, 2000),
    (simulated.curve, 1000),
    (simulated.shares, 2000),
    (simulated.five_points, 200),
    (simulated.errors, 500),
    (simulated.errors_fifth_known, 200),
    (simulated.errors_two_fifths_known, 200),
)
"""What is simulated, and how often."""


def measure(part: Callable[[int], Found], runs: int, stop: StopRequest | None = None) -> list[Row]:
    """Truth, coverage and mean width of each measure of ``part``."""
    truths: dict[str, float] = {}
    held: dict[str, list[bool]] = {}
    width: dict[str, list[float]] = {}
    with progress(part.__name__, runs) as advance:
        for seed in range(runs):
            if stop is not None:
                stop.check(f"stopped in {part.__name__}", fix="the same command begins this part again")
            for name, truth, interval in part(seed):
                if interval is None:
                    raise ValueError(f"{name}: no interval in run {seed}")
                truths[name] = truth
                held.setdefault(name, []).append(interval.lo - 1e-12 <= truth <= interval.hi + 1e-12)
                width.setdefault(name, []).append(interval.hi - interval.lo)
            advance(1)
    return [
        {
            "part": part.__name__,
            "measure": name,
            "truth": round(truths[name], 4),
            "intervals": len(values),
            "coverage": round(float(np.mean(values)), 4),
            "width": round(float(np.mean(width[name])), 4),
        }
        for name, values in held.items()
    ]


def summary(rows: list[Row]) -> Row:
    """Over all measures that are meant to hold the truth."""
    values = [row["coverage"] for row in rows if NOT_MEANT not in row["measure"]]
    return {
        "measures": len(values),
        "mean": round(sum(values) / len(values), 4),
        "lowest": min(values),
        "highest": max(values),
        "within": round(sum(LOW <= value <= HIGH for value in values) / len(values), 4),
    }


def table(rows: list[Row]) -> Iterator[str]:
    """Markdown, the worst first."""
    yield "| measure | planted | held | width | intervals |"
    yield "|---|---|---|---|---|"
    for row in sorted(rows, key=lambda row: (NOT_MEANT in row["measure"], row["coverage"])):
        numbers = f"{row['truth']:.2f} | {row['coverage']:.1%} | {row['width']:.2f} | {row['intervals']}"
        yield f"| {row['measure']} | {numbers} |"


def all_rows(scale: float, kept: Path, stop: StopRequest) -> tuple[list[Row], float]:
    """The rows of every part and the seconds of CPU they took; done parts are read from ``kept``."""
    code = sha256_file(Path(simulated.__file__))
    done: dict[str, Any] = {"code": code, "parts": {}}
    if kept.is_file():
        found = json.loads(kept.read_text(encoding="utf-8"))
        done = found if found["code"] == code else done
    parts: dict[str, dict[str, Any]] = {}
    for part, share in PARTS:
        name, runs = part.__name__, max(2, round(share * scale))
        if done["parts"].get(name, {}).get("runs") != runs:
            start = time.process_time()
            rows = measure(part, runs, stop)
            took = time.process_time() - start
            done["parts"][name] = {"runs": runs, "cpu_seconds": took, "rows": rows}
            write_json(kept, done)
        parts[name] = done["parts"][name]
        for row in parts[name]["rows"]:
            print(f"{row['measure']:<60} {row['coverage']:.3f}  width {row['width']:.3f}", flush=True)
    seconds = sum(part["cpu_seconds"] for part in parts.values())
    return [row for part in parts.values() for row in part["rows"]], seconds


def main() -> None:
    """Compute what is not known, write, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="times the number of simulations")
    parser.add_argument("--output", type=Path, default=OUT)
    parser.add_argument("--table", action="store_true", help="print the output's rows, and compute nothing")
    args = parser.parse_args()
    if args.table:
        print("\n".join(table(json.loads(args.output.read_text(encoding="utf-8"))["rows"])))
        return
    kept = args.output.with_suffix(".partial.json")
    with graceful() as stop:
        rows, seconds = all_rows(args.scale, kept, stop)
    found = {
        "command": shlex.join(["python", *sys.argv]),
        "date": now(),
        "machine": machine(),
        "versions": versions(),
        "cpu_seconds": round(seconds),
        "scale": args.scale,
        "summary": summary(rows),
        "rows": rows,
    }
    write_json(args.output, found)
    kept.unlink()
    print(found["summary"])


if __name__ == "__main__":
    try:
        main()
    except CharterError as problem:
        print(f"error: {problem}", file=sys.stderr)
        raise SystemExit(exit_code_of(problem)) from None
