"""What the pages and the calls of the server share: the campaign, the templates, who is signed in."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from sqlalchemy.orm import Session

from charter.annotation.assign import Assigner
from charter.annotation.database import Store
from charter.annotation.options import CampaignOptions
from charter.annotation.raters import who
from charter.annotation.tables import Campaign, Rater
from charter.annotation.uncertainty import Score, disagreement
from charter.constitution import Constitution
from charter.errors import UserError

TOKEN_HEADER = "x-charter-token"
FOLDER = Path(__file__).parent


class SignedOut(UserError):
    """Nobody is signed in in this browser."""


class Forbidden(UserError):
    """Not for this person, or not sent by our page."""


@dataclass
class Site:
    """A campaign that is served.

    Attributes:
        store: its file.
        score: for active assignment.
    """

    store: Store
    score: Score = disagreement
    campaign: Campaign = field(init=False)
    options: CampaignOptions = field(init=False)
    constitution: Constitution = field(init=False)
    assigner: Assigner = field(init=False)
    pages: Environment = field(init=False)

    def __post_init__(self) -> None:
        self.campaign, self.options = self.store.campaign()
        self.constitution = constitution_of(self.campaign)
        self.assigner = Assigner(self.options, self.scale, self.score)
        self.pages = Environment(
            loader=FileSystemLoader(FOLDER / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )

    @property
    def scale(self) -> int:
        """The highest rating."""
        return self.constitution.judge.scale

    @property
    def cookie(self) -> str:
        """Its own for each campaign: a browser sends cookies to every port of a machine."""
        return f"charter_annotate_{self.campaign.uid}"

    @property
    def drafts(self) -> Path:
        """Where drafts of proposals are written."""
        return self.store.path.with_name(f"{self.store.path.stem}-drafts")

    def rater(self, request: Request, session: Session, *roles: str) -> Rater:
        """Who asks.

        Raises:
            SignedOut: nobody.
            Forbidden: somebody without one of ``roles``.
        """
        found = who(session, request.cookies.get(self.cookie, ""))
        if found is None:
            raise SignedOut(
                "you are not signed in", fix="open the link that you were given, or ask for a new one"
            )
        if roles and found.role not in roles:
            raise Forbidden("this page is not for you")
        return found

    def check_token(self, request: Request) -> None:
        """Refuse a call that our page, opened by the one who is signed in now, did not send.

        Raises:
            Forbidden: no token, or that of another session.
        """
        sent = request.headers.get(TOKEN_HEADER, "")
        if not hmac.compare_digest(sent, self.page_token(request)):
            raise Forbidden(
                "this page belongs to another session: somebody else signed in in this browser",
                fix="reload the page",
            )

    def page_token(self, request: Request) -> str:
        """What our pages send back with every call; other sites cannot read it."""
        session = request.cookies.get(self.cookie, "")
        return hashlib.sha256(f"page:{session}".encode()).hexdigest()

    def page(self, request: Request, name: str, status: int = 200, **values: Any) -> HTMLResponse:
        """A page from its template."""
        rater = values.pop("rater", None)
        text = self.pages.get_template(f"{name}.html.j2").render(
            page=name,
            campaign=self.campaign,
            rater=rater,
            token=self.page_token(request) if rater is not None else "",
            **values,
        )
        return HTMLResponse(text, status)


def constitution_of(campaign: Campaign) -> Constitution:
    """The constitution as it was when the campaign was made."""
    return Constitution.from_text(campaign.constitution_text, campaign.constitution_path)
