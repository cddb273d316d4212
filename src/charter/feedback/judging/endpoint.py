"""A model behind an OpenAI-compatible endpoint, as a judge and as the service of an engine.

Calls run many at a time; each answer is written to the journal as it returns. Transient faults are waited
out, the others end the run with what to do about them, and nothing that was answered is asked again.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any

from charter.engines.base import OnProgress, Sampling
from charter.engines.endpoint import ChatCall
from charter.errors import UserError
from charter.feedback.judging.batch import Batch, Job, Service
from charter.feedback.judging.cost import Spending
from charter.feedback.judging.dispatch import run
from charter.feedback.judging.family import family_of
from charter.feedback.judging.journal import Journal, again, call_key
from charter.feedback.judging.limits import Pace
from charter.feedback.judging.model import Asking, Question, Reply
from charter.feedback.judging.retry import Retry
from charter.feedback.judging.spec import (
    LIMIT_FIELDS,
    Address,
    EndpointOptions,
    key_of,
    options_of,
    parse_spec,
)
from charter.interrupt import graceful
from charter.progress import Advance, progress

_OWN_FIELDS = frozenset(
    ("model", "messages", "prompt", "n", "stream", "temperature", "top_p", "stop", "seed", *LIMIT_FIELDS)
)
"""What a request says by itself."""

_SHOWN_FROM = 20
"""Fewer calls than this need no bar."""


class Endpoint:
    """A :class:`~charter.feedback.judging.model.JudgeModel`, and the service of an endpoint engine.

    Args:
        address: where the model is.
        options: how it is asked.
        journal: where answers are kept; None = in memory only.
        extra: further fields of every request, as the service defines them.
        retry: how transient faults are waited out; None = as the options say.

    Raises:
        UserError: options that contradict each other, or no key where one is needed.
    """

    def __init__(
        self,
        address: Address,
        options: EndpointOptions | None = None,
        *,
        journal: Journal | None = None,
        extra: Mapping[str, Any] | None = None,
        retry: Retry | None = None,
    ) -> None:
        options = options or EndpointOptions()
        self._service = Service(
            address,
            options,
            journal if journal is not None else Journal(),
            Pace(options.limits(), time.monotonic),
            Spending(options.prices(), options.max_cost),
            retry or options.retry(),
        )
        self._extra = dict(extra or {})
        own = sorted(_OWN_FIELDS & self._extra.keys())
        if own:
            raise UserError(
                f"{', '.join(own)} cannot be set for every request", where="extra", fix="leave it out"
            )
        key_of(address, options.key_env)  # a missing key is found before any work is done

    @property
    def name(self) -> str:
        """``MODEL@host/path``."""
        return self._service.address.name

    @property
    def family(self) -> str:
        """Told from the model's name, or by the options."""
        return self._service.options.family or family_of(self._service.address.model)

    @property
    def journal(self) -> Journal:
        """Where answers are kept."""
        return self._service.journal

    @property
    def spending(self) -> Spending:
        """What was spent in this process."""
        return self._service.spending

    def answer(self, questions: Sequence[Question], asking: Asking) -> list[list[Reply]]:
        """See :meth:`charter.feedback.judging.model.JudgeModel.answer`.

        Raises:
            ServiceFault: the service does not work for any question: wrong key, model or address, or down.
            BudgetReached: asking on might cost more than allowed.
            Interrupted: the person asked to stop; what was answered is kept.
        """
        if asking.n < 1:
            raise UserError(f"n must be at least 1, not {asking.n}")
        sampling = Sampling(
            temperature=asking.temperature, max_completion_length=asking.max_tokens, seed=asking.seed
        )
        calls = [ChatCall(q.turns, sampling, i, q.prompt_sha) for q in questions for i in range(asking.n)]
        replies = [_spoken(reply, asking.max_tokens) for reply in self.chat(calls)]
        return [replies[at : at + asking.n] for at in range(0, len(replies), asking.n)]

    def chat(self, calls: Sequence[ChatCall], on_progress: OnProgress | None = None) -> list[Reply]:
        """See :meth:`charter.engines.endpoint.ChatService.chat`; equal calls are made once.

        Raises:
            ServiceFault: see :meth:`answer`.
            BudgetReached: see :meth:`answer`.
            Interrupted: see :meth:`answer`.
        """
        replies: dict[int, Reply] = {}
        jobs: dict[str, Job] = {}
        for place, call in enumerate(calls):
            body = self._body(call)
            key = self._key(call, body)
            known = self.journal.get(key)
            if known is None:
                jobs.setdefault(key, Job(key, call, body)).places.append(place)
            else:
                replies[place] = known
        if replies:
            self._service.works = True
        if replies and on_progress is not None:
            on_progress(len(replies))
        if jobs:
            self._ask(list(jobs.values()), len(replies), on_progress)
        for job in jobs.values():
            assert job.reply is not None
            for number, place in enumerate(job.places):
                replies[place] = again(job.reply) if number else job.reply
        return [replies[place] for place in range(len(calls))]

    def summary(self) -> dict[str, Any]:
        """What was asked of the service in this process, as plain data for a report."""
        service, spending = self._service, self.spending
        return {
            "model": self.name,
            "family": self.family,
            "calls": spending.calls,
            "tokens_in": spending.tokens_in,
            "tokens_out": spending.tokens_out,
            "cost": None if spending.prices is None else round(spending.cost, 6),
            "calls_without_usage": spending.estimated,
            "retries": service.retries,
            "answered_by": dict(service.served),
        }

    def _ask(self, jobs: list[Job], done: int, on_progress: OnProgress | None) -> None:
        total = done + sum(len(job.places) for job in jobs)
        shown: AbstractContextManager[Advance] = nullcontext(_to(on_progress))
        if on_progress is None and len(jobs) >= _SHOWN_FROM:
            shown = progress(f"asking {self._service.address.model}", total, done=done)
        with graceful() as stop, shown as advance:
            run(Batch(self._service, jobs, done, stop, advance).run)

    def _body(self, call: ChatCall) -> dict[str, Any]:
        """Everything of the request besides its words."""
        options, sampling, host = self._service.options, call.sampling, self._service.address.host
        limit = options.limit_field
        if limit == "auto":
            limit = "max_completion_tokens" if host == "api.openai.com" else "max_tokens"
        body: dict[str, Any] = {
            "model": self._service.address.model,
            "temperature": sampling.temperature,
            limit: sampling.max_completion_length,
            "seed": _seed(sampling.seed, call.index),
        }
        if sampling.top_p < 1:
            body["top_p"] = sampling.top_p
        if sampling.stop:
            body["stop"] = list(sampling.stop)
        for name, value in (("top_k", sampling.top_k), ("min_p", sampling.min_p)):
            if value and name not in options.accepts:
                raise UserError(
                    f"{name} is not part of what every endpoint understands",
                    where=name,
                    fix=f"leave it out, or say accepts={name} if {host} takes it",
                )
            if value:
                body[name] = value
        return {name: value for name, value in body.items() if name not in options.omit} | self._extra

    def _key(self, call: ChatCall, body: Mapping[str, Any]) -> str:
        # The seed and the limit are in the sampling; what services call them decides nothing.
        alike = ("model", "seed", *LIMIT_FIELDS)
        sent = {name: value for name, value in body.items() if name not in alike}
        return call_key(self.name, call.prompt_sha, call.sha, call.sampling, call.index, sent)


