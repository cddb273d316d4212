"""Grading of untrusted text in a child process that can be killed.

What a model writes may hang a parser, fill the memory, or be code that a grader evaluates. So the
grader runs in a child: a fork of a worker that has loaded it once, in a session of its own, with
limits on wall time, processor time, address space, file size and processes, and an environment
without the parent's variables. When a grade ends, for whatever reason, everything it started is killed.

Where Linux permits namespaces to an ordinary user, the child has no network, sees only its own
processes and may write only to a scratch folder in memory; :attr:`Sandbox.effect` says what is in
effect. Otherwise Python's sockets are refused, which C code can get around. Files that the user may
read can be read in both cases. A grader that executes a model's code inside its own process can be
made to give any answer: it must start that code as a process of its own.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import queue
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from charter.errors import ConfigError, EnvironmentFault

SECONDS = 10.0
MEMORY_MB = 512
STARTUP_SECONDS = 120.0
_GRACE = 5.0
_CHILD = Path(__file__).with_name("sandbox_child.py")

Isolation = Literal["auto", "guard"]
"""``auto``: namespaces where the kernel permits them; ``guard``: never."""


@dataclass(frozen=True, slots=True)
class Graded:
    """What the function returned, and the end of what it printed."""

    value: Any
    output: str = ""


@dataclass(frozen=True, slots=True)
class Killed:
    """The child was ended: which limit, how much it was, and the end of what it printed."""

    kind: str
    detail: str = ""
    output: str = ""


@dataclass(frozen=True, slots=True)
class Error:
    """The function raised, or ended its process without an answer."""

    kind: str
    detail: str = ""
    output: str = ""


Result = Graded | Killed | Error


@dataclass(frozen=True, slots=True)
class Effect:
    """What keeps a grade from doing harm here.

    Attributes:
        network: ``network namespace`` or ``socket guard``.
        processes: ``process namespace`` or ``session``.
        files: ``read-only but for a scratch folder`` or ``own permissions``.
    """

    network: str
    processes: str
    files: str


@dataclass(frozen=True, slots=True)
class Function:
    """The sandboxed function's signature: its parameters as (name, kind, required)."""

    is_class: bool
    parameters: tuple[tuple[str, str, bool], ...]


class Sandbox:
    """Workers for one function.

    Args:
        target: ``file.py:function`` or ``package.module:function``; what it returns must be JSON.
        base: folder that files are relative to.
        seconds: most wall time of one grade.
        memory_mb: most address space a grade may add to what the loaded worker has.
        workers: grades at a time; None = one for each processor, at most 4.
        isolation: see :data:`Isolation`.
        preload: modules that a worker imports once, so that no grade has to.

    Raises:
        ConfigError: the target does not load, or a limit is not positive.
        EnvironmentFault: this is not Linux, or no process can be started.
    """

    def __init__(
        self,
        target: str,
        *,
        base: str | os.PathLike[str] = ".",
        seconds: float = SECONDS,
        memory_mb: int = MEMORY_MB,
        workers: int | None = None,
        isolation: Isolation = "auto",
        preload: Sequence[str] = (),
    ) -> None:
        if not sys.platform.startswith("linux"):
            raise EnvironmentFault("a sandbox needs Linux", fix="name the reward without sandbox:")
        if not seconds > 0 or not memory_mb > 0:
            raise ConfigError(f"limits must be positive: seconds {seconds}, memory_mb {memory_mb}")
        self.target, self.seconds, self.memory_mb = target, seconds, memory_mb
        self._setup = {
            "target": target,
            "base": str(Path(base).absolute()),
            "isolation": isolation,
            "preload": list(preload),
        }
        count = workers or min(len(os.sched_getaffinity(0)), 4)
        self._free: queue.Queue[_Worker | None] = queue.Queue()
        first = self._start()
        self.effect, self.function = first.effect, first.function
        for worker in (first, *(None for _ in range(count - 1))):  # the rest start when they are needed
            self._free.put(worker)
        self._count = count
        atexit.register(self.close)

    def grade(self, payloads: Sequence[Mapping[str, Any]]) -> list[Result]:
        """The function called with the keyword arguments of each payload, several at a time."""
        if len(payloads) < 2:
            return [self._one(payload) for payload in payloads]
        with ThreadPoolExecutor(min(self._count, len(payloads))) as pool:
            return list(pool.map(self._one, payloads))

    def close(self) -> None:
        """End the workers; a later grade starts new ones."""
        atexit.unregister(self.close)
        for _ in range(self._count):
            worker = self._free.get()
            if worker is not None:
                worker.close()
            self._free.put(None)

    def _one(self, payload: Mapping[str, Any]) -> Result:
        try:
            line = json.dumps(
                {"payload": dict(payload), "seconds": self.seconds, "memory_mb": self.memory_mb},
                default=_plain,
            )
        except (TypeError, ValueError) as fault:
            return Error("not plain data", str(fault))
        worker = self._free.get() or None
        answer = None
        try:
            worker = worker or self._start()
            answer = worker.ask(line, self.seconds + _GRACE)
        finally:
            if worker is not None and answer is None:
                worker.close()
                worker = None
            self._free.put(worker)
        return Error("worker lost", "it was killed or hangs") if answer is None else _result(answer)

    def _start(self) -> _Worker:
        return _Worker(self._setup)


