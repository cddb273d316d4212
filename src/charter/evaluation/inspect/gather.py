"""Calls that are made at the same time, done together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

import anyio
import anyio.to_thread

Ask = TypeVar("Ask")
Answer = TypeVar("Answer")

WAIT = 0.02
"""Seconds without a new call after which a batch is closed."""


class _Slot(Generic[Ask, Answer]):
    """One call that waits."""

    def __init__(self, asked: Ask) -> None:
        self.asked = asked
        self.answer: Answer | BaseException | None = None
        self.done = False


class Gatherer(Generic[Ask, Answer]):
    """Collects concurrent calls into batches, one batch at a time, in a thread of its own.

    While a batch runs, the calls that come meanwhile make the next one. A call that is cancelled takes
    nobody with it.

    Args:
        work: answers a batch, one answer or exception for each call, in order; what it raises, every call
            of the batch gets.
        most: calls in a batch.
        wait: see :data:`WAIT`.
    """

    def __init__(
        self,
        work: Callable[[Sequence[Ask]], Sequence[Answer | BaseException]],
        *,
        most: int = 64,
        wait: float = WAIT,
    ) -> None:
        self._work = work
        self._most = most
        self._wait = wait
        self._waiting: list[_Slot[Ask, Answer]] = []
        self._turn = anyio.Lock()

    async def ask(self, asked: Ask) -> Answer:
        """The answer to one call.

        Raises:
            BaseException: what ``work`` gave or raised in its place.
        """
        slot: _Slot[Ask, Answer] = _Slot(asked)
        self._waiting.append(slot)
        try:
            async with self._turn:
                while not slot.done:
                    await self._serve()
        finally:
            if slot in self._waiting:
                self._waiting.remove(slot)
        if isinstance(slot.answer, BaseException):
            raise slot.answer
        return slot.answer  # type: ignore[return-value]

    async def _serve(self) -> None:
        before = -1
        while before < len(self._waiting) < self._most:
            before = len(self._waiting)
            await anyio.sleep(self._wait)
        batch, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
        # Not abandoned when cancelled: the thread would go on, and its answers belong to others too.
        for slot, answer in zip(batch, await anyio.to_thread.run_sync(self._answers, batch), strict=True):
            slot.answer, slot.done = answer, True

    def _answers(self, batch: Sequence[_Slot[Ask, Answer]]) -> Sequence[Answer | BaseException]:
        try:
            found = self._work([slot.asked for slot in batch])
        except Exception as error:
            return [error] * len(batch)
        if len(found) != len(batch):
            return [RuntimeError(f"{len(found)} answers to {len(batch)} calls")] * len(batch)
        return found
