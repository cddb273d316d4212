"""The SQLite file of a campaign: how it is opened, read and written."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, select
from sqlalchemy.exc import DatabaseError
from sqlalchemy.orm import Session
from sqlalchemy.pool import QueuePool

from charter.annotation.options import CampaignOptions
from charter.annotation.tables import APPLICATION, SCHEMA, Base, Campaign
from charter.errors import EnvironmentFault, UserError

PATIENCE = 10.0
"""Seconds to wait for another writer."""
_WRITES = "charter_writes"


class StoreFault(EnvironmentFault):
    """The file could not be read or written; nothing of the transaction is left in it."""


class Store:
    """The file of a campaign.

    Args:
        path: of an existing file; :func:`create_store` makes one.
        patience: seconds to wait while somebody else writes.

    Raises:
        UserError: no such file, or no campaign in it.
    """

    def __init__(self, path: str | Path, *, patience: float = PATIENCE) -> None:
        self.path = Path(path)
        if not self.path.is_file():
            raise UserError("no such file", where=str(path), fix="make it: charter annotate new")
        self.engine = _engine(self.path, patience)
        # SQLite lets those who wait sleep and try again, and may pass one over for long; a lock does not.
        self._turn = threading.Lock()
        self._writer = self.engine.execution_options(**{_WRITES: True})
        _check_ours(self)

    @contextlib.contextmanager
    def read(self) -> Iterator[Session]:
        """A session that sees the file as it is at its first question.

        Raises:
            StoreFault: the file cannot be read.
        """
        with _faults(self.path), Session(self.engine, expire_on_commit=False) as session:
            yield session

    @contextlib.contextmanager
    def write(self) -> Iterator[Session]:
        """One transaction: all of it or nothing. It holds the right to write from its beginning.

        Raises:
            StoreFault: the file is locked, the disk full, read-only or broken.
        """
        with (
            _faults(self.path),
            self._turn,
            Session(self._writer, expire_on_commit=False) as session,
            session.begin(),
        ):
            yield session

    def campaign(self) -> tuple[Campaign, CampaignOptions]:
        """The campaign and how it is run."""
        with self.read() as session:
            found = session.scalars(select(Campaign)).one()
            return found, options_of(found)

    def close(self) -> None:
        """Let go of the file."""
        self.engine.dispose()


def options_of(campaign: Campaign) -> CampaignOptions:
    """How a campaign is run."""
    tuples = {name: tuple(campaign.options[name]) for name in ("span_tags", "groups")}
    return CampaignOptions.model_validate({**campaign.options, **tuples})


def create_store(path: Path) -> Store:
    """A new, empty file.

    Raises:
        UserError: there is a file already, or no folder for it.
        StoreFault: it cannot be written.
    """
    if path.exists():
        raise UserError(
            "there is a file already",
            where=str(path),
            fix="labels are never overwritten; choose another name",
        )
    if not path.parent.is_dir():
        raise UserError("no such folder", where=str(path.parent), fix="make it first")
    engine = _engine(path, PATIENCE)
    with _faults(path):
        with engine.connect() as connection:
            connection.exec_driver_sql(f"PRAGMA application_id={APPLICATION}")
            connection.exec_driver_sql(f"PRAGMA user_version={SCHEMA}")
            connection.commit()
        Base.metadata.create_all(engine)
    engine.dispose()
    return Store(path)


def _engine(path: Path, patience: float) -> Engine:
    engine = create_engine(
        URL.create("sqlite", database=str(path)),
        connect_args={"timeout": patience, "check_same_thread": False},
        poolclass=QueuePool,
        pool_size=8,
        max_overflow=40,
    )

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: Any) -> None:
        # The driver would begin transactions by itself, and only at the first write.
        connection.isolation_level = None
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout={int(patience * 1000)}")
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=FULL")  # what was answered "saved" survives a power cut
        cursor.close()

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get(_WRITES, False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _check_ours(store: Store) -> None:
    head = store.path.read_bytes()[:16] if store.path.stat().st_size else b""
    if not head.startswith(b"SQLite format 3"):
        raise UserError("not a campaign of `charter annotate`", where=str(store.path))
    with _faults(store.path), store.engine.connect() as connection:
        application = connection.exec_driver_sql("PRAGMA application_id").scalar()
        version = connection.exec_driver_sql("PRAGMA user_version").scalar()
        if application != APPLICATION:
            raise UserError("not a campaign of `charter annotate`", where=str(store.path))
        if version != SCHEMA:
            raise UserError(
                f"tables of version {version}; this Charter knows {SCHEMA}", where=str(store.path)
            )
        sound = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar()
        if sound != "ok":
            raise EnvironmentFault(
                f"the file is damaged: {sound}", where=str(store.path), fix="take a copy and recover it"
            )


_MEANINGS = (
    ("locked", "somebody else is writing and did not finish", "send it again in a moment"),
    ("full", "the disk is full", "free some disk space and send it again"),
    ("readonly", "the file cannot be written", "check its permissions and send it again"),
    ("disk i/o", "the disk does not answer", "check the disk and send it again"),
    ("unable to open", "the file cannot be opened", "check its folder and permissions"),
    ("malformed", "the file is damaged", "stop, take a copy and recover it"),
    ("not a database", "the file is damaged", "stop, take a copy and recover it"),
)


@contextlib.contextmanager
def _faults(path: Path) -> Iterator[None]:
    """Say what the database's word means to a person."""
    try:
        yield
    except DatabaseError as error:
        said = str(error.orig).lower()
        for word, what, fix in _MEANINGS:
            if word in said:
                raise StoreFault(
                    f"{what}; nothing was saved of this step", where=path.name, fix=fix
                ) from error
        raise
