"""One call over the network: what is sent, what comes back, and what each failure means."""

from __future__ import annotations

import asyncio
import email.utils
import json
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from charter.feedback.judging.retry import TRANSIENT_STATUSES, CallFailed
from charter.types import Content, FinishReason

_SHORTEST_SECRET = 6
"""Shorter keys are placeholders of local servers, and may be ordinary words of an answer."""

_LONGEST_QUOTE = 300
_CONNECT_S = 15.0
_NO_QUOTA = ("insufficient_quota", "billing_hard_limit_reached")


@dataclass(frozen=True, slots=True)
class Received:
    """A service's answer.

    Attributes:
        text: what was said.
        finish: why it ended, as the service says.
        model: who answered, as the service says.
        tokens_in: tokens read; None = the service did not say.
        tokens_out: tokens written; None = the service did not say.
        again: of ``tokens_in``, those from the service's own cache.
    """

    text: str
    finish: str
    model: str
    tokens_in: int | None
    tokens_out: int | None
    again: int

    @property
    def filtered(self) -> bool:
        """Whether the service kept back what the model said."""
        return self.finish == "content_filter"

    @property
    def finish_reason(self) -> FinishReason:
        """As Charter says it."""
        return "length" if self.finish in ("length", "max_tokens") else "stop"


class Wire:
    """A connection to one service, used as an async context manager.

    Args:
        url: base address; what comes before ``/chat/completions``.
        query: of the address.
        key: "" = none.
        timeout_s: longest a call may take as a whole.
        local: the service is on this machine, so no proxy is between.
    """

    def __init__(
        self, url: str, query: Mapping[str, str], key: str, timeout_s: float, *, local: bool
    ) -> None:
        from openai import AsyncOpenAI, DefaultAsyncHttpxClient, Timeout

        self._key = key
        self._timeout_s = timeout_s
        self._client = AsyncOpenAI(
            api_key=key or "none",
            base_url=url,
            default_query=dict(query),
            timeout=Timeout(timeout_s, connect=min(timeout_s, _CONNECT_S)),
            max_retries=0,  # retried here, where it is counted, paced and bounded
            http_client=DefaultAsyncHttpxClient(trust_env=not local),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.close()

    async def send(self, content: Content, body: Mapping[str, Any]) -> Received:
        """Ask once.

        Args:
            content: turns for a chat, or plain text to be continued.
            body: everything else of the request.

        Raises:
            CallFailed: whatever went wrong; its words hold no key.
        """
        import openai

        try:
            # A server that sends a byte now and then would never meet the timeout of a single read.
            async with asyncio.timeout(self._timeout_s):
                status, headers, text = await self._post(content, body)
        except (TimeoutError, openai.APITimeoutError) as error:
            raise self._late(error) from None
        except openai.APIStatusError as error:
            raise self._refused(
                error.status_code, error.response.headers, error.body, error.message
            ) from None
        except openai.APIConnectionError as error:
            raise self._unreachable(error) from None
        except openai.OpenAIError as error:
            raise CallFailed(self._quote(str(error)), transient=True) from None
        return self._received(status, headers, text)

    async def _post(self, content: Content, body: Mapping[str, Any]) -> tuple[int, Mapping[str, str], str]:
        named = {"model": body["model"]}
        rest = {name: value for name, value in body.items() if name != "model"}
        raw: Any
        if isinstance(content, str):
            raw = await self._client.completions.with_raw_response.create(
                prompt=content, extra_body=rest, **named
            )
        else:
            turns: Any = [{"role": turn.role, "content": turn.content} for turn in content]
            raw = await self._client.chat.completions.with_raw_response.create(
                messages=turns, extra_body=rest, **named
            )
        response = raw.http_response
        return response.status_code, response.headers, response.text

    # -- what failures mean --------------------------------------------------

    def _late(self, error: Exception) -> CallFailed:
        if type(error.__cause__).__name__ == "ConnectTimeout":
            return CallFailed("cannot connect: nobody answers", transient=True, reached=False)
        return CallFailed(f"no answer within {self._timeout_s:g} s", transient=True, timed_out=True)

    def _refused(self, status: int, headers: Mapping[str, str], body: Any, message: str) -> CallFailed:
        fields = body if isinstance(body, dict) else {}
        inner = fields.get("error", fields)
        inner = inner if isinstance(inner, dict) else {"message": str(inner)}
        code = str(inner.get("code") or inner.get("type") or "")
        said = self._quote(str(inner.get("message") or message))
        exhausted = status == 429 and code in _NO_QUOTA
        transient = (status in TRANSIENT_STATUSES or status >= 500) and not exhausted
        what = f"HTTP {status}" + (f" ({code})" if code and code != str(status) else "") + f": {said}"
        return CallFailed(what, status=status, transient=transient, retry_after=_retry_after(headers))

    def _unreachable(self, error: Exception) -> CallFailed:
        cause: BaseException = error
        while cause.__cause__ is not None or cause.__context__ is not None:
            cause = cause.__cause__ or cause.__context__ or cause
        why = self._quote(str(cause) or type(cause).__name__)
        certificate = "CERTIFICATE_VERIFY_FAILED" in why
        return CallFailed(f"cannot connect: {why}", transient=not certificate, reached=False)

    def _received(self, status: int, headers: Mapping[str, str], text: str) -> Received:
        try:
            data = json.loads(text)
        except ValueError:
            said = self._quote(text) or "it is empty"
            raise _garbled(f"the answer is not JSON: {said}", status) from None
        choice = _first_choice(data)
        if choice is None:
            error = data.get("error") if isinstance(data, dict) else None
            if isinstance(error, dict):  # some routers wrap a failure in HTTP 200
                code = error.get("code")
                inner = code if isinstance(code, int) and 400 <= code < 600 else 502
                raise self._refused(inner, headers, data, "")
            raise _garbled(f"the answer has no choices: {self._quote(text)}", status)
        return self._of(data, choice)

    def _of(self, data: dict[str, Any], choice: dict[str, Any]) -> Received:
        message = choice.get("message")
        if isinstance(message, dict):
            said = _words(message.get("content")) or _words(message.get("refusal"))
        else:
            said = _words(choice.get("text"))
        usage = data.get("usage")
        usage = usage if isinstance(usage, dict) else {}
        details = usage.get("prompt_tokens_details")
        return Received(
            text=self._clean(said),
            finish=str(choice.get("finish_reason") or "stop"),
            model=self._clean(str(data.get("model") or "")),
            tokens_in=_count(usage.get("prompt_tokens")),
            tokens_out=_count(usage.get("completion_tokens")),
            again=(_count(details.get("cached_tokens")) or 0) if isinstance(details, dict) else 0,
        )

    # -- words ---------------------------------------------------------------

    def _clean(self, text: str) -> str:
        """``text`` without the key, should the service send it back, and without halves of characters."""
        whole = text.encode("utf-8", "replace").decode()
        return whole.replace(self._key, "[key]") if len(self._key) >= _SHORTEST_SECRET else whole

    def _quote(self, text: str) -> str:
        """The beginning of what a service said, on one line."""
        line = " ".join(self._clean(text).split())
        return line if len(line) <= _LONGEST_QUOTE else line[:_LONGEST_QUOTE] + " ..."


def _garbled(what: str, status: int) -> CallFailed:
    """A proxy's hiccup, or the address of something else."""
    return CallFailed(what, status=status, transient=True, reached=False)


def _first_choice(data: Any) -> dict[str, Any] | None:
    choices = data.get("choices") if isinstance(data, dict) else None
    first = choices[0] if isinstance(choices, list) and choices else None
    return first if isinstance(first, dict) and ("message" in first or "text" in first) else None


def _words(content: Any) -> str:
    """Text of a message's content, which some services send in parts."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        parts = (part.get("text") for part in content if isinstance(part, dict))
        return "".join(part for part in parts if isinstance(part, str))
    return ""


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait, from milliseconds, seconds or a date."""
    for name, unit in (("retry-after-ms", 1e-3), ("retry-after", 1.0)):
        value = headers.get(name)
        if value is None:
            continue
        try:
            seconds = float(value) * unit
        except ValueError:
            seconds = _until(value)
        if math.isfinite(seconds):
            return max(seconds, 0.0)
    return None


def _until(date: str) -> float:
    """Seconds until an HTTP date; not finite where it is none."""
    try:
        return email.utils.parsedate_to_datetime(date).timestamp() - time.time()
    except ValueError:
        return math.nan