def open_endpoint(
    spec: str,
    *,
    journal: Journal | str | os.PathLike[str] | None = None,
    extra: Mapping[str, Any] | None = None,
    retry: Retry | None = None,
    **options: Any,
) -> Endpoint:
    """The model that ``endpoint:MODEL@https://host/v1[,option=value ...]`` names.

    Args:
        spec: see :mod:`charter.feedback.judging.spec`.
        journal: a journal or its file; None = answers are kept in memory only.
        extra: further fields of every request, e.g. ``{"reasoning_effort": "low"}``.
        retry: how transient faults are waited out; None = as ``retry_for`` says.
        options: fields of :class:`~charter.feedback.judging.spec.EndpointOptions`; they win over the spec's.

    Raises:
        ConfigError: another shape, an unknown option, a bad value, a secret in the address.
        UserError: no key where one is needed, a limit on cost without prices.
    """
    address, named = parse_spec(spec)
    book = journal if journal is None or isinstance(journal, Journal) else Journal(journal)
    checked = options_of({**named, **options}, where=address.name)
    return Endpoint(address, checked, journal=book, extra=extra, retry=retry)


def _seed(seed: int, index: int) -> int:
    """What is sent for sample ``index``: neighbouring seeds share no samples."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{index}".encode()).digest()[:4], "big") & 0x7FFFFFFF


def _spoken(reply: Reply, max_tokens: int) -> Reply:
    """``reply``, with silence marked as an error: an empty answer is no verdict."""
    if reply.error or reply.text.strip():
        return reply
    cut = f" within {max_tokens} tokens" if reply.finish_reason == "length" else ""
    return replace(reply, text="", error=f"the model said nothing{cut}")


def _to(on_progress: OnProgress | None) -> Advance:
    def advance(n: int = 1, note: str = "") -> None:
        if on_progress is not None:
            on_progress(n)

    return advance
