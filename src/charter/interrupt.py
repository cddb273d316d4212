"""Ctrl-C once: finish the step, save, say how to go on. Twice: stop at once."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

from charter.errors import Interrupted
from charter.progress import say


class StopRequest:
    """Set by the first signal; long loops look at it between steps."""

    def __init__(self) -> None:
        self.signum: int | None = None

    @property
    def requested(self) -> bool:
        """Whether a signal has come."""
        return self.signum is not None

    def check(self, what: str = "stopped", *, fix: str | None = None) -> None:
        """Raise :class:`Interrupted` if a stop was asked for."""
        if self.signum is not None:
            raise Interrupted(what, signum=self.signum, fix=fix)


_active: list[StopRequest] = []


def current() -> StopRequest:
    """The stop request in force; one that is never set when nothing listens."""
    return _active[-1] if _active else StopRequest()


@contextlib.contextmanager
def graceful() -> Iterator[StopRequest]:
    """Turn the first SIGINT or SIGTERM into a request; the second interrupts at once.

    Nested uses share the outermost request. Outside the main thread signals
    cannot be caught, and the request is never set.
    """
    if _active:
        yield _active[-1]
        return
    stop = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def on_signal(signum: int, _frame: FrameType | None) -> None:
        if stop.requested:
            raise KeyboardInterrupt
        stop.signum = signum
        say("stopping after this step (press again to stop at once)")

    previous = {s: signal.signal(s, on_signal) for s in (signal.SIGINT, signal.SIGTERM)}
    _active.append(stop)
    try:
        yield stop
    finally:
        _active.pop()
        for s, handler in previous.items():
            signal.signal(s, handler or signal.SIG_DFL)  # None: set from C, and not ours to know
