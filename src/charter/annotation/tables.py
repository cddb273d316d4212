"""The tables. What a person said is only ever added; what is shown to whom is never rewritten."""

from __future__ import annotations

from typing import Any

from sqlalchemy import DDL, JSON, ForeignKey, Index, UniqueConstraint, event
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

SCHEMA = 1
"""Version of the tables; in ``PRAGMA user_version``."""
APPLICATION = 0x43485254
"""Marks the file as ours, in ``PRAGMA application_id``."""


class Base(DeclarativeBase):
    """Of all tables."""


class Campaign(Base):
    """The one campaign of the file."""

    __tablename__ = "campaign"
    id: Mapped[int] = mapped_column(primary_key=True)
    uid: Mapped[str]
    name: Mapped[str]
    created_at: Mapped[str]
    constitution_path: Mapped[str]
    constitution_sha: Mapped[str]
    constitution_text: Mapped[str]
    options: Mapped[dict[str, Any]] = mapped_column(JSON)
    made_from: Mapped[dict[str, Any]] = mapped_column(JSON)
    paused: Mapped[bool] = mapped_column(default=False)


class Item(Base):
    """Something to be labelled."""

    __tablename__ = "item"
    id: Mapped[str] = mapped_column(primary_key=True)
    ordinal: Mapped[int] = mapped_column(index=True)
    mode: Mapped[str]
    principle: Mapped[str]
    principle_sha: Mapped[str]
    level: Mapped[str]
    source: Mapped[str]
    stratum: Mapped[str] = mapped_column(index=True)
    prompt: Mapped[Any] = mapped_column(JSON)
    overlap: Mapped[int]
    calibration: Mapped[bool]
    is_gold: Mapped[bool] = mapped_column(index=True)
    gold: Mapped[Any] = mapped_column(JSON)
    judge: Mapped[Any] = mapped_column(JSON)
    meta: Mapped[dict[str, Any]] = mapped_column(JSON)
    answers: Mapped[list[Answer]] = relationship(order_by="Answer.position", lazy="selectin")


class Answer(Base):
    """One of an item's answers."""

    __tablename__ = "answer"
    item_id: Mapped[str] = mapped_column(ForeignKey("item.id"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str]
    model: Mapped[str]


class Rater(Base):
    """Somebody who labels. ``name`` never leaves the file; ``pseudonym`` does."""

    __tablename__ = "rater"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    pseudonym: Mapped[str] = mapped_column(unique=True)
    role: Mapped[str]
    group: Mapped[str] = mapped_column(default="")
    active: Mapped[bool] = mapped_column(default=True)
    created_at: Mapped[str]


class Ticket(Base):
    """A link that lets a rater in once, or the session that it became; only hashes are kept."""

    __tablename__ = "ticket"
    digest: Mapped[str] = mapped_column(primary_key=True)
    rater_id: Mapped[int] = mapped_column(ForeignKey("rater.id"), index=True)
    kind: Mapped[str]
    created_at: Mapped[float]
    expires_at: Mapped[float]
    used_at: Mapped[float | None]


class Presentation(Base):
    """An item before a rater: the order of its answers, and why it was chosen."""

    __tablename__ = "presentation"
    __table_args__ = (
        UniqueConstraint("rater_id", "item_id", "is_repeat"),
        Index("presentation_of_item", "item_id", "state"),
        Index("presentation_of_rater", "rater_id", "state"),
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    rater_id: Mapped[int] = mapped_column(ForeignKey("rater.id"))
    item_id: Mapped[str] = mapped_column(ForeignKey("item.id"))
    is_repeat: Mapped[bool]
    order: Mapped[list[int]] = mapped_column("answer_order", JSON)
    policy: Mapped[str]
    score: Mapped[float | None]
    pool: Mapped[int]
    first_shown: Mapped[float]
    shown: Mapped[float]
    times_shown: Mapped[int]
    lease_until: Mapped[float]
    state: Mapped[str]
    """``open``, ``labelled`` or ``skipped``."""
    label_id: Mapped[int | None] = mapped_column(ForeignKey("label_event.id"))
    item: Mapped[Item] = relationship(lazy="joined")


class LabelEvent(Base):
    """A label, or the taking back of one."""

    __tablename__ = "label_event"
    __table_args__ = (UniqueConstraint("rater_id", "key"), {"sqlite_autoincrement": True})
    id: Mapped[int] = mapped_column(primary_key=True)
    key: Mapped[str]
    digest: Mapped[str]
    event: Mapped[str]
    """``label`` or ``undo``."""
    presentation_id: Mapped[int]
    rater_id: Mapped[int] = mapped_column(ForeignKey("rater.id"))
    item_id: Mapped[str] = mapped_column(ForeignKey("item.id"), index=True)
    undoes: Mapped[int | None] = mapped_column(ForeignKey("label_event.id"))
    outcome: Mapped[str]
    value: Mapped[Any] = mapped_column(JSON)
    rationale: Mapped[str]
    seconds: Mapped[float | None]
    at: Mapped[str]
    meta: Mapped[dict[str, Any]] = mapped_column(JSON)


class Adjudication(Base):
    """What somebody decided about an item on which people disagreed."""

    __tablename__ = "adjudication"
    __table_args__ = (UniqueConstraint("rater_id", "key"), {"sqlite_autoincrement": True})
    id: Mapped[int] = mapped_column(primary_key=True)
    key: Mapped[str]
    digest: Mapped[str]
    rater_id: Mapped[int] = mapped_column(ForeignKey("rater.id"))
    item_id: Mapped[str] = mapped_column(ForeignKey("item.id"), index=True)
    verdict: Mapped[str]
    """``label``, or ``unclear``: the text does not decide it."""
    outcome: Mapped[str]
    value: Mapped[Any] = mapped_column(JSON)
    note: Mapped[str]
    draft: Mapped[str]
    at: Mapped[str]
    meta: Mapped[dict[str, Any]] = mapped_column(JSON)


def _append_only(table: str) -> None:
    for verb in ("UPDATE", "DELETE"):
        statement = DDL(  # type: ignore[no-untyped-call]
            f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
            f"BEGIN SELECT RAISE(ABORT, '{table} is only ever added to'); END"
        )
        event.listen(Base.metadata, "after_create", statement)


_append_only("label_event")
_append_only("adjudication")
