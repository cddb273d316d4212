"""Calls made together: paced, paid for, written down, and stopped together when they must be."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from charter.engines.endpoint import ChatCall
from charter.errors import Interrupted
from charter.feedback.judging.cost import BudgetReached, Spending, about_tokens
from charter.feedback.judging.dispatch import Halt, dispatch
from charter.feedback.judging.journal import Journal
from charter.feedback.judging.limits import Pace
from charter.feedback.judging.model import Reply
from charter.feedback.judging.retry import CallFailed, GaveUp, Retry, down, fault_of, persist
from charter.feedback.judging.spec import Address, EndpointOptions, key_of
from charter.feedback.judging.wire import Received, Wire
from charter.interrupt import StopRequest
from charter.progress import Advance, say

_GRACE_S = 5.0
"""Calls under way when everything stops may be paid for already, so they may still return."""

_LOOK_EVERY_S = 0.02
_WORTH_SAYING_S = 5.0
_SAY_EVERY_S = 15.0


@dataclass
class Service:
    """One service, and what has been seen of it so far.

    Attributes:
        address: where it is.
        options: how it is asked.
        journal: where answers are kept.
        pace: how fast it is asked.
        spending: what it cost.
        retry: how transient faults are waited out.
        retries: tries that failed and were repeated.
        served: answers by the name the service gave for who answered.
        reached: it was there at least once.
        works: it has answered a question.
        answered_at: moment of its last answer.
        said_at: moment the person was last told of a wait.
    """

    address: Address
    options: EndpointOptions
    journal: Journal
    pace: Pace
    spending: Spending
    retry: Retry
    retries: int = 0
    served: Counter[str] = field(default_factory=Counter)
    reached: bool = False
    works: bool = False
    answered_at: float = float("-inf")
    said_at: float = float("-inf")


@dataclass
class Job:
    """One call to be made, and where its answer goes.

    Attributes:
        key: see :func:`charter.feedback.judging.journal.call_key`.
        call: what is asked.
        body: everything of the request besides its words.
        places: of the answer, among all that are wanted.
        reply: the answer, when it is there.
    """

    key: str
    call: ChatCall
    body: dict[str, Any]
    places: list[int] = field(default_factory=list)
    reply: Reply | None = None

    @property
    def tokens_in(self) -> int:
        """About how many tokens are read."""
        content = self.call.content
        return about_tokens([content] if isinstance(content, str) else [turn.content for turn in content])

    @property
    def tokens_out(self) -> int:
        """Most tokens that are written."""
        return self.call.sampling.max_completion_length


class Batch:
    """Jobs that are done together.

    Args:
        service: who is asked.
        jobs: what is asked; their replies are filled in.
        done: answers that were there before.
        stop: looked at all the time.
        advance: told of answers as they come.
    """

    def __init__(
        self, service: Service, jobs: list[Job], done: int, stop: StopRequest, advance: Advance
    ) -> None:
        self._service = service
        self._jobs = jobs
        self._done = done
        self._total = done + sum(len(job.places) for job in jobs)
        self._stop = stop
        self._advance = advance
        self._under_way = 0

    async def run(self) -> None:
        """Ask for every answer.

        Raises:
            ServiceFault: the service does not work.
            BudgetReached: asking on might cost more than allowed.
            Interrupted: the person asked to stop.
        """
        address, options = self._service.address, self._service.options
        key, _ = key_of(address, options.key_env)
        wire = Wire(address.url, address.query, key, options.timeout, local=address.local)
        async with wire:

            async def do(job: Job, halt: Halt) -> None:
                await self._do(wire, job, halt)

            await dispatch(
                self._jobs,
                do,
                concurrency=min(options.concurrency, len(self._jobs)),
                stopped=self._stopped,
                grace_of=self._grace_of,
            )

    def _stopped(self) -> Interrupted | None:
        if self._stop.signum is None:
            return None
        kept = self._service.journal.path
        return Interrupted(
            f"stopped with {self._done} of {self._total} answers of {self._service.address.name}",
            signum=self._stop.signum,
            fix=None if kept is None else f"run again: what was answered is kept in {kept}",
        )

    def _grace_of(self, reason: Exception) -> float:
        # At the limit of the budget calls under way are within it, and each may take its whole time.
        return self._service.options.timeout if isinstance(reason, BudgetReached) else _GRACE_S

    # -- one call ------------------------------------------------------------

    async def _do(self, wire: Wire, job: Job, halt: Halt) -> None:
        reserved = await self._reserve(job, halt)
        self._under_way += 1
        received = None
        try:
            received = await self._received(wire, job, halt)
        except CallFailed as failed:
            self._failed(job, failed)
        except GaveUp as gave_up:
            self._gave_up(job, gave_up)
        finally:
            self._under_way -= 1
            if received is None:
                self._service.spending.release(reserved)
        if received is not None:
            self._answered(job, received, reserved)
        self._done += len(job.places)
        self._advance(len(job.places), self._service.spending.note)

    async def _reserve(self, job: Job, halt: Halt) -> float:
        """Money for the call; waits for calls under way, which may cost less than is set aside."""
        spending = self._service.spending
        while (reserved := spending.reserve(job.tokens_in, job.tokens_out)) is None:
            if not self._under_way:
                raise spending.reached(self._done, self._total)
            await halt.sleep(_LOOK_EVERY_S)
        return reserved

    async def _received(self, wire: Wire, job: Job, halt: Halt) -> Received:
        service = self._service

        async def attempt() -> Received:
            entry = await service.pace.admit(job.tokens_in + job.tokens_out, halt.sleep)
            halt.check()
            try:
                received = await wire.send(job.call.content, job.body)
            except CallFailed as failed:
                service.reached = service.reached or failed.reached
                service.pace.settle(entry, job.tokens_in)
                raise
            service.reached = service.works = True
            service.answered_at = time.monotonic()
            read, written = received.tokens_in, received.tokens_out
            if read is not None and written is not None:
                service.pace.settle(entry, read + written)
            return received

        return await persist(
            attempt,
            service.retry,
            job.key,
            clock=time.monotonic,
            sleep=halt.sleep,
            met=lambda: service.reached,
            on_failure=self._waits,
        )

    def _waits(self, failed: CallFailed, wait: float) -> None:
        service = self._service
        service.retries += 1
        if failed.retry_after:
            service.pace.quiet(failed.retry_after)
        now = time.monotonic()
        if wait >= _WORTH_SAYING_S and now - service.said_at >= _SAY_EVERY_S:
            service.said_at = now
            say(f"{service.address.name}: {failed.what}; trying again in {wait:.0f} s")

    # -- what came of it -----------------------------------------------------

    def _answered(self, job: Job, received: Received, reserved: float) -> None:
        service = self._service
        estimated = received.tokens_in is None or received.tokens_out is None
        read = job.tokens_in if received.tokens_in is None else received.tokens_in
        written = about_tokens([received.text]) if received.tokens_out is None else received.tokens_out
        cost = service.spending.settle(reserved, read, written, received.again, estimated=estimated)
        service.served[received.model] += 1
        filtered = "the service's content filter kept the answer back" if received.filtered else ""
        job.reply = Reply(
            text="" if filtered else received.text,
            error=filtered,
            model=received.model,
            tokens_in=read,
            tokens_out=written,
            cost=cost,
            finish_reason=received.finish_reason,
        )
        service.journal.add(job.key, job.reply, self._about(job))

    def _failed(self, job: Job, failed: CallFailed) -> None:
        """A fault that time does not mend: of this question, or of everything that could be asked."""
        service = self._service
        job.reply = Reply(error=failed.what)
        service.journal.add(job.key, job.reply, self._about(job), failed=True)
        refused = failed.status in (400, 413, 422) and service.works
        if not (refused or failed.about_the_question):
            _, key_env = key_of(service.address, service.options.key_env)
            raise fault_of(failed, service=service.address.name, model=service.address.model, key_env=key_env)

    def _gave_up(self, job: Job, gave_up: GaveUp) -> None:
        """A fault that did not pass: of this call, if others were answered meanwhile; else of the service."""
        service = self._service
        job.reply = Reply(error=str(gave_up))
        service.journal.add(job.key, job.reply, self._about(job), failed=True)
        if service.answered_at < gave_up.since:
            raise down(gave_up, service=service.address.name)

    def _about(self, job: Job) -> dict[str, Any]:
        return {
            "service": self._service.address.name,
            "prompt_sha": job.call.prompt_sha,
            "question_sha": job.call.sha,
            "sampling": job.call.sampling.model_dump(mode="json"),
            "index": job.call.index,
        }
