"""What a step of each method of the offline study costs: seconds and memory, each in a fresh process.

Apart from the outcomes, which do not depend on what else the machine does; this does, so it wants an
idle one. Rounds go through the methods in turn, forwards and backwards, so that a slow minute does not
fall on one method.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from study_parts import Row, circumstances, memory_mib, read_cell
from study_plan import Cell, compared

from charter.rundir import write_json

STEPS = 5
"""Steps timed; one more before them is not."""


@dataclass(frozen=True, slots=True)
class Timing:
    """A few steps of one method, in one round."""

    algorithm: str
    round: int

    @property
    def name(self) -> str:
        """``time:ALGORITHM:ROUND``."""
        return f"time:{self.algorithm}:{self.round}"

    def file(self, cache: Path) -> Path:
        """Where its result is kept."""
        return cache / "times" / f"{self.algorithm}_{self.round}.json"


def parse_timing(name: str) -> Timing:
    """The timing called ``time:dpo:0``."""
    _, algorithm, number = name.split(":")
    return Timing(algorithm, int(number))


def timings(rounds: int) -> list[Timing]:
    """Every method once a round, every other round backwards."""
    methods = [entry.name for entry in compared()]
    return [Timing(name, number) for number in range(rounds) for name in methods[:: -1 if number % 2 else 1]]


def run_timing(timing: Timing, args: argparse.Namespace) -> None:
    """Train a few steps and keep their seconds and the process's peak memory."""
    from study_cell import reference_file, training_options

    import charter
    from charter.catalogue import ENTRIES
    from charter.models.reference import CACHE_FILE

    cache = Path(args.cache)
    cell, entry = Cell(timing.algorithm, None, 0), ENTRIES[timing.algorithm]
    work = cache / "work" / timing.name.replace(":", "_")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    if (known := reference_file(entry, cache)).exists():  # scored once for all: not part of a step
        shutil.copy(known, work / CACHE_FILE)
    policy = charter.load(args.model)
    options = {**training_options(cell, args), "max_steps": STEPS + 1}
    charter.train(timing.algorithm, policy, cache / f"{entry.data}.jsonl", output_dir=work, **options)
    steps = [json.loads(line) for line in (work / "metrics.jsonl").read_text("utf-8").splitlines()]
    result = {
        "algorithm": timing.algorithm,
        "round": timing.round,
        "step_seconds": [step["seconds"] for step in steps[1:]],
        "memory_mib": memory_mib(),
        "load": os.getloadavg()[0],
        **circumstances(),
    }
    timing.file(cache).parent.mkdir(parents=True, exist_ok=True)
    write_json(timing.file(cache), result)
    shutil.rmtree(work)


def costs(cache: Path) -> dict[str, Row]:
    """By method: seconds of the same few steps with their range over rounds, and memory.

    ``seconds`` is the mean of a step, its median over rounds; methods not timed are not there.
    """
    rounds: dict[str, list[Row]] = {}
    for file in sorted((cache / "times").glob("*.json")):
        row = read_cell(file)
        rounds.setdefault(row["algorithm"], []).append(row)
    return {name: _cost(rows) for name, rows in rounds.items()}


def _cost(rows: Sequence[Row]) -> Row:
    means = [statistics.fmean(row["step_seconds"]) for row in rows]
    memory = [row["memory_mib"] for row in rows]
    return {
        "rounds": len(rows),
        "seconds": [statistics.median(means), min(means), max(means)],
        "memory_mib": [statistics.median(memory), min(memory), max(memory)],
    }
