"""Asking again: only where it may help, ever more slowly, and not for ever."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from charter.errors import ServiceFault, UserError

T = TypeVar("T")

TRANSIENT_STATUSES = frozenset({408, 409, 425, 429})
"""Besides 5xx: what may be different a moment later."""

_ABOUT_THE_QUESTION = (
    "context length",
    "context_length",
    "maximum context",
    "too long",
    "too many tokens",
    "content_filter",
    "content management policy",
)
"""Words of a refusal that is about one question, whatever the service."""


class CallFailed(Exception):
    """One call to a service failed.

    Attributes:
        what: why, in words; no secrets.
        status: of HTTP; None where nothing came back.
        transient: the same call may succeed later.
        retry_after: seconds the service asked to be left alone.
        reached: the service was there and spoke as such services do.
        timed_out: it took too long.
    """

    def __init__(
        self,
        what: str,
        *,
        status: int | None = None,
        transient: bool = False,
        retry_after: float | None = None,
        reached: bool = True,
        timed_out: bool = False,
    ) -> None:
        super().__init__(what)
        self.what = what
        self.status = status
        self.transient = transient
        self.retry_after = retry_after
        self.reached = reached
        self.timed_out = timed_out

    @property
    def about_the_question(self) -> bool:
        """Whether the service refuses what was asked (too long, filtered), not who asks or how."""
        words = self.what.lower()
        return self.status in (400, 413, 422) and any(known in words for known in _ABOUT_THE_QUESTION)


class GaveUp(Exception):
    """A transient fault that did not pass in time.

    Attributes:
        last: the last failure.
        tries: calls made.
        since: moment of the first failure.
    """

    def __init__(self, last: CallFailed, tries: int, since: float, seconds: float) -> None:
        times = "once" if tries == 1 else f"{tries} times in {seconds:.0f} s"
        super().__init__(f"{last.what} (tried {times})")
        self.last = last
        self.tries = tries
        self.since = since


@dataclass(frozen=True, slots=True)
class Retry:
    """How often and how long a call is repeated.

    Attributes:
        base_s: about the first wait, seconds; each further one is twice as long.
        cap_s: longest wait the back-off chooses; a service may ask for more.
        total_s: longest time from the first failure to the beginning of the last try.
        first_s: the same for a service that was never reached: its address may be wrong.
        seed: decides the jitter.

    Raises:
        UserError: a time that is not positive.
    """

    base_s: float = 1.0
    cap_s: float = 60.0
    total_s: float = 300.0
    first_s: float = 30.0
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.base_s, self.cap_s, self.total_s, self.first_s) <= 0:
            raise UserError("the times of retries must be positive", where="retry")

    def waits(self, key: str) -> Iterator[float]:
        """Seconds before each further try of the call ``key``: doubling up to the cap, half of it random.

        The random half keeps calls that failed together from coming back together.
        """
        rng = random.Random(f"{self.seed}:{key}")
        wait = self.base_s
        while True:
            yield min(wait, self.cap_s) * rng.uniform(0.5, 1.0)
            wait = min(wait * 2, self.cap_s)


async def persist(
    call: Callable[[], Awaitable[T]],
    retry: Retry,
    key: str,
    *,
    clock: Callable[[], float],
    sleep: Callable[[float], Awaitable[Any]],
    met: Callable[[], bool] = lambda: True,
    on_failure: Callable[[CallFailed, float], None] = lambda failed, wait: None,
) -> T:
    """What ``call`` returns, tried again while its failures are transient.

    Args:
        call: raises :class:`CallFailed`.
        retry: how often and how long.
        key: of the call; decides the jitter.
        clock: seconds.
        sleep: waits that many seconds.
        met: whether the service has ever answered; see ``Retry.first_s``.
        on_failure: told of each failure that is tried again, and of the seconds until then.

    Raises:
        CallFailed: a failure that trying again would not mend.
        GaveUp: the time is used up.
    """
    since = None
    for tries, backoff in enumerate(retry.waits(key), start=1):
        try:
            return await call()
        except CallFailed as failed:
            if not failed.transient:
                raise
            now = clock()
            since = now if since is None else since
            # A service that says when to return is believed; earlier would be refused again.
            wait = max(backoff, failed.retry_after or 0.0)
            patience = retry.total_s if failed.reached or met() else min(retry.first_s, retry.total_s)
            if now - since + wait > patience:
                raise GaveUp(failed, tries, since, now - since) from None
            on_failure(failed, wait)
        await sleep(wait)
    raise AssertionError("waits are endless")


def fault_of(failed: CallFailed, *, service: str, model: str, key_env: str) -> ServiceFault:
    """The error that ends a run, with what to do about it.

    Args:
        failed: what the service said.
        service: name of the endpoint.
        model: name of the model there.
        key_env: the environment variable of the key; "" = none is sent.
    """
    return ServiceFault(failed.what, where=service, fix=_fix(failed, model, key_env))


def down(gave_up: GaveUp, *, service: str) -> ServiceFault:
    """The error for a service that has stopped answering."""
    last = gave_up.last
    if last.status == 429:
        fix = "lower requests_per_minute, tokens_per_minute or concurrency"
    elif last.timed_out:
        fix = "raise timeout, lower concurrency, or ask for shorter answers"
    elif last.status is not None and last.status < 400:
        fix = "check that the address is that of an OpenAI-compatible endpoint; it usually ends in /v1"
    elif not last.reached:
        fix = "check that the server is running and that the address is right"
    else:
        fix = "wait until the service is well again"
    return ServiceFault(str(gave_up), where=service, fix=f"{fix}; then run again: what was answered is kept")


def _fix(failed: CallFailed, model: str, key_env: str) -> str:
    key = f"the key in {key_env}" if key_env else "a key: name its environment variable with key_env"
    fixes = {
        400: "a parameter the model does not take can be left out: omit=seed, omit=temperature+seed, ...; "
        "another name for the token limit: limit_field=max_completion_tokens",
        401: f"check {key}",
        402: "add credit to the account",
        403: f"check {key} and that it may use {model!r}",
        404: f"check the model's name {model!r} and the address, which usually ends in /v1",
        413: "ask shorter questions",
        429: "the quota is used up: add credit to the account or wait for the next period",
    }
    fixes[422] = fixes[400]
    return fixes.get(failed.status or 0, "check the address and the model's name")
