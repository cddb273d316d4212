"""Completions rated by a model on several aspects (UltraFeedback, 2310.01377).

``completions[]``: ``model``, ``response``, ``annotations`` of ``{aspect: {Rating, Rationale}}``. The score
that is trained on is the mean of an answer's ratings; ``overall_score`` is kept beside it and not used.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from charter.data.columns import items, require
from charter.data.public.parts import answered, asked, filled, item_of, label_of_row
from charter.data.public.schema import PublicRow, PublicSet
from charter.data.rows import Row
from charter.errors import DataError
from charter.label import Label

UNRATED = "answers without a rating"
SCALE = (1.0, 5.0)
"""Of each aspect."""


def _fits(values: Mapping[str, Any]) -> bool:
    answers = values.get("completions")
    return (
        "instruction" in values
        and isinstance(answers, list | tuple)
        and bool(answers)
        and all(isinstance(one, Mapping) and "annotations" in one and "response" in one for one in answers)
    )


def _read(row: Row) -> PublicRow:
    prompt = filled(row, "instruction")
    labels: list[Label] = []
    texts: list[str] = []
    scores: list[dict[str, float]] = []
    left_out: list[str] = []
    for place, given in enumerate(items(row, "completions")[1]):
        if not isinstance(given, Mapping):
            raise DataError(f"completions[{place + 1}] is no object", where=row.source)
        inside = Row(given, f"{row.source}: completions[{place + 1}]")
        answer = filled(inside, "response")
        said = _labels(row, inside, place, prompt, answer)
        labels += said
        rated = {label.principle: float(label.value) for label in said if label.outcome == "judged"}
        if rated:
            texts.append(answer)
            scores.append(rated)
        else:
            left_out.append(UNRATED)
    return PublicRow(tuple(labels), _rows(prompt, texts, scores), tuple(left_out))


def _labels(row: Row, inside: Row, place: int, prompt: str, answer: str) -> list[Label]:
    annotations = require(inside, "annotations")[1]
    if not isinstance(annotations, Mapping):
        raise DataError("'annotations' is not {aspect: {Rating}}", where=inside.source)
    found = []
    for aspect, said in annotations.items():
        rating, why = _rating(said, f"{inside.source}: {aspect}")
        found.append(
            label_of_row(
                row,
                "ultrafeedback",
                f"{place}:{aspect}",
                item=item_of(prompt, answer),
                rater="ultrafeedback",
                kind="rating",
                outcome="judged" if rating is not None else "not_applicable",
                value=rating,
                scale=SCALE,
                principle=str(aspect),
                prompt=prompt,
                answers=(answer,),
                models=(str(inside.values.get("model") or ""),),
                source="ai",
                rationale=why,
                meta={k: inside.values[k] for k in ("overall_score",) if inside.values.get(k) is not None},
            )
        )
    return found


def _rating(said: Any, where: str) -> tuple[float | None, str]:
    """The number, or None where the aspect did not apply; and the rationale."""
    if isinstance(said, list):  # some releases wrap it
        said = said[0] if said else None
    if not isinstance(said, Mapping) or "Rating" not in said:
        raise DataError("no 'Rating'", where=where)
    rating, why = said["Rating"], str(said.get("Rationale") or said.get("Rationale For Rating") or "")
    if rating is None or str(rating).strip().upper() in ("N/A", "NA", ""):
        return None, why
    try:
        return float(rating), why
    except (TypeError, ValueError):
        raise DataError(f"the rating is {rating!r}", where=where) from None


def _rows(
    prompt: str, texts: list[str], scores: list[dict[str, float]]
) -> dict[str, tuple[dict[str, Any], ...]]:
    if len(texts) < 2:
        return {}
    both: dict[str, Any] = {"prompt": asked(prompt), "responses": [answered(text) for text in texts]}
    means = [sum(said.values()) / len(said) for said in scores]
    return {"rated": ({**both, "scores": means},), "attributes": ({**both, "scores": scores},)}


ULTRAFEEDBACK = PublicSet("ultrafeedback", "completions rated by a model (2310.01377)", _fits, _read)
