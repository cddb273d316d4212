"""Runs one arm's commands: what failed is told apart from what measured, and no time is lost count of."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

from constitutional_arms import Arm, Command, Row, outcome_without_report, revisions_file

from charter.errors import Interrupted
from charter.interrupt import StopRequest
from charter.pipeline.attempts import Attempts
from charter.rundir import machine, now, read_json, versions, write_json

COST, FAILED, LOG = "cost.json", "failed.json", "log.txt"
_LOOK_EVERY_S = 0.1
_STOPPED = (130, 143)


class Failed(Exception):
    """A command did not do its work; says why."""


def run_arm(name: str, make: Callable[[], Arm], folder: Path, model: str, stop: StopRequest) -> bool:
    """All commands of an arm; ``cost.json`` where they worked, ``failed.json`` where one did not.

    Args:
        name: of the arm.
        make: its commands.
        folder: its own.
        model: that is measured.
        stop: set where the person asked to stop.

    Returns:
        whether it has a result.

    Raises:
        Interrupted: the person asked to stop; the same arm goes on where it was.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FAILED).unlink(missing_ok=True)
    attempts, ran = Attempts(folder), list[str]()
    before = _stamp(revisions_file(folder))
    arm = Arm(())
    outcome: Row | None = None
    attempts.begin()
    try:
        arm = make()
        for command in arm.commands:
            print(command.typed, flush=True)
            ran.append(command.typed)
            run_command(command, folder / LOG, stop)
    except (Interrupted, KeyboardInterrupt):
        attempts.stop()
        raise
    except Exception as failure:  # whatever it is, the other arms go on
        if _stamp(revisions_file(folder)) != before:
            outcome = outcome_without_report(name, folder)
        if outcome is None:
            attempts.stop()
            _failed(name, folder, failure)
            return False
    facts: dict[str, Any] = {"model": model, "machine": machine(), "versions": versions()}
    spent = attempts.spent().to_json()
    told = {"commands": ran, "notes": list(arm.notes), "outcome": outcome, "date": now(), **facts}
    write_json(folder / COST, {**spent, **told})
    attempts.forget()
    return True


def _failed(name: str, folder: Path, failure: Exception) -> None:
    why = str(failure) if isinstance(failure, Failed) else f"{type(failure).__name__}: {failure}"
    write_json(folder / FAILED, {"why": why, "date": now()})
    print(f"{name}: {why}; see {folder / LOG}", file=sys.stderr, flush=True)


def failure_of(folder: Path) -> str:
    """Why an arm has no result, as far as that is known."""
    found = read_json(folder / FAILED)
    if found is not None:
        return str(found["why"])
    return "it was begun and did not end" if (folder / LOG).exists() else "it was not begun"


def run_command(command: Command, log: Path, stop: StopRequest) -> None:
    """One command, which must end well and leave something new.

    Raises:
        Failed: it did not.
        Interrupted: the person asked to stop.
    """
    if command.first is not None:
        command.first()
    before = _stamp(command.makes)
    code = _code(command, log, stop)
    if stop.requested or code in _STOPPED:
        raise Interrupted(
            f"stopped in `charter {command.words[0]}`",
            signum=stop.signum or signal.SIGINT,
            fix="run the same command again to go on",
        )
    if code not in command.codes:
        raise Failed(f"`charter {command.words[0]}` ended with exit code {code}")
    after = _stamp(command.makes)
    if after is None or after == before:
        raise Failed(
            f"`charter {command.words[0]}` ended with exit code {code} and left no new {command.makes.name}"
        )


def _code(command: Command, log: Path, stop: StopRequest) -> int:
    """The exit code. A signal to this process is passed on once, and the command is waited for."""
    with ExitStack() as files:
        said: IO[bytes] = files.enter_context(log.open("ab"))
        out = said if command.output is None else files.enter_context(command.output.open("wb"))
        process = subprocess.Popen(
            [sys.executable, "-m", "charter.cli.main", *command.words],
            stdout=out,
            stderr=said,
            start_new_session=True,
        )
        told = False
        try:
            while process.poll() is None:
                if stop.requested and not told:
                    process.send_signal(stop.signum or signal.SIGINT)
                    told = True
                time.sleep(_LOOK_EVERY_S)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
    return process.returncode


def _stamp(path: Path) -> tuple[int, int, int] | None:
    """Tells a file that was written again from one that was left alone."""
    if not path.exists() or path.stat().st_size == 0:
        return None
    found = path.stat()
    return found.st_ino, found.st_mtime_ns, found.st_size
