"""The server: pages, calls, and what guards them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response

from charter.annotation.calls import calls
from charter.annotation.database import Store, StoreFault
from charter.annotation.pages import pages
from charter.annotation.site import Forbidden, SignedOut, Site
from charter.annotation.submit import Conflict
from charter.annotation.uncertainty import Score, disagreement
from charter.errors import CharterError

LOOPBACK = ("127.0.0.1", "localhost", "::1")
MOST_BYTES = 2_000_000
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-store",
}
_STATUS: tuple[tuple[type[CharterError], int], ...] = (
    (StoreFault, 503),
    (SignedOut, 401),
    (Forbidden, 403),
    (Conflict, 409),
    (CharterError, 400),
)


def make_app(store: Store, *, score: Score = disagreement, hosts: tuple[str, ...] = LOOPBACK) -> FastAPI:
    """The application.

    Args:
        store: the campaign.
        score: for active assignment.
        hosts: names under which it may be asked for; () = any. A page of another site that makes its
            own name point here is refused.
    """
    site = Site(store, score)
    app = FastAPI(title="charter annotate", docs_url=None, redoc_url=None, openapi_url=None)
    app.include_router(pages(site))
    app.include_router(calls(site))

    @app.middleware("http")
    async def guard(request: Request, follow: Callable[[Request], Awaitable[Response]]) -> Response:
        answer = _refused(request, hosts) or await follow(request)
        for name, value in _HEADERS.items():
            answer.headers[name] = value
        return answer

    @app.exception_handler(CharterError)
    def told(request: Request, error: CharterError) -> Response:
        status = next(status for kind, status in _STATUS if isinstance(error, kind))
        if request.url.path.startswith("/api/"):
            return JSONResponse({"error": error.what, "fix": error.fix or ""}, status)
        return site.page(request, "message", status, title="This did not work", error=error)

    @app.exception_handler(RequestValidationError)
    def malformed(_request: Request, error: RequestValidationError) -> Response:
        first: dict[str, Any] = dict(error.errors()[0])
        place = ".".join(str(part) for part in first["loc"] if part != "body")
        return JSONResponse({"error": f"{place}: {first['msg']}", "fix": "reload the page"}, 422)

    return app


def _refused(request: Request, hosts: tuple[str, ...]) -> Response | None:
    try:
        name = urlsplit(f"//{request.headers.get('host', '')}").hostname or ""
    except ValueError:
        name = ""
    if hosts and name not in hosts:
        return _plain("this server does not go by that name", 421)
    if request.method in ("POST", "PUT", "PATCH"):
        length = request.headers.get("content-length", "")
        if not length.isdecimal():
            return _plain("say how long the message is", 411)
        if int(length) > MOST_BYTES:
            return _plain("too long", 413)
    return None


def _plain(text: str, status: int) -> Response:
    return JSONResponse({"error": text, "fix": ""}, status)
