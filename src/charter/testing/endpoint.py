"""A fake OpenAI-compatible endpoint on loopback that answers, garbles, stalls, refuses, dies and returns.

    with FakeEndpoint([status(500), say("yes")]) as fake:
        judge = open_endpoint(f"endpoint:fake@{fake.url}")

A script is a list of acts, one for each request, the last one for all further ones; or a function from the
request to an act, for answers that depend on what is asked.
"""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked.

    Attributes:
        number: 0-based, in order of arrival.
        path: of the address.
        body: as it was sent.
        key: the bearer's; "" = none.
        at: moment of arrival, monotonic seconds.
    """

    number: int
    path: str
    body: Mapping[str, Any]
    key: str
    at: float

    @property
    def text(self) -> str:
        """The last turn, or the plain text."""
        messages = self.body.get("messages")
        return str(messages[-1]["content"] if messages else self.body.get("prompt", ""))


@dataclass(frozen=True, slots=True)
class Act:
    """What the endpoint does with one request.

    Attributes:
        status: of HTTP.
        body: sent as JSON; text is sent as it is; None = the connection is cut.
        headers: besides the usual ones.
        wait_s: seconds before the answer.
        drip: the status is sent at once, the body byte by byte within ``wait_s``.
        dead_s: the whole endpoint is gone for that long.
    """

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    wait_s: float = 0.0
    drip: bool = False
    dead_s: float = 0.0


Script = Sequence[Act] | Callable[[Request], Act]


def say(
    text: str | None,
    *,
    finish: str = "stop",
    tokens: tuple[int, int] | None = (10, 5),
    cached: int = 0,
    model: str = "fake-1",
    wait_s: float = 0.0,
) -> Act:
    """Answer ``text``.

    Args:
        text: what is said; None as some services send it for a refusal.
        finish: ``finish_reason``.
        tokens: read and written; None = the answer does not say.
        cached: how many of the tokens read were in the service's cache.
        model: who answers.
        wait_s: seconds before the answer.
    """
    choice = {"index": 0, "finish_reason": finish, "text": text}
    choice["message"] = {"role": "assistant", "content": text}
    body: dict[str, Any] = {"id": "x", "object": "chat.completion", "created": 0, "model": model}
    body["choices"] = [choice]
    if tokens is not None:
        body["usage"] = {"prompt_tokens": tokens[0], "completion_tokens": tokens[1]}
        body["usage"]["total_tokens"] = sum(tokens)
        body["usage"]["prompt_tokens_details"] = {"cached_tokens": cached}
    return Act(body=body, wait_s=wait_s)


def status(code: int, message: str = "", *, kind: str = "", retry_after: str = "") -> Act:
    """Refuse with an HTTP status, in the words of the OpenAI API."""
    error = {"message": message or f"scripted {code}", "type": "scripted", "code": kind or None}
    return Act(code, {"error": error}, {"Retry-After": retry_after} if retry_after else {})


def garble(text: str = '{"choices": [{"mess') -> Act:
    """Answer with something that is not JSON."""
    return Act(body=text)


def stall(seconds: float, *, drip: bool = False) -> Act:
    """Answer very late; ``drip`` sends bytes all the while."""
    act = say("late", wait_s=seconds)
    return Act(body=act.body, wait_s=seconds, drip=drip)


def hang_up() -> Act:
    """Cut the connection without a word."""
    return Act()


def die(seconds: float) -> Act:
    """Be gone, the port closed and all connections cut, and come back."""
    return Act(dead_s=seconds)


class FakeEndpoint:
    """Runs in threads of this process while it is used as a context manager.

    Args:
        script: see the module.
        key: the only key it takes; "" = any, or none.
        models: the models it knows; empty = any.
    """

    def __init__(self, script: Script, *, key: str = "", models: Sequence[str] = ()) -> None:
        self._script = script
        self._key = key
        self._models = tuple(models)
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._server: _Server | None = None
        self._later: threading.Timer | None = None
        self._port = 0
        self.requests: list[Request] = []
        """Everything it was asked, in order of arrival."""
        self.most_at_once = 0
        """Most requests that were under way together."""
        self._under_way = 0

    @property
    def url(self) -> str:
        """Base address."""
        return f"http://127.0.0.1:{self._port}/v1"

    @property
    def texts(self) -> list[str]:
        """What it was asked."""
        return [request.text for request in self.requests]

    def __enter__(self) -> Self:
        self.come_back()
        return self

    def __exit__(self, *error: object) -> None:
        self._closing.set()
        if self._later is not None:
            self._later.cancel()
        self.die()

    def die(self) -> None:
        """Close the port and cut all connections."""
        with self._lock:
            server, self._server = self._server, None
        if server is not None:
            server.end()

    def come_back(self) -> None:
        """Listen again, at the same port."""
        if self._closing.is_set():
            return
        server = _Server(("127.0.0.1", self._port), self._handler())
        self._port = server.server_address[1]
        with self._lock:
            self._server = server
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()

    # -- one request ---------------------------------------------------------

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                size = int(self.headers.get("Content-Length", 0))
                body = json.loads(self.rfile.read(size) or b"{}")
                key = (self.headers.get("Authorization") or "").removeprefix("Bearer ").strip()
                fake._serve(self, body, key)

            def log_message(self, format: str, *args: Any) -> None:
                """Say nothing."""

        return Handler

    def _serve(self, handler: BaseHTTPRequestHandler, body: Mapping[str, Any], key: str) -> None:
        with self._lock:
            request = Request(len(self.requests), handler.path, body, key, time.monotonic())
            self.requests.append(request)
            self._under_way += 1
            self.most_at_once = max(self.most_at_once, self._under_way)
        try:
            self._do(handler, self._act(request))
        except OSError:
            handler.close_connection = True  # the one who asked has left
        finally:
            with self._lock:
                self._under_way -= 1

    def _act(self, request: Request) -> Act:
        if not request.path.split("?")[0].endswith("/completions"):
            return status(404, f"no such path {request.path}")
        if self._key and request.key != self._key:
            return status(401, f"Incorrect API key provided: {request.key}", kind="invalid_api_key")
        model = request.body.get("model")
        if self._models and model not in self._models:
            return status(404, f"The model '{model}' does not exist", kind="model_not_found")
        if callable(self._script):
            return self._script(request)
        return self._script[min(request.number, len(self._script) - 1)]

    def _do(self, handler: BaseHTTPRequestHandler, act: Act) -> None:
        if act.dead_s:
            self._later = threading.Timer(act.dead_s, self.come_back)
            self._later.daemon = True
            self._later.start()
            self.die()
            return
        if act.body is None:
            handler.close_connection = True
            return
        if not act.drip:
            self._closing.wait(act.wait_s)
        sent = (act.body if isinstance(act.body, str) else json.dumps(act.body)).encode()
        handler.send_response(act.status)
        for name, value in {"Content-Type": "application/json", **act.headers}.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(sent)))
        handler.end_headers()
        if not act.drip:
            handler.wfile.write(sent)
            return
        for place in range(len(sent)):
            handler.wfile.write(sent[place : place + 1])
            handler.wfile.flush()
            self._closing.wait(act.wait_s / len(sent))


class _Server(ThreadingHTTPServer):
    """A server that can end at once, its connections with it."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        self._open: set[socket.socket] = set()
        self._open_lock = threading.Lock()
        super().__init__(address, handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Remember the connection."""
        with self._open_lock:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Forget the connection."""
        with self._open_lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: that connections end is part of the script."""

    def end(self) -> None:
        """Close the port and all connections."""
        self.shutdown()
        self.server_close()
        with self._open_lock:
            mine, self._open = list(self._open), set()
        for connection in mine:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue
