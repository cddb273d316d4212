"""Labels as everybody else reads them, from the file of a campaign."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from charter.annotation.tables import Adjudication, Campaign, Item, LabelEvent, Presentation, Rater
from charter.constitution import Constitution
from charter.label import Label
from charter.types import Content, Message


@dataclass(frozen=True)
class Snapshot:
    """The campaign at one moment.

    Attributes:
        labels: what each rater last said of each item; what was taken back is not there. Where the
            principle's text was found unclear, ``meta.unclear`` says so.
        items: by id.
        raters: by pseudonym.
        unclear: ids of items whose principle's text was found not to decide them.
        decided: labels by adjudicators, the last of each item.
    """

    campaign: Campaign
    labels: list[Label]
    items: dict[str, Item]
    raters: dict[str, Rater]
    unclear: set[str] = field(default_factory=set)
    decided: list[Label] = field(default_factory=list)


def snapshot(session: Session) -> Snapshot:
    """Everything that was said, as it stands."""
    campaign = session.get_one(Campaign, 1)
    items = {item.id: item for item in session.scalars(select(Item).order_by(Item.ordinal))}
    raters = {rater.id: rater for rater in session.scalars(select(Rater).order_by(Rater.id))}
    rows = session.execute(
        select(LabelEvent, Presentation)
        .join(Presentation, Presentation.label_id == LabelEvent.id)
        .order_by(LabelEvent.id)
    ).unique()
    pairs = [(event, shown) for event, shown in rows]
    last: dict[str, Adjudication] = {}
    for said in session.scalars(select(Adjudication).order_by(Adjudication.id)):
        last[said.item_id] = said
    unclear = {id for id, said in last.items() if said.verdict == "unclear"}
    scale = _highest(campaign.constitution_text, campaign.constitution_path)
    first = {(shown.rater_id, shown.item_id): event.id for event, shown in pairs if not shown.is_repeat}
    labels = []
    for event, shown in pairs:
        earlier = first.get((shown.rater_id, shown.item_id)) if shown.is_repeat else None
        item, rater = items[event.item_id], raters[event.rater_id]
        found = {"unclear": True} if item.id in unclear else {}
        labels.append(_label(campaign, event, shown, item, rater, earlier, scale, found))
    decided = [
        _decided(campaign, said, items[id], raters[said.rater_id], scale)
        for id, said in last.items()
        if said.verdict == "label"
    ]
    by_name = {rater.pseudonym: rater for rater in raters.values()}
    return Snapshot(campaign, labels, items, by_name, unclear, decided)


def content_of(prompt: Any) -> Content:
    """A stored prompt."""
    if isinstance(prompt, str):
        return prompt
    return tuple(Message(turn["role"], turn["content"]) for turn in prompt)


def by_item(labels: Iterable[Label], *, repeats: bool = False) -> dict[str, list[Label]]:
    """Labels of each item, without skips; without repeats unless asked."""
    found: dict[str, list[Label]] = {}
    for label in labels:
        if label.outcome != "skipped" and (repeats or not label.meta.get("repeat")):
            found.setdefault(label.item, []).append(label)
    return found


@lru_cache(maxsize=4)
def _highest(constitution: str, path: str) -> int:
    """The highest rating: 1 to this is the scale of every rating of a campaign."""
    return Constitution.from_text(constitution, path).judge.scale


def _label(
    campaign: Campaign,
    event: LabelEvent,
    shown: Presentation,
    item: Item,
    rater: Rater,
    earlier: int | None,
    scale: int,
    found: dict[str, Any],
) -> Label:
    meta = {
        **event.meta,
        **found,
        "campaign": campaign.uid,
        "source": item.source,
        "level": item.level,
        "stratum": item.stratum,
        "policy": shown.policy,
        "pool": shown.pool,
        "score": shown.score,
        "calibration": item.calibration,
        "judge": item.judge,
        "item": item.meta,
    }
    return Label(
        id=f"{campaign.uid}-{event.id}",
        rater=rater.pseudonym,
        kind=item.mode,  # type: ignore[arg-type]
        outcome=event.outcome,  # type: ignore[arg-type]
        value=event.value,
        shown=tuple(shown.order),
        group=rater.group,
        source="expert" if rater.role == "adjudicator" else "human",
        repeat_of="" if earlier is None else f"{campaign.uid}-{earlier}",
        seconds=None if event.seconds is None else round(event.seconds, 3),
        at=event.at,
        rationale=event.rationale,
        meta={name: value for name, value in meta.items() if value not in (None, {}, "", False)},
        **_of_item(item, scale),
    )


def _decided(campaign: Campaign, said: Adjudication, item: Item, rater: Rater, scale: int) -> Label:
    meta = {
        "adjudication": True,
        "campaign": campaign.uid,
        "source": item.source,
        "level": item.level,
        "stratum": item.stratum,
    }
    return Label(
        id=f"{campaign.uid}-a{said.id}",
        rater=rater.pseudonym,
        kind=item.mode,  # type: ignore[arg-type]
        outcome=said.outcome,  # type: ignore[arg-type]
        value=said.value,
        source="expert",
        at=said.at,
        rationale=said.note,
        meta=meta,
        **_of_item(item, scale),
    )


def _of_item(item: Item, scale: int) -> dict[str, Any]:
    return {
        "item": item.id,
        "principle": item.principle,
        "principle_sha": item.principle_sha,
        "prompt": content_of(item.prompt),
        "answers": tuple(answer.text for answer in item.answers),
        "models": tuple(answer.model for answer in item.answers),
        "gold": item.gold,
        "scale": (1, scale) if item.mode == "rating" else (),
    }
