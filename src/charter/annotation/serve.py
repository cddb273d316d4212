"""Running the server until somebody stops it."""

from __future__ import annotations

import contextlib
import logging
import signal
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path

import uvicorn
from filelock import FileLock, Timeout
from sqlalchemy import func, select

from charter.annotation.app import LOOPBACK, make_app
from charter.annotation.database import Store
from charter.annotation.raters import Person, enrol, issue_link
from charter.annotation.tables import Item, Rater
from charter.annotation.uncertainty import Score, disagreement
from charter.errors import EnvironmentFault, Interrupted, UserError

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
ANY = ("0.0.0.0", "::", "")


def check_ready(store: Store) -> None:
    """Find what would stop people from labelling, before the server starts.

    Raises:
        UserError: nothing to label.
        StoreFault: the file cannot be written.
    """
    with store.write() as session:
        if not session.scalar(select(func.count()).select_from(Item)):
            raise UserError("no items", where=str(store.path))


def links(store: Store, people: Sequence[Person], base: str) -> list[tuple[str, str, str]]:
    """(name, role, link) of everybody who may come in; every call makes new links, old ones stay."""
    with store.write() as session:
        enrol(session, people)
        session.flush()
        raters = session.scalars(select(Rater).where(Rater.active).order_by(Rater.id)).all()
        return [(one.name, one.role, f"{base}/enter#{issue_link(session, one)}") for one in raters]


def listen(host: str, port: int) -> socket.socket:
    """A socket that is bound.

    Raises:
        UserError: the port is taken, or the address not this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    found = socket.socket(family, socket.SOCK_STREAM)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind((host, port))
        found.listen(512)
    except (OSError, OverflowError) as error:
        found.close()
        raise UserError(
            f"cannot listen: {getattr(error, 'strerror', None) or error}",
            where=f"{host}:{port}",
            fix="choose another --port (0 = any free one)",
        ) from None
    return found


def base_url(sock: socket.socket, host: str) -> str:
    """The address to open."""
    shown = "127.0.0.1" if host in ANY else host
    return f"http://{f'[{shown}]' if ':' in shown else shown}:{sock.getsockname()[1]}"


def serve(store: Store, sock: socket.socket, host: str, *, score: Score = disagreement) -> None:
    """Serve until a signal comes; what is being answered is finished first.

    Raises:
        Interrupted: a signal came.
    """
    hosts = LOOPBACK if host in LOOPBACK else (() if host in ANY else (host, *LOOPBACK))
    config = uvicorn.Config(
        make_app(store, score=score, hosts=hosts),
        log_level=logging.WARNING,
        access_log=False,
        server_header=False,
        lifespan="off",
        timeout_graceful_shutdown=5,
        ws="none",
    )
    came: list[int] = []
    # The server shuts down in good order and raises the signal again: then it comes here.
    previous = {one: signal.signal(one, lambda number, _frame: came.append(number)) for one in _SIGNALS}
    try:
        uvicorn.Server(config).run(sockets=[sock])
    finally:
        for one, handler in previous.items():
            signal.signal(one, handler or signal.SIG_DFL)
    if came:
        raise Interrupted(
            "stopped; every label that was answered is saved",
            signum=came[0],
            fix=f"go on with: charter annotate serve {store.path}",
        )


@contextlib.contextmanager
def only_server(path: Path) -> Iterator[None]:
    """Keep a second server out; the system lets go when the process ends, however it ends.

    Raises:
        UserError: another one serves the file.
    """
    guard = FileLock(f"{path}.lock", timeout=0)
    try:
        guard.acquire()
    except Timeout:
        raise UserError("another `charter annotate serve` has this file", where=str(path)) from None
    except OSError as error:
        raise EnvironmentFault(f"cannot lock: {error.strerror or error}", where=str(path)) from None
    try:
        yield
    finally:
        guard.release()
