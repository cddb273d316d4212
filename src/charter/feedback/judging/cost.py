"""What asking costs, and where it stops."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from charter.errors import ServiceFault, UserError

_BYTES_PER_TOKEN = 3
_TOKENS_PER_TURN = 8


@dataclass(frozen=True, slots=True)
class Prices:
    """Prices per million tokens, in any one currency.

    Attributes:
        read: of tokens read.
        written: of tokens written, hidden reasoning included.
        read_again: of tokens read that the service still had in its own cache; None = as ``read``.

    Raises:
        UserError: a negative price.
    """

    read: float
    written: float
    read_again: float | None = None

    def __post_init__(self) -> None:
        if min(self.read, self.written, self.read_again or 0.0) < 0:
            raise UserError("a price cannot be negative", where="prices")

    def of(self, tokens_in: int, tokens_out: int, again: int = 0) -> float:
        """Price of one call.

        Args:
            tokens_in: read.
            tokens_out: written.
            again: how many of ``tokens_in`` came from the service's cache.
        """
        cheap = self.read if self.read_again is None else self.read_again
        return ((tokens_in - again) * self.read + again * cheap + tokens_out * self.written) / 1e6


class BudgetReached(ServiceFault):
    """Asking on might cost more than was allowed; what was answered is kept."""


def about_tokens(texts: list[str]) -> int:
    """About how many tokens these turns have, rather more than fewer; nothing else is known before asking."""
    return sum(len(text.encode()) // _BYTES_PER_TOKEN + _TOKENS_PER_TURN for text in texts)


class Spending:
    """Counts money and tokens, and says whether the next call may be made.

    A call is admitted with the most it may cost, so that calls under way cannot exceed the limit together.

    Args:
        prices: None = cost is not known.
        max_cost: most to be spent by this object; None = no limit.

    Raises:
        UserError: a limit without prices.
    """

    def __init__(self, prices: Prices | None = None, max_cost: float | None = None) -> None:
        if max_cost is not None and prices is None:
            raise UserError(
                "a limit on cost needs prices",
                where="max_cost",
                fix="give the prices per million tokens: price_in=..., price_out=...",
            )
        if max_cost is not None and max_cost <= 0:
            raise UserError(f"must be positive, not {max_cost}", where="max_cost")
        self.prices = prices
        self.max_cost = max_cost
        self.calls = 0
        self.tokens_in = 0
        self.tokens_out = 0
        self.cost = 0.0
        self.estimated = 0
        """Calls for which the service did not say how many tokens they took."""
        self._reserved = 0.0
        self._lock = threading.Lock()

    def reserve(self, tokens_in: int, tokens_out: int) -> float | None:
        """Set aside what a call may cost at most; None = it is not there.

        Returns:
            What :meth:`settle` or :meth:`release` wants back.
        """
        if self.prices is None:
            return 0.0
        worst = self.prices.of(tokens_in, tokens_out)
        with self._lock:
            if self.max_cost is not None and self.cost + self._reserved + worst > self.max_cost:
                return None
            self._reserved += worst
        return worst

    def release(self, reserved: float) -> None:
        """The call was not answered, and is taken to cost nothing."""
        with self._lock:
            self._reserved -= reserved

    def settle(
        self, reserved: float, tokens_in: int, tokens_out: int, again: int = 0, *, estimated: bool = False
    ) -> float:
        """The call was answered; returns its cost, 0 where prices are not known."""
        cost = 0.0 if self.prices is None else self.prices.of(tokens_in, tokens_out, again)
        with self._lock:
            self._reserved -= reserved
            self.calls += 1
            self.tokens_in += tokens_in
            self.tokens_out += tokens_out
            self.cost += cost
            self.estimated += estimated
        return cost

    @property
    def note(self) -> str:
        """For the person watching."""
        if self.prices is None:
            return f"{self.tokens_in + self.tokens_out:,} tokens"
        limit = "" if self.max_cost is None else f" of {self.max_cost:g}"
        return f"{self.cost:.4f}{limit} spent"

    def reached(self, done: int, total: int) -> BudgetReached:
        """The error that ends a run at its limit.

        Args:
            done: answers there are.
            total: answers wanted.
        """
        return BudgetReached(
            f"the next answer might cost more than what is left: {self.cost:.4f} of {self.max_cost:g} spent, "
            f"{done} of {total} answers there",
            where="max_cost",
            fix="raise max_cost and run again: what was answered is kept and costs nothing",
        )
