"""Label Studio's JSON-MIN export: one annotation a row, the task's data and the answers side by side.

Lists of results are known by their form. Plain text is not: a choice and a field of the task look the
same, so a text is an answer only where the map names it as a question.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from charter.data.rows import Row, Rows
from charter.errors import DataError
from charter.feedback.label_io.imported import Collector
from charter.feedback.label_io.label_studio import submit
from charter.feedback.label_io.label_studio_results import Heard, heard
from charter.feedback.label_io.pseudonym import pseudonym
from charter.feedback.label_io.task_fields import fields_of

_OF_THE_ANNOTATION = frozenset(
    {"id", "annotator", "annotation_id", "created_at", "updated_at", "lead_time", "agreement"}
)
_RESULT_KEYS = ("selected", "rating", "number", "choices", "ranker", "labels", "hypertextlabels")


def fits(values: Mapping[str, Any]) -> bool:
    """Whether a row is an annotation of the JSON-MIN export."""
    return "annotation_id" in values and "annotator" in values


def read(rows: Rows, found: Collector) -> None:
    """Hand every annotation's labels to ``found``."""
    plain: dict[str, None] = {}
    found.each(rows, lambda row: _annotation(row, found, plain))
    if plain:
        found.note(
            f"read as data of the tasks, not as answers: {', '.join(plain)}; "
            "name those in the map that are questions"
        )


def _annotation(row: Row, found: Collector, plain: dict[str, None]) -> None:
    answers = {name: value for name, value in row.values.items() if _is_answer(name, value, found)}
    data = {k: v for k, v in row.values.items() if k not in answers and k not in _OF_THE_ANNOTATION}
    fields = fields_of(data, found.map, row.source)
    plain.update(
        dict.fromkeys(k for k, v in data.items() if isinstance(v, str) and _unused(v, fields.answers))
    )
    questions: dict[str, list[Heard]] = {}
    for name, value in answers.items():
        try:
            questions[name] = heard(_results(value, found, name), fields, found.map.of(name), row.source)
        except DataError as error:
            found.skip(f"{row.source}: {name}", error.what)
    if not answers:
        found.skip(row.source, "an annotation without a result")
    task, lead = str(row.values.get("id", row.source)), row.values.get("lead_time")
    submit(
        found,
        row.source,
        questions,
        fields,
        prefix=f"ls-{task}-{row.values['annotation_id']}",
        common={
            "item": f"ls-{task}",
            "rater": pseudonym(row.values["annotator"], "annotator"),
            "seconds": lead if isinstance(lead, int | float) and lead >= 0 else None,
            "at": str(row.values.get("created_at") or ""),
            "meta": {"task": task},
        },
    )


def _is_answer(name: str, value: Any, found: Collector) -> bool:
    if name in _OF_THE_ANNOTATION:
        return False
    if name in found.map.questions:
        return True
    if isinstance(value, Mapping):
        value = [value]
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(one, Mapping) and any(key in one for key in _RESULT_KEYS) for one in value)
        and not all("body" in one for one in value)
    )


def _results(value: Any, found: Collector, name: str) -> list[dict[str, Any]]:
    """A column as results of the JSON export."""
    if isinstance(value, str):
        as_text = found.map.of(name).as_ in ("revision", "rationale")
        return [{"value": {"text": [value]} if as_text else {"choices": [value]}}]
    given = value if isinstance(value, list) else [value]
    if given and all(isinstance(one, str) for one in given):
        return [{"value": {"choices": given}}]
    if not given or not all(isinstance(one, Mapping) for one in given):
        raise DataError("an answer that is neither text nor results")
    return [{"value": one} for one in given]


def _unused(text: str, answers: tuple[str, ...]) -> bool:
    return text not in answers
