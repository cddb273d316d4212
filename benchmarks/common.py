"""What every side-by-side benchmark needs: fresh processes, kept results, fair numbers, one table.

The parent process imports nothing heavy: on Linux a child's peak memory is at
least what its parent held when it was started.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from charter.errors import CharterError, EnvironmentFault, exit_code_of
from charter.rundir import machine, now, sha256_file, sha256_json, versions, write_json

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
IDLE_LOAD = 0.3
"""A machine with a higher one-minute load when the benchmark starts is called busy."""
IDLE_CORES = 0.1
"""So is one where other processes used more than this many cores during a run."""


class Jobs:
    """Runs parts of a benchmark, each in a fresh process, and keeps every finished result.

    Args:
        folder: results are kept here; those of other settings or other code are not found again.
        script: the benchmark, which answers ``--worker JOB OUT``.
        settings: everything that decides the results.
        packages: installed packages whose versions decide them too.
        threads: cores each process may use.
        fresh: forget what an earlier run left.
    """

    def __init__(
        self,
        folder: Path,
        script: Path,
        settings: Mapping[str, Any],
        *,
        packages: Sequence[str],
        threads: int,
        fresh: bool,
    ) -> None:
        key = sha256_json([dict(settings), versions_with(packages), _code()])[:16]
        self.folder = folder / key
        if fresh:
            shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._script, self._threads = script, threads

    def known(self, name: str) -> bool:
        """Whether ``name`` has finished before."""
        return (self.folder / f"{name}.json").exists()

    def run(self, name: str, job: Mapping[str, Any]) -> dict[str, Any]:
        """The result of ``job``, computed in a process of its own unless it is known.

        Raises:
            EnvironmentFault: the process failed; its output is named and its end shown.
        """
        result = self.folder / f"{name}.json"
        if not result.exists():
            work = self.folder / f"{name}.work"
            shutil.rmtree(work, ignore_errors=True)
            work.mkdir()
            self._start(name, {**job, "threads": self._threads, "work": str(work)}, result)
            shutil.rmtree(work)
        found: dict[str, Any] = json.loads(result.read_text(encoding="utf-8"))
        return found

    def _start(self, name: str, job: Mapping[str, Any], result: Path) -> None:
        order = self.folder / f"{name}.job"
        write_json(order, dict(job))
        log = self.folder / f"{name}.log"
        with open(log, "w", encoding="utf-8") as output:
            done = subprocess.run(
                [sys.executable, str(self._script), "--worker", str(order), str(result)],
                stdout=output,
                stderr=subprocess.STDOUT,
                env=os.environ | _environment(self._threads, Path(job["work"])),
                check=False,
            )
        if done.returncode or not result.exists():
            tail = "\n".join(log.read_text(encoding="utf-8").splitlines()[-15:])
            raise EnvironmentFault(f"{name} failed with exit code {done.returncode}:\n{tail}", where=str(log))


def _environment(threads: int, work: Path) -> dict[str, str]:
    """Pinned threads, no accelerator, and caches that no other run has filled."""
    return {
        "OMP_NUM_THREADS": str(threads),
        "MKL_NUM_THREADS": str(threads),
        "TOKENIZERS_PARALLELISM": "false",
        "CUDA_VISIBLE_DEVICES": "",
        "HF_DATASETS_CACHE": str(work / "datasets"),
    }


def _code() -> list[str]:
    """Hashes of the code that decides the results."""
    return [
        sha256_file(file) for part in ("benchmarks", "src") for file in sorted((ROOT / part).rglob("*.py"))
    ]


# -- measuring, inside a worker ----------------------------------------------


@dataclass(frozen=True, slots=True)
class Span:
    """How long something took: wall seconds, and CPU seconds of all threads."""

    wall: float
    cpu: float


class Clock:
    """Measures from one mark to the next."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def mark(self) -> Span:
        """The span since the last mark."""
        wall, cpu = time.perf_counter(), time.process_time()
        span = Span(wall - self._wall, cpu - self._cpu)
        self._wall, self._cpu = wall, cpu
        return span


class Neighbours:
    """How many cores others kept busy meanwhile: what a shared machine takes from a measurement."""

    def __init__(self) -> None:
        self.load = os.getloadavg()[0]
        self._clock, self._busy, self._children = Clock(), _busy_seconds(), _child_seconds()

    def seen(self) -> dict[str, float | None]:
        """One-minute load before, and the mean number of cores used by other processes."""
        span, busy = self._clock.mark(), _busy_seconds()
        others = None
        if busy is not None and self._busy is not None:
            own = span.cpu + _child_seconds() - self._children
            others = round(max(busy - self._busy - own, 0.0) / max(span.wall, 1e-9), 2)
        return {"load_before": round(self.load, 2), "cores_used_by_others": others}


