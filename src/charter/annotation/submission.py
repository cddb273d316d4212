"""What a rater sends, read and checked against what was shown."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, Strict

from charter.annotation.options import CampaignOptions
from charter.annotation.tables import Presentation
from charter.errors import UserError

Key = Annotated[str, Field(min_length=8, max_length=80, pattern=r"^[A-Za-z0-9_-]+$")]
Mark = Annotated[tuple[int, int, str], Strict(False)]
"""JSON has lists only: these may be taken for a tuple."""
LONGEST_TEXT = 100_000
LONGEST_NOTE = 5_000
MARGINS = (-2, -1, 1, 2)
"""B>>A, B>A, A>B, A>>B as seen; above 0 where the first shown is better."""


class Submission(BaseModel):
    """One answer of a rater, in the order that was shown."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    key: Key
    """Made by the page when the item was shown; the same for every attempt to send it."""
    presentation: Annotated[int, Field(ge=1)]
    outcome: Literal["judged", "tie", "both_bad", "not_applicable", "skipped"]
    margin: Literal[-2, -1, 1, 2] | None = None
    ranks: Annotated[list[int], Field(max_length=32)] | None = None
    rating: int | None = None
    text: Annotated[str, Field(max_length=LONGEST_TEXT)] | None = None
    spans: Annotated[list[Mark], Field(max_length=500)] | None = None
    rationale: Annotated[str, Field(max_length=LONGEST_NOTE)] = ""
    seconds: Annotated[float, Field(ge=0)] | None = None
    """For which the page was in view."""
    view: Literal["markdown", "plain"] = "markdown"


_FIELD = {"pair": "margin", "ranking": "ranks", "rating": "rating", "revision": "text", "spans": "spans"}
_OUTCOMES = {
    "pair": ("judged", "tie", "both_bad", "skipped"),
    "ranking": ("judged", "tie", "both_bad", "skipped"),
    "rating": ("judged", "not_applicable", "skipped"),
    "revision": ("judged", "not_applicable", "skipped"),
    "spans": ("judged", "not_applicable", "skipped"),
}


def stored_value(said: Submission, shown: Presentation, options: CampaignOptions, scale: int) -> Any:
    """The value in stored order, as :class:`charter.label.Label` has it; None unless judged.

    Raises:
        UserError: what was said does not fit what was shown.
    """
    mode = shown.item.mode
    if said.outcome not in _OUTCOMES[mode]:
        raise UserError(f"{said.outcome!r} cannot be said of a {mode}")
    given = [name for name in _FIELD.values() if getattr(said, name) is not None]
    wanted = [_FIELD[mode]] if said.outcome == "judged" else []
    if given != wanted:
        raise UserError(f"a {mode} that is {said.outcome} has {wanted or 'no value'}, not {given}")
    if said.outcome != "judged":
        return None
    answers = [answer.text for answer in shown.item.answers]
    if said.margin is not None:
        return said.margin if shown.order[0] == 0 else -said.margin
    if said.ranks is not None:
        return _ranks(said.ranks, shown.order)
    if said.rating is not None:
        if not 1 <= said.rating <= scale:
            raise UserError(f"a rating goes from 1 to {scale}, not {said.rating}")
        return said.rating
    if said.text is not None:
        return _revision(said.text, answers[0])
    return _spans(said.spans or [], answers[0], options.span_tags)


def _ranks(ranks: list[int], order: list[int]) -> list[int]:
    if len(ranks) != len(order) or min(ranks) < 1 or max(ranks) > len(order):
        raise UserError(f"{len(order)} answers are ranked, each from 1 to {len(order)}; got {ranks}")
    dense = {rank: place for place, rank in enumerate(sorted(set(ranks)), start=1)}
    if len(dense) == 1:
        raise UserError("all answers have the same rank", fix="say tie (0) or all bad (9)")
    stored = [0] * len(order)
    for rank, position in zip(ranks, order, strict=True):
        stored[position] = dense[rank]
    return stored


def _revision(text: str, before: str) -> str:
    if not text.strip():
        raise UserError("the revised answer is empty", fix="write one, or skip (s)")
    if text.strip() == before.strip():
        raise UserError("the answer was not changed", fix="say that nothing needs changing (n), or skip (s)")
    return text


def _spans(spans: list[tuple[int, int, str]], text: str, tags: tuple[str, ...]) -> list[list[Any]]:
    if not spans:
        raise UserError("nothing is marked", fix="say that there is nothing to mark (n), or skip (s)")
    for start, end, tag in spans:
        if not 0 <= start < end <= len(text):
            raise UserError(f"a mark from {start} to {end} in a text of {len(text)} characters")
        if tag not in tags:
            raise UserError(f"unknown mark {tag!r}")
    return sorted([start, end, tag] for start, end, tag in set(spans))
