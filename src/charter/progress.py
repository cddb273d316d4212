"""Progress with an estimate of the time left: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

_PLAIN_EVERY_S = 15.0

_TELLING = 0.02
"""Share of the work that says how long the rest will take: of answers that are decoded together, the first to
end say nothing."""

Advance = Callable[..., None]
"""``advance(n=1, note="")``: n more units are done; ``note`` is shown behind the bar."""

console = Console(stderr=True)
_within: ContextVar[bool] = ContextVar("within", default=False)


@contextlib.contextmanager
def progress(label: str, total: int, *, done: int = 0) -> Iterator[Advance]:
    """Show that ``label`` takes ``total`` units, of which ``done`` were done earlier.

    Work within other work has a second bar on a terminal. Among plain lines it says nothing: two
    counts that take turns cannot be read.

    Yields:
        :data:`Advance`.
    """
    if console.is_terminal:
        with _bar(label, total, done) as advance:
            yield advance
        return
    inner = _within.get()
    before = _within.set(True)
    try:
        yield _silent if inner else _plain(label, total, done)
    finally:
        _within.reset(before)


@contextlib.contextmanager
def _bar(label: str, total: int, done: int) -> Iterator[Advance]:
    columns = (
        TextColumn("{task.description:<18}"),
        BarColumn(bar_width=28),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=console) as bars:
        task = bars.add_task(label, total=total, completed=done, note="")

        def advance(n: int = 1, note: str = "") -> None:
            bars.update(task, advance=n)
            if note:
                bars.update(task, note=note)

        yield advance


def _silent(n: int = 1, note: str = "") -> None:
    pass


def _plain(label: str, total: int, done: int) -> Advance:
    start = last = time.monotonic()
    first = count = done

    def advance(n: int = 1, note: str = "") -> None:
        nonlocal count, last
        count += n
        moment = time.monotonic()
        if count < total and moment - last < _PLAIN_EVERY_S:
            return
        last = moment
        elapsed = moment - start
        left = ""
        if count - first > _TELLING * (total - first):
            left = f", about {elapsed / (count - first) * (total - count):.0f} s left"
        tail = f"  {note}" if note else ""
        print(f"{label}: {count}/{total}  {elapsed:.0f} s{left}{tail}", file=sys.stderr, flush=True)

    return advance


def say(text: str) -> None:
    """One line for the person watching."""
    console.print(text, markup=False, highlight=False, soft_wrap=True)
