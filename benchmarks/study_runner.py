"""Runs the cells of a study in processes of their own, one file each, so that a study can be continued."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from charter.interrupt import StopRequest, graceful

Process = subprocess.Popen[bytes]


class AnyCell(Protocol):
    """One measurement of a study."""

    @property
    def name(self) -> str:
        """Unique, as a person writes it."""
        ...

    def file(self, cache: Path) -> Path:
        """Where its result is kept."""
        ...


def run_missing(
    missing: Sequence[AnyCell],
    cache: Path,
    start: Callable[[Sequence[str]], Process],
    *,
    workers: int = 1,
    limit: float | None = None,
) -> None:
    """Cells in processes of their own, ``workers`` at a time, a few cells to a process.

    Args:
        missing: what to run.
        cache: where results go.
        start: a process that runs the cells of these names.
        workers: processes at once; with more than one each takes four cells.
        limit: start no further cell after so many seconds.

    Raises:
        SystemExit: the person asked to stop; the cells that run were asked to stop too, and ended.
    """
    running: list[tuple[Process, list[AnyCell]]] = []
    with graceful() as asked:
        try:
            _run(missing, cache, start, running, asked, workers, limit)
        finally:
            _end([process for process, _ in running])
    if asked.requested:
        print("stopped; run the same command again to go on", file=sys.stderr)
        raise SystemExit(128 + (asked.signum or signal.SIGINT))


def _run(
    missing: Sequence[AnyCell],
    cache: Path,
    start: Callable[[Sequence[str]], Process],
    running: list[tuple[Process, list[AnyCell]]],
    asked: StopRequest,
    workers: int,
    limit: float | None,
) -> None:
    began = time.monotonic()
    queue = _portions(missing, 1 if workers == 1 else 4)
    done, total, stop = 0, len(missing), False
    while (running or not stop) and not asked.requested:
        while not stop and len(running) < workers:
            portion = next(queue, None)
            over = limit is not None and time.monotonic() - began > limit
            if portion is None or over:
                stop = True
                break
            running.append((start([cell.name for cell in portion]), portion))
        for process, portion in list(running):
            if process.poll() is None:
                continue
            running.remove((process, portion))
            failed = [cell.name for cell in portion if not cell.file(cache).exists()]
            done += len(portion) - len(failed)
            if failed:
                print(f"failed: {', '.join(failed)} (see {cache / 'logs'})", file=sys.stderr)
            spent = time.monotonic() - began
            left = spent / max(done, 1) * (total - done)
            print(f"{done}/{total}  {spent:.0f} s, about {left:.0f} s left  {portion[-1].name}", flush=True)
        time.sleep(0.2)


def _end(processes: Sequence[Process]) -> None:
    """Ask them once to save and stop, and wait until they have; asked again, wait no longer."""
    for process in processes:
        process.send_signal(signal.SIGINT)
    try:
        for process in processes:
            process.wait()
    except KeyboardInterrupt:
        for process in processes:
            process.kill()
        raise


def start_worker(script: str, names: Sequence[str], cache: Path, options: Mapping[str, Any]) -> Process:
    """``script --worker NAMES``, what it prints going to a log in the cache; None is not passed on."""
    (cache / "logs").mkdir(parents=True, exist_ok=True)
    log = cache / "logs" / f"{names[0].replace(',', '-').replace(':', '-')}.log"
    given = [f"--{key.replace('_', '-')}={value}" for key, value in options.items() if value is not None]
    with log.open("wb") as out:
        return subprocess.Popen(
            [sys.executable, script, *given, "--worker", *names],
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C reaches the study, which passes it on once
        )


def check(code: int, what: str) -> None:
    """Leave where a step failed on which everything rests."""
    if code:
        raise SystemExit(f"{what} failed; see the log in the cache folder")


def show(file: Path) -> int:
    """Print a finished cell; 1 where there is none."""
    if not file.exists():
        return 1
    print(file.read_text(encoding="utf-8"))
    return 0


def _portions(cells: Sequence[AnyCell], size: int) -> Iterator[list[AnyCell]]:
    for start in range(0, len(cells), size):
        yield list(cells[start : start + size])
