"""How fast a service is asked: requests and tokens in any minute, and calls at a time."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from charter.errors import UserError


@dataclass(frozen=True, slots=True)
class Limits:
    """What the service allows.

    Attributes:
        requests_per_minute: in any ``period_s``; None = no limit.
        tokens_per_minute: read and written together; None = no limit.
        concurrency: most calls at a time.
        period_s: length of the "minute", seconds.

    Raises:
        UserError: a limit that nothing could keep.
    """

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    concurrency: int = 8
    period_s: float = 60.0

    def __post_init__(self) -> None:
        for name in ("requests_per_minute", "tokens_per_minute", "concurrency"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UserError(f"must be at least 1, not {value}", where=name)
        if self.period_s <= 0:
            raise UserError(f"must be positive, not {self.period_s}", where="period_s")


class Window:
    """Amounts within a sliding window: at no moment do the last ``period_s`` hold more than ``limit``.

    One amount larger than the limit passes when it is alone, or it would wait for ever.
    """

    def __init__(self, limit: int | None, period_s: float) -> None:
        self._limit = limit
        self._period_s = period_s
        self._entries: deque[list[float]] = deque()  # [moment, amount]
        self._sum = 0.0

    def wait(self, amount: float, now: float) -> float:
        """Seconds until ``amount`` fits; 0 = it does."""
        if self._limit is None:
            return 0.0
        while self._entries and self._entries[0][0] + self._period_s <= now:
            self._sum -= self._entries.popleft()[1]
        left = self._sum
        if not self._entries or left + amount <= self._limit:
            return 0.0
        for moment, taken in self._entries:
            left -= taken
            if left + amount <= self._limit:
                return moment + self._period_s - now
        return self._entries[-1][0] + self._period_s - now

    def take(self, amount: float, now: float) -> list[float]:
        """Count ``amount``; the entry may be passed to :meth:`correct`."""
        entry = [now, amount]
        if self._limit is not None:
            self._entries.append(entry)
            self._sum += amount
        return entry

    def correct(self, entry: list[float], amount: float) -> None:
        """What was counted as ``entry`` turned out to be ``amount``."""
        if any(entry is one for one in self._entries):  # else it has left the window
            self._sum += amount - entry[1]
            entry[1] = amount


class Pace:
    """Lets calls through no faster than the limits, and none while the service wants to be left alone.

    Args:
        limits: what is kept.
        clock: seconds.
    """

    def __init__(self, limits: Limits, clock: Callable[[], float]) -> None:
        self.limits = limits
        self._clock = clock
        self._requests = Window(limits.requests_per_minute, limits.period_s)
        self._tokens = Window(limits.tokens_per_minute, limits.period_s)
        self._quiet_until = float("-inf")
        self._lock = threading.Lock()  # judges of a panel may share a service from several threads

    async def admit(self, tokens: int, sleep: Callable[[float], Awaitable[Any]]) -> list[float]:
        """Wait for a turn.

        Args:
            tokens: about how many the call will read and write.
            sleep: waits that many seconds.

        Returns:
            What :meth:`settle` wants.
        """
        while True:
            with self._lock:
                now = self._clock()
                wait = max(
                    self._quiet_until - now, self._requests.wait(1, now), self._tokens.wait(tokens, now)
                )
                if wait <= 0:
                    self._requests.take(1, now)
                    return self._tokens.take(tokens, now)
            await sleep(wait)

    def settle(self, entry: list[float], tokens: int) -> None:
        """The call that was admitted as ``entry`` took this many tokens."""
        with self._lock:
            self._tokens.correct(entry, tokens)

    def quiet(self, seconds: float) -> None:
        """Let nothing through for that long."""
        with self._lock:
            self._quiet_until = max(self._quiet_until, self._clock() + seconds)
