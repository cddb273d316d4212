"""Which item a rater sees next: overlap, strata, gold, repeats, leases; every choice is logged.

All of it happens inside one write transaction, so two raters cannot be given the last place of an item.
"""

from __future__ import annotations

import hashlib
import random
import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from sqlalchemy import ColumnElement, and_, case, func, or_, select
from sqlalchemy.orm import Session

from charter.annotation.options import CampaignOptions
from charter.annotation.tables import Campaign, Item, LabelEvent, Presentation, Rater
from charter.annotation.uncertainty import Candidate, Score, disagreement, split


@dataclass(frozen=True, slots=True)
class Place:
    """An ordinary item as the assignment sees it.

    Attributes:
        taken: labels it has, and raters who have it before them.
    """

    id: str
    stratum: str
    overlap: int
    calibration: bool
    taken: int

    @property
    def open(self) -> bool:
        """Whether it needs another rater."""
        return self.taken < self.overlap


@dataclass
class Assigner:
    """Chooses items.

    Attributes:
        options: of the campaign.
        scale: the highest rating.
        score: higher = sooner, with ``policy: active``.
    """

    options: CampaignOptions
    scale: int
    score: Score = disagreement
    _said: dict[str, dict[int, tuple[str, object]]] = field(default_factory=dict)
    _scores: dict[tuple[str, int], float] = field(default_factory=dict)
    _read_to: int = 0

    def next(self, session: Session, rater: Rater, at: float | None = None) -> Presentation | None:
        """The item before ``rater`` now; None where none is left or the campaign is paused.

        What was shown and not answered is shown again, in the same order.

        Args:
            session: of a write transaction.
            rater: who asks.
            at: seconds since the epoch; now by default.
        """
        at = time.time() if at is None else at
        if session.get_one(Campaign, 1).paused:
            return None
        places = self._places(session, rater, at)
        if found := self._unanswered(session, rater, places):
            found.shown, found.times_shown = at, found.times_shown + 1
            found.lease_until = at + self.options.lease_s
            return found
        seen = session.scalar(
            select(func.count()).select_from(Presentation).where(Presentation.rater_id == rater.id)
        )
        rng = random.Random(f"{self.options.seed}:{rater.pseudonym}:{seen}")
        return (
            self._gold(session, rater, seen or 0, rng, at)
            or self._repeat(session, rater, seen or 0, rng, at)
            or self._ordinary(session, rater, places, rng, at)
        )

    # -- what is open ------------------------------------------------------------

    def _places(self, session: Session, rater: Rater, at: float) -> dict[str, Place]:
        taken = or_(
            Presentation.state == "labelled",
            and_(
                Presentation.state == "open",
                Presentation.lease_until > at,
                Presentation.rater_id != rater.id,
            ),
        )
        rows = session.execute(
            select(
                Item.id,
                Item.stratum,
                Item.overlap,
                Item.calibration,
                func.sum(case((taken, 1), else_=0)),
            )
            .outerjoin(Presentation, and_(Presentation.item_id == Item.id, ~Presentation.is_repeat))
            .where(~Item.is_gold)
            .group_by(Item.id)
        )
        extra = self._contested(session)
        return {
            id: Place(
                id, stratum, overlap + (self.options.extra_overlap if id in extra else 0), calibration, n
            )
            for id, stratum, overlap, calibration, n in rows
        }

    def _unanswered(self, session: Session, rater: Rater, places: dict[str, Place]) -> Presentation | None:
        open_ones = session.scalars(
            select(Presentation)
            .where(Presentation.rater_id == rater.id, Presentation.state == "open")
            .order_by(Presentation.shown.desc(), Presentation.id.desc())
        ).unique()
        for one in open_ones:
            place = places.get(one.item_id)
            # Others may have filled an item while it lay open here; it is not asked once more than meant.
            if place is None or one.is_repeat or place.open:
                return one
        return None

    # -- tests of the rater ------------------------------------------------------

    def _gold(
        self, session: Session, rater: Rater, seen: int, rng: random.Random, at: float
    ) -> Presentation | None:
        given = self._given(session, rater, Item.is_gold.expression)
        if given >= self._due("gold", rater, seen, self.options.gold_share):
            return None
        unseen = session.scalars(
            select(Item).where(Item.is_gold, ~_shown_to(rater, Item.id.expression)).order_by(Item.ordinal)
        ).all()
        return self._show(session, rater, rng.choice(unseen), "gold", at, len(unseen)) if unseen else None

    def _repeat(
        self, session: Session, rater: Rater, seen: int, rng: random.Random, at: float
    ) -> Presentation | None:
        given = self._given(session, rater, Presentation.is_repeat.expression)
        if given >= self._due("repeat", rater, seen, self.options.repeat_share):
            return None
        again = select(Presentation.item_id).where(Presentation.rater_id == rater.id, Presentation.is_repeat)
        latest_first = session.scalars(
            select(Presentation)
            .join(Item)
            .where(Presentation.rater_id == rater.id, Presentation.state == "labelled")
            .where(~Presentation.is_repeat, ~Item.is_gold, Item.mode.in_(("pair", "ranking")))
            .order_by(Presentation.label_id.desc())
        ).unique()
        repeated = set(session.scalars(again))
        old = [one for one in list(latest_first)[self.options.repeat_gap :] if one.item_id not in repeated]
        if not old:
            return None
        first = rng.choice(old)
        return self._show(
            session, rater, first.item, "repeat", at, len(old), order=list(reversed(first.order))
        )

    def _given(self, session: Session, rater: Rater, which: ColumnElement[bool]) -> int:
        count = (
            select(func.count()).select_from(Presentation).join(Item).where(Presentation.rater_id == rater.id)
        )
        return session.scalar(count.where(which)) or 0

    def _due(self, what: str, rater: Rater, seen: int, share: float) -> int:
        """How many of the first ``seen + 1`` places are for ``what``: one at random in each 1 / share."""
        due = 0
        while share and (due + _unit(self.options.seed, what, rater.pseudonym, due)) / share <= seen:
            due += 1
        return due

    # -- ordinary items ----------------------------------------------------------

    def _ordinary(
        self, session: Session, rater: Rater, places: dict[str, Place], rng: random.Random, at: float
    ) -> Presentation | None:
        seen = set(session.scalars(select(Presentation.item_id).where(Presentation.rater_id == rater.id)))
        pool = [place for place in places.values() if place.open and place.id not in seen]
        pool = [place for place in pool if place.calibration] or pool
        if not pool:
            return None
        stratum = _least_covered(places.values(), pool, rng)
        pool = sorted((place for place in pool if place.stratum == stratum), key=lambda place: place.id)
        # Calibration items are for everybody, and so in nobody's order of interest.
        by_chance = self.options.policy == "random" or pool[0].calibration
        if by_chance or rng.random() < self.options.random_share:
            return self._show(
                session, rater, session.get_one(Item, rng.choice(pool).id), "random", at, len(pool)
            )
        items = {item.id: item for item in session.scalars(select(Item).where(Item.stratum == stratum))}
        scored = [(self._scored(items[place.id]), rng.random(), place.id) for place in pool]
        best, _, chosen = max(scored)
        return self._show(session, rater, items[chosen], "active", at, len(pool), score=best)

    def _show(
        self,
        session: Session,
        rater: Rater,
        item: Item,
        policy: str,
        at: float,
        pool: int,
        *,
        score: float | None = None,
        order: list[int] | None = None,
    ) -> Presentation:
        shown = Presentation(
            rater_id=rater.id,
            item_id=item.id,
            is_repeat=policy == "repeat",
            order=order or order_of(self.options.seed, rater.pseudonym, item.id, len(item.answers)),
            policy=policy,
            score=score,
            pool=pool,
            first_shown=at,
            shown=at,
            times_shown=1,
            lease_until=at + self.options.lease_s,
            state="open",
            label_id=None,
            item=item,
        )
        session.add(shown)
        session.flush()
        return shown

    # -- what people said so far -------------------------------------------------

    def _contested(self, session: Session) -> set[str]:
        """Items on which people contradict each other, where that brings more raters."""
        if self.options.policy != "active":
            return set()
        self._catch_up(session)
        if not self.options.extra_overlap:
            return set()
        several = [id for id, said in self._said.items() if len(said) > 1]
        found = session.scalars(select(Item).where(Item.id.in_(several)))
        return {item.id for item in found if split(self._candidate(item))}

    def _catch_up(self, session: Session) -> None:
        """Read what was added to the log; it is never changed, so nothing is read twice."""
        events = session.scalars(
            select(LabelEvent).where(LabelEvent.id > self._read_to).order_by(LabelEvent.id)
        )
        for event in events:
            said = self._said.setdefault(event.item_id, {})
            if event.event == "undo":
                said.pop(event.undoes or 0, None)
            elif event.outcome != "skipped" and not event.meta.get("repeat"):
                said[event.id] = (event.outcome, event.value)
            self._read_to = event.id

    def _candidate(self, item: Item) -> Candidate:
        return Candidate(
            item.id,
            item.mode,
            item.prompt,
            tuple(answer.text for answer in item.answers),
            item.principle,
            item.judge,
            tuple(self._said.get(item.id, {}).values()),
            self.scale,
        )

    def _scored(self, item: Item) -> float:
        key = (item.id, hash(tuple(self._said.get(item.id, ()))))
        if key not in self._scores:
            self._scores[key] = self.score(self._candidate(item))
        return self._scores[key]