def graded(
    target: str,
    payload: Mapping[str, Any],
    *,
    seconds: float = SECONDS,
    memory_mb: int = MEMORY_MB,
    base: str | os.PathLike[str] = ".",
) -> Result:
    """One call of ``target`` in a sandbox; its workers are kept for the next call.

    Args:
        target: see :class:`Sandbox`.
        payload: keyword arguments, plain data.
        seconds: see :class:`Sandbox`.
        memory_mb: see :class:`Sandbox`.
        base: see :class:`Sandbox`.
    """
    return _kept(target, str(Path(base).absolute()), seconds, memory_mb).grade([payload])[0]


@lru_cache(maxsize=16)
def _kept(target: str, base: str, seconds: float, memory_mb: int) -> Sandbox:
    return Sandbox(target, base=base, seconds=seconds, memory_mb=memory_mb)


class _Worker:
    """A child process that has loaded the target."""

    def __init__(self, setup: Mapping[str, Any]) -> None:
        self._scratch = Path(tempfile.mkdtemp(prefix="charter-sandbox-"))
        environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(self._scratch),
            "TMPDIR": str(self._scratch),
            "LANG": "C.UTF-8",
            "OMP_NUM_THREADS": "1",
        }
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-I", str(_CHILD)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                cwd=self._scratch,
                env=environment,
                start_new_session=True,
            )
        except OSError as fault:
            shutil.rmtree(self._scratch, ignore_errors=True)
            raise EnvironmentFault(f"no process for a sandbox: {fault.strerror}") from None
        paths = [str(Path(entry).absolute()) if entry else str(Path.cwd()) for entry in sys.path]
        mine = {**setup, "scratch": str(self._scratch), "sys_path": paths}
        answer = self.ask(json.dumps(mine), STARTUP_SECONDS)
        if answer is None or "error" in answer:
            self.close()
            why = f"{answer['error']}: {answer['detail']}" if answer else f"nothing in {STARTUP_SECONDS:g} s"
            raise ConfigError(f"the sandboxed function does not load: {why}", where=str(setup["target"]))
        self.effect = Effect(**answer["effect"])
        described = answer["function"]
        self.function = Function(described["is_class"], tuple(tuple(one) for one in described["parameters"]))

    def ask(self, line: str, seconds: float) -> dict[str, Any] | None:
        """One request and its answer; None = the worker is gone or hangs."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write((line + "\n").encode())
            self._process.stdin.flush()
        except OSError:
            return None
        return self._answer(seconds)

    def close(self) -> None:
        """End the process, what it started, and its folder."""
        assert self._process.stdin is not None and self._process.stdout is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()  # it ends by itself, and kills what it started
        try:
            self._process.wait(1.0)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(OSError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._process.stdout.close()
        shutil.rmtree(self._scratch, ignore_errors=True)

    def _answer(self, seconds: float) -> dict[str, Any] | None:
        assert self._process.stdout is not None
        fd = self._process.stdout.fileno()
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        deadline = time.monotonic() + seconds
        data = b""
        while not data.endswith(b"\n"):
            if not poll.poll(max(deadline - time.monotonic(), 0.0) * 1000):
                return None
            part = os.read(fd, 1 << 16)
            if not part:
                return None
            data += part
        found: dict[str, Any] = json.loads(data)
        return found


def _result(answer: Mapping[str, Any]) -> Result:
    output = str(answer.get("output", ""))
    if "killed" in answer:
        return Killed(str(answer["killed"]), str(answer.get("detail", "")), output)
    if "error" in answer:
        return Error(str(answer["error"]), str(answer.get("detail", "")), output)
    return Graded(answer.get("value"), output)


def _plain(value: Any) -> Any:
    """numpy scalars and arrays, which data readers may leave in a row."""
    for method in ("item", "tolist"):
        if callable(getattr(value, method, None)):
            with contextlib.suppress(ValueError):
                return getattr(value, method)()
    raise TypeError(f"{type(value).__name__} cannot be sent to a sandbox")
