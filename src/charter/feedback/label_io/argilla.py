"""Argilla's records as JSON (2.x): fields, responses of users by question, suggestions of agents."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from charter.data.rows import Row, Rows
from charter.errors import DataError
from charter.feedback.label_io.imported import Collector
from charter.feedback.label_io.pseudonym import pseudonym
from charter.feedback.label_io.question_map import Question
from charter.feedback.label_io.task_fields import Fields, fields_of, item_named
from charter.feedback.label_io.words import Said, said_by
from charter.label import VERDICT

LISTED = "a list of names: say in the map whether the question is a ranking or labels"
WORDS = "a text: say in the map whether it is a revision or a rationale, or what the choice means"


@dataclass(frozen=True, slots=True)
class _Given:
    """One user's answer to one question."""

    question: str
    value: Any
    user: Any
    status: str


@dataclass(frozen=True, slots=True)
class _Read:
    said: Said
    answers: tuple[str, ...]
    option: str = ""


def fits(values: Mapping[str, Any]) -> bool:
    """Whether a row is a record of Argilla."""
    return isinstance(values.get("fields"), Mapping) and "responses" in values


def read(rows: Rows, found: Collector) -> None:
    """Hand every submitted response to ``found``."""
    found.each(rows, lambda row: _record(row, found))


def _record(row: Row, found: Collector) -> None:
    fields = fields_of(row.values["fields"], found.map, row.source)
    given = list(_responses(row))
    suggestions = dict(_suggestions(row))
    item = str(row.values.get("id") or row.values.get("_server_id") or row.source)
    for name in suggestions.keys() - {one.question for one in given}:
        found.skip(f"{row.source}: {name}", "a suggestion that nobody answered")
    if not given and not suggestions:
        found.skip(row.source, "a record without a response")
    words: dict[str, list[str]] = {}
    for one in given:
        if found.map.of(one.question).as_ == "rationale" and isinstance(one.value, str):
            words.setdefault(str(one.user), []).append(one.value)
    spoken: set[str] = set()
    for one in given:
        place = f"{row.source}: {one.question}"
        kind = found.map.of(one.question).as_
        if kind == "rationale":
            continue
        if kind == "ignore":
            found.skip(place, "a question that the map says to ignore")
        elif one.status == "draft":
            found.skip(place, "a draft that was not submitted")
        else:
            rationale = "\n".join(words.get(str(one.user), ()))
            if _response(one, place, item, fields, suggestions, rationale, row, found):
                spoken.add(str(one.user))
    for user in words.keys() - spoken:
        found.skip(row.source, f"a rationale of {pseudonym(user, 'user')} beside no label")


def _response(
    one: _Given,
    place: str,
    item: str,
    fields: Fields,
    suggestions: Mapping[str, Mapping[str, Any]],
    rationale: str,
    row: Row,
    found: Collector,
) -> bool:
    question = found.map.of(one.question)
    try:
        reads = list(_read(one.value, fields, question))
    except DataError as error:
        found.skip(place, error.what)
        return False
    discarded = one.status == "discarded"
    if not one.status:
        found.note("the export does not say which responses were submitted; all of them were taken")
    suggestion = suggestions.get(one.question, {})
    metadata = row.values.get("metadata")
    for said in reads:
        found.add(
            place,
            one.question,
            said.option,
            id="-".join(filter(None, (item, one.question, str(one.user), said.option))),
            item=item_named(item, said.answers, fields),
            rater=pseudonym(one.user, "user"),
            kind=said.said.kind,
            outcome="skipped" if discarded else said.said.outcome,
            value=None if discarded else said.said.value,
            scale=said.said.scale,
            prompt=fields.prompt,
            answers=said.answers,
            models=fields.models if said.answers == fields.answers else (),
            rationale=rationale,
            suggestion=_suggested(suggestion, fields, question, said.option),
            meta={
                **({"metadata": metadata} if metadata else {}),
                **({"suggested_by": suggestion["agent"]} if suggestion.get("agent") else {}),
            },
        )
    return bool(reads)


def _suggested(suggestion: Mapping[str, Any], fields: Fields, question: Question, option: str) -> Any:
    """What was pre-filled, as a label's value; the raw value where it cannot be read as one."""
    if suggestion.get("value") is None:
        return None
    try:
        reads = list(_read(suggestion["value"], fields, question))
    except DataError:
        return suggestion["value"]
    if option:
        return int(any(read.option == option for read in reads))
    said = reads[0].said
    return said.value if said.outcome == "judged" else said.outcome


