"""Who may label: a list of names, links that let them in once, sessions. Only hashes of secrets are kept."""

from __future__ import annotations

import csv
import hashlib
import io
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from charter.annotation.tables import Rater, Ticket
from charter.errors import DataError, UserError, did_you_mean
from charter.rundir import now

ROLES = ("rater", "adjudicator", "admin")
LINK_DAYS = 14.0
SESSION_DAYS = 90.0
_COLUMNS = ("name", "group", "role")
_DAY = 86400.0


@dataclass(frozen=True, slots=True)
class Person:
    """One line of the list of raters."""

    name: str
    group: str = ""
    role: str = "rater"


def pseudonym() -> str:
    """A name that says nothing about its bearer."""
    return f"r-{secrets.token_hex(4)}"


def read_people(path: Path) -> list[Person]:
    """Raters from a CSV file with the column ``name``, and perhaps ``group`` and ``role``.

    Raises:
        DataError: with ``file:line``: an unknown column or role, no name, a name twice.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot be read: {error}", where=str(path)) from None
    reader = csv.DictReader(io.StringIO(text))
    header = [str(name).strip().lower() for name in reader.fieldnames or ()]
    reader.fieldnames = header
    if "name" not in header:
        raise DataError(
            "no column 'name'", where=f"{path}:1", fix="begin the file with the line: name,group,role"
        )
    for column in header:
        if column not in _COLUMNS:
            raise DataError(
                f"unknown column {column!r}", where=f"{path}:1", fix=did_you_mean(column, _COLUMNS)
            )
    people: list[Person] = []
    for row in reader:
        where = f"{path}:{reader.line_num}"
        said = {key: (value or "").strip() for key, value in row.items() if key in _COLUMNS}
        if not any(said.values()):
            continue
        person = Person(said["name"], said.get("group", ""), said.get("role", "") or "rater")
        if not person.name:
            raise DataError("a rater without a name", where=where)
        if person.role not in ROLES:
            raise DataError(
                f"unknown role {person.role!r}", where=where, fix=did_you_mean(person.role, ROLES)
            )
        if person.name in [other.name for other in people]:
            raise DataError(f"{person.name!r} stands there twice", where=where)
        people.append(person)
    if not people:
        raise DataError("nobody is named", where=str(path))
    return people


def check_groups(people: Sequence[Person], groups: Sequence[str], where: str) -> None:
    """Refuse a group that the campaign does not have.

    Raises:
        DataError: an unknown group.
    """
    for person in people:
        if person.group and person.group not in groups:
            raise DataError(
                f"{person.name!r} is of the group {person.group!r}, which the campaign does not have",
                where=where,
                fix=did_you_mean(person.group, groups),
            )


def enrol(session: Session, people: Sequence[Person]) -> None:
    """Add who is new; who is known keeps pseudonym and labels, and takes the role the list says."""
    for person in people:
        known = session.scalars(select(Rater).where(Rater.name == person.name)).one_or_none()
        if known is None:
            session.add(
                Rater(
                    name=person.name,
                    pseudonym=pseudonym(),
                    role=person.role,
                    group=person.group,
                    created_at=now(),
                )
            )
            continue
        known.role, known.active = person.role, True
        known.group = person.group or known.group


def issue_link(session: Session, rater: Rater) -> str:
    """A token that lets ``rater`` in once."""
    return _issue(session, rater, "link", LINK_DAYS)


def let_in(session: Session, token: str) -> tuple[Rater, str]:
    """The rater and the session that a link's token becomes; the token is spent.

    Raises:
        UserError: unknown, spent or too old, or the rater was put out.
    """
    ticket = session.get(Ticket, digest(token))
    if ticket is None or ticket.kind != "link":
        raise UserError("this link is not known here", fix="ask for a new one")
    if ticket.used_at is not None:
        raise UserError("this link was used already", fix="ask for a new one; it opens one browser")
    if ticket.expires_at < time.time():
        raise UserError("this link is too old", fix="ask for a new one")
    rater = session.get_one(Rater, ticket.rater_id)
    if not rater.active:
        raise UserError("this rater was put out of the campaign", fix="ask who runs it")
    ticket.used_at = time.time()
    return rater, _issue(session, rater, "session", SESSION_DAYS)


def who(session: Session, token: str) -> Rater | None:
    """Whose session it is; None = nobody's."""
    ticket = session.get(Ticket, digest(token)) if token else None
    if ticket is None or ticket.kind != "session" or ticket.expires_at < time.time():
        return None
    rater = session.get(Rater, ticket.rater_id)
    return rater if rater is not None and rater.active else None


def digest(token: str) -> str:
    """What is kept of a token: it has 256 random bits, so that a plain hash cannot be searched."""
    return hashlib.sha256(token.encode()).hexdigest()


def _issue(session: Session, rater: Rater, kind: str, days: float) -> str:
    token = secrets.token_urlsafe(32)
    created = time.time()
    session.add(
        Ticket(
            digest=digest(token),
            rater_id=rater.id,
            kind=kind,
            created_at=created,
            expires_at=created + days * _DAY,
            used_at=None,
        )
    )
    return token
