"""What one control of Label Studio says: pairwise, choices, rating, ranker, number, text, spans."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from charter.errors import DataError
from charter.feedback.label_io.question_map import Question
from charter.feedback.label_io.task_fields import Fields
from charter.feedback.label_io.words import Said, said_by
from charter.label import VERDICT

Result = Mapping[str, Any]
"""An entry of an annotation's ``result``, or of a column of JSON-MIN: it has a ``value``."""

_SIDES = {"left": 1, "right": -1}
NOTHING = "an answer that chooses nothing"


@dataclass(frozen=True, slots=True)
class Heard:
    """What a control says, of which answers.

    Attributes:
        said: the label's kind, outcome and value; None = words only.
        answers: texts it is said of.
        names: fields of those texts, or ids.
        option: which of several choices.
        shown: their order on the screen, where it is known.
        text: words that stand beside other labels.
    """

    said: Said | None
    answers: tuple[str, ...] = ()
    option: str = ""
    shown: tuple[int, ...] = ()
    text: str = ""


def heard(results: Sequence[Result], fields: Fields, question: Question, where: str) -> list[Heard]:
    """What the results of one control in one annotation say.

    Raises:
        DataError: what cannot be read, in words.
    """
    bound = fields.shown_to(_bound_to(results[0]))
    values = [result.get("value") for result in results]
    if not all(isinstance(value, Mapping) for value in values):
        raise DataError("a result without a value", where=where)
    first: Mapping[str, Any] = values[0]  # type: ignore[assignment]
    if "selected" in first and "items" not in first:
        return [_pairwise(first, bound, where)]
    if "rating" in first:
        return [Heard(Said("rating", value=first["rating"]), _one(bound, fields))]
    if "number" in first:
        return [Heard(Said("rating", value=first["number"]), _one(bound, fields))]
    if "choices" in first:
        return _choices(first["choices"], bound, question, where)
    if "ranker" in first:
        return [_ranked(first["ranker"], fields, where)]
    if _tags(first) is not None and "start" in first:
        return [_spans(values, bound, where)]
    if "text" in first:
        return [_text(values, bound, question, where)]
    raise DataError(
        f"a result of type {results[0].get('type')!r} is about no text and no choice", where=where
    )


def _bound_to(result: Result) -> list[str]:
    return [name.strip() for name in str(result.get("to_name") or "").split(",") if name.strip()]


def _one(bound: tuple[str, ...], fields: Fields) -> tuple[str, ...]:
    return bound or fields.answers


def _pairwise(value: Mapping[str, Any], bound: tuple[str, ...], where: str) -> Heard:
    side = value["selected"]
    if side not in _SIDES:
        raise DataError(NOTHING if side in (None, "none", "") else f"selected is {side!r}", where=where)
    if len(bound) != 2:
        raise DataError(f"a pairwise choice of {len(bound)} answers: name two in the map", where=where)
    return Heard(Said("pair", value=_SIDES[side]), bound, shown=(0, 1))


def _choices(chosen: Any, bound: tuple[str, ...], question: Question, where: str) -> list[Heard]:
    if not isinstance(chosen, list) or not all(isinstance(one, str) for one in chosen):
        raise DataError(f"choices are {chosen!r}", where=where)
    if not chosen:
        raise DataError(NOTHING, where=where)
    if question.as_ == "labels" or len(chosen) > 1:
        # Each tag that was set is a finding of its own; what was not set may not have been looked for.
        return [Heard(Said("rating", value=1, scale=VERDICT), bound, option=one) for one in chosen]
    said = said_by(chosen[0], len(bound), question.values)
    if said is None:
        raise DataError(f"nobody said what the choice {chosen[0]!r} means: name it in the map", where=where)
    return [Heard(said, bound)]


def _ranked(given: Any, fields: Fields, where: str) -> Heard:
    """One list in order; of several buckets only where everything is in one of them."""
    if isinstance(given, Mapping):
        filled = [ids for ids in given.values() if ids]
        if len(filled) != 1 or given.get("_"):
            raise DataError("answers in several buckets, or unranked: their order is not said", where=where)
        given = filled[0]
    if not isinstance(given, list):
        raise DataError(f"a ranking is {type(given).__name__}", where=where)
    order = [str(one) for one in given]
    if sorted(order) != sorted(fields.names):
        raise DataError("a ranking that does not name every answer once", where=where)
    return Heard(Said("ranking", value=[order.index(name) + 1 for name in fields.names]), fields.answers)


def _tags(value: Mapping[str, Any]) -> list[str] | None:
    found = next((value[name] for name in value if name.endswith("labels")), None)
    return [str(tag) for tag in found] if isinstance(found, list) else None


def _spans(values: Sequence[Any], bound: tuple[str, ...], where: str) -> Heard:
    if len(bound) != 1:
        raise DataError(f"marks in {len(bound)} texts: name the field in the map", where=where)
    spans: list[list[Any]] = []
    for value in values:
        start, end, tags = value.get("start"), value.get("end"), _tags(value)
        if not isinstance(start, int) or not isinstance(end, int) or not tags:
            raise DataError("a mark without whole numbers of characters, or without a tag", where=where)
        said = value.get("text")
        if isinstance(said, str) and bound[0][start:end] != said:
            raise DataError("a mark whose text does not stand at its characters", where=where)
        if not 0 <= start < end <= len(bound[0]):
            raise DataError("a mark outside the text", where=where)
        spans += [[start, end, tag] for tag in tags]
    return Heard(Said("spans", value=spans), bound)


def _text(values: Sequence[Any], bound: tuple[str, ...], question: Question, where: str) -> Heard:
    lines = [line for value in values for line in _lines(value["text"])]
    text = "\n".join(lines).strip()
    if not text:
        raise DataError("an empty text", where=where)
    if question.as_ != "revision":
        return Heard(None, text=text)
    if len(bound) != 1:
        raise DataError(f"a revision of {len(bound)} answers: of one it could be", where=where)
    return Heard(Said("revision", value=text), bound)


def _lines(text: Any) -> list[str]:
    return [str(line) for line in text] if isinstance(text, list) else [str(text)]
