"""Saving what a rater says: one transaction, and the same thing sent twice is one label."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from charter.annotation.options import CampaignOptions
from charter.annotation.submission import Submission, stored_value
from charter.annotation.tables import LabelEvent, Presentation, Rater
from charter.errors import UserError
from charter.rundir import now, sha256_json


class Conflict(UserError):
    """Something else was saved in the meantime: another tab, another session."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """What was saved.

    Attributes:
        label: number of the event.
        repeated: it had been saved before; nothing was added.
    """

    label: int
    repeated: bool


def submit(session: Session, rater: Rater, said: Submission, options: CampaignOptions, scale: int) -> Receipt:
    """Save one label.

    Raises:
        UserError: it does not fit what was shown to this rater.
        Conflict: the item was labelled in another tab, or the key was used for something else.
    """
    digest = sha256_json(said.model_dump(mode="json", exclude={"key", "seconds"}))
    if before := _saved(session, rater, said.key, digest):
        return Receipt(before.id, True)
    shown = session.get(Presentation, said.presentation)
    if shown is None or shown.rater_id != rater.id:
        raise UserError("this item was not shown to you", fix="reload the page")
    if shown.state != "open":
        raise Conflict(
            "you answered this item already, perhaps in another tab", fix="press u to take it back"
        )
    value = stored_value(said, shown, options, scale)
    elapsed = max(0.0, time.time() - shown.shown)
    event = LabelEvent(
        key=said.key,
        digest=digest,
        event="label",
        presentation_id=shown.id,
        rater_id=rater.id,
        item_id=shown.item_id,
        undoes=None,
        outcome=said.outcome,
        value=value,
        rationale=said.rationale.strip(),
        # In view for longer than since it was shown: a clock that was set, or a made-up number.
        seconds=elapsed if said.seconds is None else min(said.seconds, elapsed + 2.0),
        at=now(),
        meta=_meta(shown, said, elapsed, options, _undone(session, shown)),
    )
    session.add(event)
    session.flush()
    shown.state = "skipped" if said.outcome == "skipped" else "labelled"
    shown.label_id = event.id
    return Receipt(event.id, False)


def undo(session: Session, rater: Rater, key: str, options: CampaignOptions) -> Receipt:
    """Take the rater's last label back; its item comes again, in the same order.

    Raises:
        UserError: there is none.
        Conflict: the key was used for something else.
    """
    digest = sha256_json({"undo": key})
    if before := _saved(session, rater, key, digest):
        return Receipt(before.id, True)
    last = session.scalars(
        select(Presentation)
        .where(Presentation.rater_id == rater.id, Presentation.label_id.is_not(None))
        .order_by(Presentation.label_id.desc())
        .limit(1)
    ).one_or_none()
    if last is None:
        raise UserError("there is nothing to take back")
    event = LabelEvent(
        key=key,
        digest=digest,
        event="undo",
        presentation_id=last.id,
        rater_id=rater.id,
        item_id=last.item_id,
        undoes=last.label_id,
        outcome="",
        value=None,
        rationale="",
        seconds=None,
        at=now(),
        meta={},
    )
    session.add(event)
    session.flush()
    last.state, last.label_id = "open", None
    last.shown = time.time()
    last.lease_until = last.shown + options.lease_s
    return Receipt(event.id, False)


def _saved(session: Session, rater: Rater, key: str, digest: str) -> LabelEvent | None:
    found = session.scalars(
        select(LabelEvent).where(LabelEvent.rater_id == rater.id, LabelEvent.key == key)
    ).one_or_none()
    if found is not None and found.digest != digest:
        raise Conflict(
            "this was sent before with another answer; the first one is kept", fix="reload the page"
        )
    return found


def _undone(session: Session, shown: Presentation) -> bool:
    return (
        session.scalars(
            select(LabelEvent.id)
            .where(LabelEvent.presentation_id == shown.id, LabelEvent.event == "undo")
            .limit(1)
        ).one_or_none()
        is not None
    )


def _meta(
    shown: Presentation, said: Submission, elapsed: float, options: CampaignOptions, undone: bool
) -> dict[str, Any]:
    found: dict[str, Any] = {"elapsed": round(elapsed, 3), "view": said.view}
    if shown.is_repeat:
        found["repeat"] = True
    if undone:
        found["again"] = True  # said a second time, after it was taken back
        if options.reveal:
            found["revealed"] = True  # and after models and judges had been shown
    return found
