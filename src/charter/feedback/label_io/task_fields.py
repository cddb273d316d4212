"""Which fields of a task are the prompt and the answers: named ones, else the field's usual names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from charter.data.turns import is_turns, parse_turns
from charter.errors import DataError
from charter.feedback.label_io.question_map import QuestionMap
from charter.rundir import sha256_json
from charter.types import Content

_PROMPTS = ("prompt", "instruction", "question", "query", "input", "context", "post")
_PAIRS: tuple[tuple[str, str], ...] = (
    *(
        (f"{word}{between}{one}", f"{word}{between}{two}")
        for word in ("answer", "response", "completion", "output", "text", "summary")
        for between in ("", "_", "-")
        for one, two in (("a", "b"), ("A", "B"), ("1", "2"), ("0", "1"))
    ),
    ("chosen", "rejected"),
)
_LISTS = ("answers", "responses", "completions", "candidates", "items")
_SINGLES = ("answer", "response", "completion", "output", "reply")
_BODIES = ("text", "body", "content", "html")


@dataclass(frozen=True, slots=True)
class Fields:
    """A task's prompt and answers.

    Attributes:
        prompt: text or turns; "" = there is none.
        answers: texts, in the task's order.
        names: the field of each answer, or its id in a list.
        models: who wrote each; () = not said.
        values: the task as it was.
    """

    prompt: Content
    answers: tuple[str, ...]
    names: tuple[str, ...]
    models: tuple[str, ...]
    values: Mapping[str, Any]

    def shown_to(self, names: Sequence[str]) -> tuple[str, ...]:
        """The answers that a control is bound to: the fields it names, else all answers."""
        texts = tuple(self.values.get(name) for name in names)
        if texts and all(isinstance(text, str) for text in texts) and self.prompt not in texts:
            return tuple(str(text) for text in texts)
        return self.answers


def item_named(item: str, answers: Sequence[str], fields: Fields) -> str:
    """The item that labels of ``answers`` share: the task, or a part of it."""
    return item if tuple(answers) == fields.answers else f"{item}#{sha256_json(list(answers))[:8]}"


def fields_of(values: Mapping[str, Any], told: QuestionMap, where: str) -> Fields:
    """Prompt and answers of a task.

    Raises:
        DataError: fields that the map names are not there, or the answers could be in two places.
    """
    prompt = _prompt(values, told, where)
    names, answers = _answers(values, told, where)
    return Fields(prompt, answers, names, _models(values, told, len(answers)), values)


def _prompt(values: Mapping[str, Any], told: QuestionMap, where: str) -> Content:
    if told.prompt is not None and told.prompt not in values:
        raise DataError(f"no field {told.prompt!r}, which the map names as prompt", where=where)
    name = told.prompt or next((one for one in _PROMPTS if one in values), None)
    found = values.get(name) if name else None
    if is_turns(found) and found:
        return parse_turns(found, where=where, column=str(name))
    return found if isinstance(found, str) else ""


def _answers(
    values: Mapping[str, Any], told: QuestionMap, where: str
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    if told.answers:
        missing = [name for name in told.answers if name not in values]
        if missing:
            raise DataError(f"no field {missing[0]!r}, which the map names as answer", where=where)
        places = [told.answers]
    else:
        places = [pair for pair in _PAIRS if all(isinstance(values.get(name), str) for name in pair)]
        places += [(name,) for name in _LISTS if isinstance(values.get(name), list | tuple) and values[name]]
        places += [(name,) for name in _SINGLES if isinstance(values.get(name), str)]
    if len(places) > 1:
        found = " or ".join("/".join(names) for names in places)
        raise DataError(
            f"the answers could be {found}", where=where, fix="name them in the map: answers: [...]"
        )
    if not places:
        return (), ()
    names = places[0]
    if len(names) == 1 and isinstance(values[names[0]], list | tuple):
        return _listed(values[names[0]], f"{where}: {names[0]}")
    if not all(isinstance(values[name], str) for name in names):
        raise DataError(f"the answers {'/'.join(names)} are no texts", where=where)
    return tuple(names), tuple(values[name] for name in names)


def _listed(given: Sequence[Any], where: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Answers in a list: texts, or objects with an id and a text."""
    names, texts = [], []
    for number, one in enumerate(given):
        text = one
        if isinstance(one, Mapping):
            text = next((one[name] for name in _BODIES if isinstance(one.get(name), str)), None)
        if not isinstance(text, str):
            raise DataError(f"entry {number + 1} is no text", where=where)
        texts.append(text)
        names.append(str(one["id"]) if isinstance(one, Mapping) and "id" in one else str(number))
    return tuple(names), tuple(texts)


def _models(values: Mapping[str, Any], told: QuestionMap, count: int) -> tuple[str, ...]:
    if told.models:
        found: Any = [values.get(name) for name in told.models]
    elif count == 1:
        found = [values.get("model")]
    elif isinstance(values.get("models"), list):
        found = values["models"]
    else:
        found = [values.get("model_a"), values.get("model_b")]
    if len(found) != count or not any(found):
        return ()
    return tuple(str(one or "") for one in found)