def order_of(seed: int, rater: str, item: str, count: int) -> list[int]:
    """Positions of the answers as this rater sees them; the same whenever it is asked."""
    order = list(range(count))
    digest = hashlib.blake2b(f"{seed}:{rater}:{item}".encode(), digest_size=16).hexdigest()
    random.Random(digest).shuffle(order)
    return order


def _shown_to(rater: Rater, item_id: ColumnElement[str]) -> ColumnElement[bool]:
    return (
        select(Presentation.id)
        .where(Presentation.rater_id == rater.id, Presentation.item_id == item_id)
        .exists()
    )


def _least_covered(everything: Iterable[Place], pool: list[Place], rng: random.Random) -> str:
    """The stratum with the smallest share of the labels it wants, by chance where several have it."""
    had: dict[str, int] = {}
    wanted: dict[str, int] = {}
    for place in everything:
        had[place.stratum] = had.get(place.stratum, 0) + min(place.taken, place.overlap)
        wanted[place.stratum] = wanted.get(place.stratum, 0) + place.overlap
    open_strata = sorted({place.stratum for place in pool})
    return min(open_strata, key=lambda name: (had[name] / wanted[name], rng.random()))


def _unit(*parts: object) -> float:
    digest = hashlib.blake2b(":".join(map(str, parts)).encode(), digest_size=8).digest()
    return int.from_bytes(digest) / 2**64
