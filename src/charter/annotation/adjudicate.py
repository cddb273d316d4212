"""Items on which people, judges or gold disagree: somebody decides, or says that the text does not."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import select
from sqlalchemy.orm import Session

from charter.annotation.rows import Snapshot, by_item
from charter.annotation.submission import LONGEST_NOTE, Key
from charter.annotation.submit import Conflict
from charter.annotation.tables import Adjudication, Campaign, Item, Rater
from charter.constitution import Constitution
from charter.constitution.amending.proposal import draft_of, slug_of
from charter.constitution.constitution import read_text
from charter.constitution.yaml_flow import quoted
from charter.errors import ConstitutionError, UserError
from charter.label import Label, is_right
from charter.rundir import now, sha256_json, write_text


@dataclass(frozen=True, slots=True)
class Contested:
    """An item that somebody should decide.

    Attributes:
        why: in words.
        weight: higher = sooner.
    """

    item: Item
    labels: tuple[Label, ...]
    why: str
    weight: float


class Decision(BaseModel):
    """What an adjudicator sends; values are in stored order."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    key: Key
    item: str
    verdict: Literal["label", "unclear"]
    outcome: Literal["judged", "tie", "both_bad", "not_applicable"] | None = None
    margin: Literal[-2, -1, 1, 2] | None = None
    rating: int | None = None
    note: Annotated[str, Field(max_length=LONGEST_NOTE)] = ""


def queue(now_: Snapshot, scale: int) -> list[Contested]:
    """What is contested and not decided, the most contested first."""
    settled = now_.unclear | {label.item for label in now_.decided}
    other = _on_other_scales(now_)
    found = []
    for id, labels in by_item(now_.labels).items():
        item = now_.items[id]
        if id in settled or item.mode not in ("pair", "rating") or len(labels) < 2:
            continue
        if one := _contested(item, labels, scale, other):
            found.append(one)
    return sorted(found, key=lambda one: (-one.weight, one.item.ordinal))


def decide(
    session: Session, rater: Rater, said: Decision, constitution: Constitution, drafts: Path
) -> Adjudication:
    """Save a decision; "unclear" writes a draft for ``charter constitution propose`` first.

    Raises:
        UserError: it does not fit the item.
        Conflict: somebody else decided the item, or the key was used before for something else.
    """
    digest = sha256_json(said.model_dump(mode="json", exclude={"key"}))
    before = session.scalars(
        select(Adjudication).where(Adjudication.rater_id == rater.id, Adjudication.key == said.key)
    ).one_or_none()
    if before is not None:
        if before.digest != digest:
            raise Conflict("this was sent before with another decision; the first one is kept")
        return before
    item = session.get(Item, said.item)
    if item is None:
        raise UserError(f"no item {said.item!r}")
    if session.scalars(select(Adjudication.id).where(Adjudication.item_id == item.id).limit(1)).first():
        raise Conflict("somebody decided this item already", fix="reload the page")
    value = _value(said, item, constitution.judge.scale)
    draft = ""
    if said.verdict == "unclear":
        then = session.get_one(Campaign, 1).constitution_text
        draft = str(_write_draft(said, item, constitution, then, drafts, digest))
    made = Adjudication(
        key=said.key,
        digest=digest,
        rater_id=rater.id,
        item_id=item.id,
        verdict=said.verdict,
        outcome=said.outcome or "",
        value=value,
        note=said.note.strip(),
        draft=draft,
        at=now(),
        meta={},
    )
    session.add(made)
    session.flush()
    return made


def _contested(item: Item, labels: Sequence[Label], scale: int, other: set[str]) -> Contested | None:
    reasons: list[str] = []
    weight = 0.0
    if item.mode == "pair":
        votes = [_sign(label) for label in labels]
        consensus = float(sum(votes))
        if any(a != b for a in votes for b in votes):
            weight = 1 - abs(consensus) / len(votes)
            reasons.append(f"raters disagree: {_spread(labels)}")
    else:
        rated = [float(label.value) for label in labels if label.outcome == "judged"]
        away = len(labels) - len(rated)
        consensus = sum(rated) / len(rated) - (1 + scale) / 2 if rated else 0.0
        if rated and max(rated) - min(rated) >= 2:
            weight = (max(rated) - min(rated)) / (scale - 1)
            reasons.append(f"ratings from {min(rated):g} to {max(rated):g}")
        if rated and away:
            weight = max(weight, 0.5)
            reasons.append(f"{away} of {len(labels)} say that the principle does not apply")
    for judge, said in sorted((item.judge or {}).items()):
        margin = _judged(item.mode, said) if item.mode == "pair" or judge not in other else 0.0
        if margin and consensus and (margin > 0) != (consensus > 0):
            weight += 0.5
            reasons.append(f"{judge} says the opposite of the raters")
    if item.is_gold:
        wrong = sum(is_right(label) is False for label in labels)
        if 2 * wrong > len(labels):
            weight += 0.5
            reasons.append("most raters contradict the example of the constitution")
        elif reasons:
            return None  # some raters failed a test: their matter, not the item's
    return Contested(item, tuple(labels), "; ".join(reasons), weight) if reasons else None


