"""The calls that the pages make."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from charter.annotation.adjudicate import Decision, decide
from charter.annotation.raters import SESSION_DAYS, issue_link, let_in
from charter.annotation.site import TOKEN_HEADER, Forbidden, Site
from charter.annotation.submission import Key, Submission
from charter.annotation.submit import submit, undo
from charter.annotation.tables import Campaign, Presentation, Rater
from charter.annotation.view import item_view, revealed
from charter.errors import UserError


class _Sent(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Entry(_Sent):
    """The token of a link."""

    token: Annotated[str, Field(min_length=8, max_length=200)]


class Undo(_Sent):
    """Take the last label back."""

    key: Key


class Pause(_Sent):
    """Hand out items, or not."""

    paused: bool


class OfRater(_Sent):
    """Somebody, by pseudonym; ``active`` where that is to change."""

    rater: str
    active: bool | None = None


class Belongs(_Sent):
    """The group a rater says to belong to; "" = none."""

    group: str


def calls(site: Site) -> APIRouter:
    """All of them."""
    router = APIRouter(prefix="/api")

    @router.post("/enter")
    def enter(request: Request, sent: Entry) -> Response:
        # A form of another site cannot set a header, so it cannot sign anybody in.
        if request.headers.get(TOKEN_HEADER) != "enter":
            raise Forbidden("this was not sent by our page")
        with site.store.write() as session:
            rater, token = let_in(session, sent.token)
        answer = JSONResponse({"role": rater.role})
        answer.set_cookie(
            site.cookie, token, max_age=int(SESSION_DAYS * 86400), httponly=True, samesite="strict", path="/"
        )
        return answer

    @router.post("/next")
    def next_item(request: Request) -> dict[str, Any]:
        site.check_token(request)
        with site.store.write() as session:
            rater = site.rater(request, session)
            return _next(site, session, rater)

    @router.post("/submit")
    def submit_label(request: Request, sent: Submission) -> dict[str, Any]:
        site.check_token(request)
        with site.store.write() as session:
            rater = site.rater(request, session)
            receipt = submit(session, rater, sent, site.options, site.scale)
            found: dict[str, Any] = {"saved": receipt.label, "repeated": receipt.repeated}
            if site.options.reveal:
                shown = session.get_one(Presentation, sent.presentation)
                found["revealed"] = revealed(shown.item, shown.order)
        # The label is safe before anything else is looked for.
        return found

    @router.post("/undo")
    def undo_label(request: Request, sent: Undo) -> dict[str, Any]:
        site.check_token(request)
        with site.store.write() as session:
            receipt = undo(session, site.rater(request, session), sent.key, site.options)
        return {"saved": receipt.label, "repeated": receipt.repeated}

    @router.post("/group")
    def belong(request: Request, sent: Belongs) -> dict[str, Any]:
        site.check_token(request)
        if sent.group and sent.group not in site.options.groups:
            raise UserError(f"unknown group {sent.group!r}")
        with site.store.write() as session:
            site.rater(request, session).group = sent.group
        return {"group": sent.group}

    @router.post("/adjudicate")
    def adjudicate(request: Request, sent: Decision) -> dict[str, Any]:
        site.check_token(request)
        with site.store.write() as session:
            rater = site.rater(request, session, "adjudicator", "admin")
            made = decide(session, rater, sent, site.constitution, site.drafts)
        return {"saved": made.id, "draft": made.draft}

    _admin(router, site)
    return router


def _admin(router: APIRouter, site: Site) -> None:
    @router.post("/admin/pause")
    def pause(request: Request, sent: Pause) -> dict[str, Any]:
        site.check_token(request)
        with site.store.write() as session:
            site.rater(request, session, "admin")
            session.get_one(Campaign, 1).paused = sent.paused
        return {"paused": sent.paused}

    @router.post("/admin/link")
    def link(request: Request, sent: OfRater) -> dict[str, Any]:
        site.check_token(request)
        with site.store.write() as session:
            site.rater(request, session, "admin")
            return {"path": f"/enter#{issue_link(session, _named(session, sent.rater))}"}

    @router.post("/admin/rater")
    def put_out(request: Request, sent: OfRater) -> dict[str, Any]:
        site.check_token(request)
        with site.store.write() as session:
            me = site.rater(request, session, "admin")
            found = _named(session, sent.rater)
            if found.id == me.id:
                raise UserError("you cannot put yourself out")
            found.active = bool(sent.active)
        return {"active": bool(sent.active)}


def _named(session: Session, pseudonym: str) -> Rater:
    found = session.scalars(select(Rater).where(Rater.pseudonym == pseudonym)).one_or_none()
    if found is None:
        raise UserError(f"no rater {pseudonym!r}")
    return found


def _next(site: Site, session: Session, rater: Rater) -> dict[str, Any]:
    done = session.scalar(
        select(func.count())
        .select_from(Presentation)
        .where(Presentation.rater_id == rater.id, Presentation.state == "labelled")
    )
    if session.get_one(Campaign, 1).paused:
        return {"state": "paused", "done": done}
    shown = site.assigner.next(session, rater)
    if shown is None:
        return {"state": "finished", "done": done}
    return {"state": "item", "done": done, "item": item_view(shown, site.constitution, site.options)}