def _read(value: Any, fields: Fields, question: Question) -> Iterator[_Read]:
    """A response as labels: what it is follows from its form, and from the map where that does not say."""
    if isinstance(value, bool) or value is None:
        raise DataError(f"a response of {value!r}")
    if isinstance(value, int | float):
        yield _Read(Said("rating", value=value), fields.answers)
    elif isinstance(value, str):
        yield _text(value, fields, question)
    elif isinstance(value, list) and value and all(isinstance(one, str) for one in value):
        yield from _names(value, fields, question)
    elif isinstance(value, list) and value and all(isinstance(one, Mapping) for one in value):
        yield _spans(value, fields, question) if "start" in value[0] else _ranks(value, fields)
    else:
        raise DataError("a response of no known form")


def _text(value: str, fields: Fields, question: Question) -> _Read:
    if question.as_ == "revision":
        if len(fields.answers) != 1:
            raise DataError(f"a revision of {len(fields.answers)} answers: of one it could be")
        return _Read(Said("revision", value=value), fields.answers)
    said = said_by(value, len(fields.answers), question.values)
    if said is None:
        raise DataError(WORDS)
    return _Read(said, fields.answers)


def _names(value: list[str], fields: Fields, question: Question) -> Iterator[_Read]:
    """Names in a list: a ranking where they are the answers' fields, else what the map says."""
    if question.as_ == "labels":
        for one in value:
            yield _Read(Said("rating", value=1, scale=VERDICT), fields.answers, option=one)
    elif question.as_ == "ranking" or (len(value) > 1 and set(value) <= set(fields.values)):
        yield _ranks([{"value": one} for one in value], fields)
    else:
        raise DataError(LISTED)


def _ranks(value: list[Any], fields: Fields) -> _Read:
    """Options with their ranks, ties allowed; without ranks they stand in order."""
    names = [str(one.get("value")) for one in value]
    ranks = [one.get("rank", place) for place, one in enumerate(value, start=1)]
    texts = [fields.values.get(name) for name in names]
    if len(set(names)) < len(names) or not all(isinstance(text, str) for text in texts):
        raise DataError("a ranking of options that are no fields of the record")
    if not all(isinstance(rank, int) for rank in ranks):
        raise DataError("a ranking that leaves options out")
    order = sorted(range(len(names)), key=lambda i: list(fields.values).index(names[i]))
    answers = tuple(str(texts[i]) for i in order)
    return _Read(Said("ranking", value=[ranks[i] for i in order]), answers)


def _spans(value: list[Any], fields: Fields, question: Question) -> _Read:
    text = fields.values.get(question.field) if question.field else None
    if text is None and question.field is None:
        texts = fields.answers or tuple(one for one in fields.values.values() if isinstance(one, str))
        if len(texts) != 1:
            raise DataError(f"marks in one of {len(texts)} texts: name its field in the map")
        text = texts[0]
    if not isinstance(text, str):
        raise DataError(f"no text in the field {question.field!r}")
    spans = [[one.get("start"), one.get("end"), str(one.get("label", ""))] for one in value]
    if not all(isinstance(a, int) and isinstance(b, int) and 0 <= a < b <= len(text) for a, b, _ in spans):
        raise DataError("a mark outside the text")
    return _Read(Said("spans", value=spans), (text,))


def _responses(row: Row) -> Iterator[_Given]:
    """By question with a list of users, or by user with a list of questions (the server's form)."""
    given = row.values["responses"] or {}
    if isinstance(given, Mapping):
        for name, answers in given.items():
            for one in _objects(answers, row.source, name):
                yield _Given(str(name), one.get("value"), one.get("user_id"), _status(one))
        return
    for one in _objects(given, row.source, "responses"):
        values = one.get("values") or {}
        if not isinstance(values, Mapping):
            raise DataError("a response whose values are no object", where=row.source)
        for name, answer in values.items():
            value = answer.get("value") if isinstance(answer, Mapping) else answer
            yield _Given(str(name), value, one.get("user_id"), _status(one))


def _suggestions(row: Row) -> Iterator[tuple[str, Mapping[str, Any]]]:
    given = row.values.get("suggestions") or {}
    if isinstance(given, Mapping):
        for name, one in given.items():
            if isinstance(one, Mapping):
                yield str(name), one
        return
    for one in _objects(given, row.source, "suggestions"):
        yield str(one.get("question_name")), one


def _objects(given: Any, where: str, name: str) -> list[Mapping[str, Any]]:
    if not isinstance(given, list) or not all(isinstance(one, Mapping) for one in given):
        raise DataError(f"{name!r} is no list of objects", where=where)
    return given


def _status(one: Mapping[str, Any]) -> str:
    return str(one.get("status") or "").rpartition(".")[2].lower()