def _sign(label: Label) -> int:
    if label.outcome != "judged":
        return 0
    return 1 if label.value > 0 else -1


def _spread(labels: Sequence[Label]) -> str:
    names = {1: "first", -1: "second", 0: "neither"}
    counts: dict[str, int] = {}
    for label in labels:
        name = names[_sign(label)] if label.outcome != "both_bad" else "both bad"
        counts[name] = counts.get(name, 0) + 1
    return ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))


def _on_other_scales(now_: Snapshot) -> set[str]:
    """Judges with a value outside 0 to 1 anywhere: nobody said what a 1 of theirs means."""
    return {
        judge
        for item in now_.items.values()
        for judge, said in (item.judge or {}).items()
        if any(value is not None and not 0 <= value <= 1 for value in said.get("values") or ())
    }


def _judged(mode: str, said: dict[str, Any]) -> float:
    """A judge's word as a number above or below 0; 0 = it says nothing."""
    if mode == "pair":
        return float(said.get("margin") or 0.0)
    values = said.get("values") or [None]
    value = values[0]
    return 0.0 if value is None else float(value) - 0.5  # judges rate from 0 to 1


def _value(said: Decision, item: Item, scale: int) -> Any:
    if said.verdict == "unclear":
        if not item.principle:
            raise UserError("no principle's text is in question here", fix="decide it, or leave it open")
        if not said.note.strip():
            raise UserError("say what is unclear: it becomes the reason of the proposal")
        if (said.outcome, said.margin, said.rating) != (None, None, None):
            raise UserError("an item whose text is unclear has no label")
        return None
    allowed = {"pair": ("judged", "tie", "both_bad"), "rating": ("judged", "not_applicable")}[item.mode]
    if said.outcome not in allowed:
        raise UserError(f"{said.outcome!r} cannot be said of a {item.mode}")
    value = said.margin if item.mode == "pair" else said.rating
    other = said.rating if item.mode == "pair" else said.margin
    if other is not None or (value is None) == (said.outcome == "judged"):
        raise UserError("the decision and its value do not fit together")
    if item.mode == "rating" and value is not None and not 1 <= value <= scale:
        raise UserError(f"a rating goes from 1 to {scale}, not {value}")
    return value


def _write_draft(
    said: Decision, item: Item, constitution: Constitution, text_then: str, folder: Path, digest: str
) -> Path:
    """The principle's present text with the note as the reason. Written before the transaction ends: a
    file without its row is harmless, and the next attempt writes the same file."""
    base, written = _present(constitution, text_then, item.principle)
    principle = base.principle(item.principle)
    title = f"Make clear: {principle.title}"
    text = draft_of(base, written, [principle.id])
    body = text.partition("Say here why.\n")[2].lstrip("\n")
    # Quoted line by line, so that nothing in a note or an answer is taken for a part of the proposal.
    reasons = _quoted(said.note.strip())
    prompt = item.prompt if isinstance(item.prompt, str) else item.prompt[-1]["content"]
    shown = [f"An item that people could not decide ({item.mode}, {item.id}):", "", _quoted(prompt), ""]
    for answer in item.answers:
        shown += [f"Answer {answer.position + 1}:", "", _quoted(answer.text), ""]
    head = ["---", f"title: {quoted(title)}", "---", "", reasons, "", *shown]
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{slug_of(principle.id)}-{digest[:8]}.md"
    write_text(path, "\n".join(head) + "\n" + body)
    return path


def _present(constitution: Constitution, text_then: str, principle: str) -> tuple[Constitution, str]:
    """The constitution as its file is now, since a proposal changes that; else as it was labelled under."""
    with contextlib.suppress(ConstitutionError):
        text = read_text(constitution.path)
        now_ = Constitution.from_text(text, constitution.path)
        now_.principle(principle)
        return now_, text
    return constitution, text_then


def _quoted(text: str) -> str:
    return "\n".join(f"> {line}".rstrip() for line in text.splitlines())