def _child_seconds() -> float:
    """CPU seconds of processes that this one started and that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _busy_seconds() -> float | None:
    """CPU seconds all processes of this machine have used, or None where the kernel does not say."""
    with suppress(OSError, ValueError, IndexError):
        fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
        user, nice, system, _, _, irq, softirq = map(int, fields[:7])
        return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")
    return None


def peak_mib() -> float:
    """Peak resident memory of this process so far, MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1024 if sys.platform != "darwin" else 1024**2), 1)


def idle(load: float, runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Whether anything else ran; a busy machine is said, not hidden.

    What others used during the runs decides; the load before them, which also counts a benchmark that has
    just ended, only where that is not known.

    Args:
        load: one-minute load before the benchmark.
        runs: results of workers, each with what :meth:`Neighbours.seen` said.
    """
    others = [run["neighbours"]["cores_used_by_others"] for run in runs]
    worst = max((value for value in others if value is not None), default=None)
    return {
        "idle": load < IDLE_LOAD if worst is None else worst < IDLE_CORES,
        "load_at_start": round(load, 2),
        "most_cores_used_by_others": worst,
    }


# -- the command ---------------------------------------------------------------


def command(main: Callable[[], int], worker: Callable[[Mapping[str, Any]], Mapping[str, Any]]) -> int:
    """Run ``main``, or ``worker`` where :class:`Jobs` started this process; returns the exit code."""
    if sys.argv[1:2] == ["--worker"]:
        order, result = Path(sys.argv[2]), Path(sys.argv[3])
        write_json(result, dict(worker(json.loads(order.read_text(encoding="utf-8")))))
        return 0
    try:
        return main()
    except CharterError as problem:
        print(f"error: {problem}", file=sys.stderr)
        return exit_code_of(problem)
    except KeyboardInterrupt:
        print("stopped; the same command continues", file=sys.stderr)
        return 130


def cache_folder(name: str) -> Path:
    """Where finished parts of a benchmark are kept."""
    return Path(tempfile.gettempdir()) / f"charter-{name}"


# -- results -----------------------------------------------------------------

Better = Literal["higher", "lower"]


def versions_with(packages: Sequence[str]) -> dict[str, str]:
    """Versions that decide results, those of ``packages`` included."""
    found = versions()
    for name in packages:
        with suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def row(
    name: str,
    unit: str,
    better: Better,
    ours: Sequence[float],
    peer: Sequence[float],
) -> dict[str, Any]:
    """One line of the table: medians over the repeats, and ours / peer within each repeat.

    Args:
        name: what is compared.
        unit: of ``ours`` and ``peer``.
        better: which way is good.
        ours, peer: one value per repeat, in the same order.
    """
    ratios = [a / b for a, b in zip(ours, peer, strict=True)]
    return {
        "name": name,
        "ours": _round(statistics.median(ours)),
        "peer": _round(statistics.median(peer)),
        "ratio": _round(statistics.median(ratios)),
        "unit": unit,
        "better": better,
        "repeats": len(ratios),
        "ours_range": [_round(min(ours)), _round(max(ours))],
        "peer_range": [_round(min(peer)), _round(max(peer))],
        "ratio_range": [_round(min(ratios)), _round(max(ratios))],
    }


def void(name: str, unit: str, why: str) -> dict[str, Any]:
    """A line that may not be read as a result, because the two did not do the same work."""
    return {"name": name, "ours": None, "peer": None, "ratio": None, "unit": unit, "void": why}


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """The rows as text for the terminal."""
    lines = [f"{'':<26}{'ours':>10}{'peer':>10}  {'unit':<10}{'ratio':>7}   ratio, all repeats"]
    for line in rows:
        if "void" in line:
            lines.append(f"{line['name']:<26}void: {line['void']}")
            continue
        low, high = line["ratio_range"]
        lines.append(
            f"{line['name']:<26}{line['ours']:>10.4g}{line['peer']:>10.4g}  {line['unit']:<10}"
            f"{line['ratio']:>7.2f}   {low:.2f} to {high:.2f}  ({line['better']} is better)"
        )
    return "\n".join(lines)


def write_results(
    path: Path, rows: Sequence[Mapping[str, Any]], packages: Sequence[str], **more: Any
) -> None:
    """Write ``{command, date, machine, versions, rows, ...}`` to ``path``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    script = Path(sys.argv[0]).resolve()
    shown = script.relative_to(ROOT) if script.is_relative_to(ROOT) else Path(script.name)
    write_json(
        path,
        {
            "command": shlex.join(["python", str(shown), *sys.argv[1:]]),
            "date": now(),
            "machine": machine(),
            "versions": versions_with(packages),
            "rows": list(rows),
            **more,
        },
    )


def _round(value: float) -> float:
    return float(f"{value:.5g}")


def numbers(text: str, least: int, why: str) -> list[int]:
    """Whole numbers between commas, for argparse; ``why`` is said of one smaller than ``least``."""
    try:
        found = [int(part) for part in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of whole numbers") from None
    if min(found) < least:
        raise argparse.ArgumentTypeError(why)
    return found
