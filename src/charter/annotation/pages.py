"""The pages, made on this side; what moves on them is in ``static/app.js``."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from charter.annotation.adjudicate import Contested, queue
from charter.annotation.assign import order_of
from charter.annotation.monitor import agreement, by_rater, coverage, group_sizes, rater_stats
from charter.annotation.rows import Snapshot, by_item, snapshot
from charter.annotation.site import FOLDER, Site
from charter.annotation.tables import Rater
from charter.annotation.view import LETTERS, principle_view, prompt_view, text_view
from charter.label import Label

_TYPES = {"app.css": "text/css", "app.js": "text/javascript"}
MOST = 50
"""Items of the adjudication queue on one page."""
MIN_RATE = 5
"""Fewest counted labels for which a rater is told a rate."""


def pages(site: Site) -> APIRouter:
    """All of them."""
    router = APIRouter()

    @router.get("/")
    def home(request: Request) -> Response:
        with site.store.read() as session:
            rater = site.rater(request, session)
        return RedirectResponse("/admin" if rater.role == "admin" else "/label", 303)

    @router.get("/enter")
    def enter(request: Request) -> Response:
        return site.page(request, "enter")

    @router.get("/label")
    def label(request: Request) -> Response:
        with site.store.read() as session:
            rater = site.rater(request, session)
        return site.page(request, "label", rater=rater)

    @router.get("/me")
    def me(request: Request) -> Response:
        with site.store.read() as session:
            rater = site.rater(request, session)
            own = by_rater(snapshot(session)).get(rater.pseudonym, [])
        stats = rater_stats(own)
        return site.page(
            request, "me", rater=rater, stats=stats, min_rate=MIN_RATE, groups=site.options.groups
        )

    @router.get("/admin")
    def admin(request: Request) -> Response:
        with site.store.read() as session:
            rater = site.rater(request, session, "admin")
            now = snapshot(session)
        return site.page(request, "admin", rater=rater, **_overview(site, now))

    @router.get("/adjudicate")
    def adjudicate(request: Request) -> Response:
        with site.store.read() as session:
            rater = site.rater(request, session, "adjudicator", "admin")
            now = snapshot(session)
        contested = queue(now, site.scale)
        shown = [_contested(site, one, rater) for one in contested[:MOST]]
        return site.page(
            request,
            "adjudicate",
            rater=rater,
            items=shown,
            more=len(contested) - len(shown),
            scale=site.scale,
        )

    @router.get("/static/{name}")
    def static(name: str) -> Response:
        if name not in _TYPES:
            return Response("no such file", 404, media_type="text/plain")
        return Response((FOLDER / "static" / name).read_bytes(), media_type=_TYPES[name])

    return router


def _overview(site: Site, now: Snapshot) -> dict[str, Any]:
    strata = coverage(now)
    ordinary = [label for label in now.labels if label.gold is None]
    said = by_item(ordinary)
    return {
        "paused": now.campaign.paused,
        "strata": strata,
        "wanted": sum(one.wanted for one in strata),
        "had": sum(one.labels for one in strata),
        "items": sum(one.items for one in strata),
        "done": sum(one.done for one in strata),
        "over": sum(
            max(0, len(said.get(id, ())) - item.overlap) for id, item in now.items.items() if not item.is_gold
        ),
        "agreement": agreement(now.labels),
        "raters": [
            (now.raters[name], rater_stats(labels))
            for name, labels in by_rater(now).items()
            if labels or now.raters[name].role != "admin"
        ],
        "groups": group_sizes(now.raters.values(), now.labels, site.options.min_cell),
        "contested": len(queue(now, site.scale)),
        "unclear": len(now.unclear),
        "decided": len(now.decided),
    }


def _contested(site: Site, one: Contested, rater: Rater) -> dict[str, Any]:
    item = one.item
    order = order_of(site.options.seed, rater.pseudonym, item.id, len(item.answers))
    answers = [
        {"letter": letter, "model": item.answers[place].model, **text_view(item.answers[place].text)}
        for letter, place in zip(LETTERS, order, strict=False)
    ]
    principle = None
    if item.principle:
        principle = principle_view(site.constitution.principle(item.principle), site.scale)
    return {
        "id": item.id,
        "mode": item.mode,
        "why": one.why,
        "prompt": prompt_view(item.prompt),
        "answers": answers,
        "principle": principle,
        "turned": int(order[0] != 0),
        "labels": [(label.rater, words_of(label, order), label.rationale) for label in one.labels],
    }


def words_of(label: Label, order: list[int]) -> str:
    """A label in words, with the letters of ``order``."""
    if label.outcome != "judged":
        return label.outcome.replace("_", " ")
    if label.kind == "rating":
        return str(label.value)
    better = 0 if label.value > 0 else 1
    return f"{LETTERS[order.index(better)]}{' much' if abs(label.value) > 1 else ''} better"
