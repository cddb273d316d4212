"""Many calls at a time, from code that waits for all of them, with one clean way to stop."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, TypeVar

J = TypeVar("J")
T = TypeVar("T")

_LOOK_EVERY_S = 0.1


class Halted(Exception):
    """A wait was cut short, as everything stops."""


class Halt:
    """Why everything stops, and a sleep that ends when it does."""

    def __init__(self) -> None:
        self.reason: Exception | None = None
        self._event = asyncio.Event()

    def now(self, reason: Exception) -> None:
        """Begin nothing more. The first reason stands."""
        if self.reason is None:
            self.reason = reason
            self._event.set()

    def check(self) -> None:
        """Raise :class:`Halted` if everything stops."""
        if self.reason is not None:
            raise Halted

    async def sleep(self, seconds: float) -> None:
        """Wait, or raise :class:`Halted` as soon as everything stops."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._event.wait(), seconds)
        self.check()


async def dispatch(
    jobs: Iterable[J],
    do: Callable[[J, Halt], Awaitable[None]],
    *,
    concurrency: int,
    stopped: Callable[[], Exception | None],
    grace_of: Callable[[Exception], float],
) -> None:
    """Do every job, ``concurrency`` at a time, in order of beginning.

    Args:
        jobs: what is done.
        do: raises what ends everything; :class:`Halted` only leaves its own job undone.
        concurrency: jobs at a time.
        stopped: looked at all the time; what it returns ends everything.
        grace_of: seconds that jobs under way have left after that exception.

    Raises:
        Exception: what ended everything, after jobs under way have ended.
    """
    halt, waiting = Halt(), iter(jobs)

    async def work() -> None:
        for job in waiting:
            if halt.reason is not None:
                return
            try:
                await do(job, halt)
            except Halted:
                return
            except Exception as error:
                halt.now(error)

    tasks = [asyncio.create_task(work()) for _ in range(concurrency)]
    try:
        await _watch(tasks, halt, stopped, grace_of)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    if halt.reason is not None:
        raise halt.reason


async def _watch(
    tasks: Iterable[asyncio.Task[None]],
    halt: Halt,
    stopped: Callable[[], Exception | None],
    grace_of: Callable[[Exception], float],
) -> None:
    """Wait for the tasks, or for the end of their grace once everything stops.

    A deadline only moves closer: a person who asks to stop does not wait for the grace of another reason.
    """
    pending = set(tasks)
    deadline = float("inf")
    while pending and time.monotonic() < deadline:
        _, pending = await asyncio.wait(pending, timeout=_LOOK_EVERY_S)
        asked = stopped() if pending else None
        for reason in (halt.reason, asked):
            if reason is not None:
                halt.now(reason)
                deadline = min(deadline, time.monotonic() + grace_of(reason))


def run(make: Callable[[], Awaitable[T]]) -> T:
    """What the coroutine that ``make`` gives returns, also where an event loop already runs (a notebook)."""

    async def whole() -> T:
        return await make()

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(whole())
    return _in_thread(lambda: asyncio.run(whole()))


def _in_thread(call: Callable[[], T]) -> T:
    came: dict[str, Any] = {}

    def target() -> None:
        try:
            came["value"] = call()
        except BaseException as error:
            came["error"] = error

    thread = threading.Thread(target=target, name="charter-endpoint", daemon=True)
    thread.start()
    thread.join()
    if "error" in came:
        raise came["error"]
    value: T = came["value"]
    return value
