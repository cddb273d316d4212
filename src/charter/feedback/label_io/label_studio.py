"""Label Studio's JSON export: tasks, each with several people's annotations and models' predictions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from charter.data.rows import Row, Rows
from charter.errors import DataError
from charter.feedback.label_io.imported import Collector
from charter.feedback.label_io.label_studio_results import Heard, heard
from charter.feedback.label_io.pseudonym import pseudonym
from charter.feedback.label_io.task_fields import Fields, fields_of, item_named

NO_LABEL = "an annotation without a result"
CANCELLED = "cancelled by the annotator"
WORDS_ALONE = "a text by itself: say in the map whether it is a revision or a rationale"


def fits(values: Mapping[str, Any]) -> bool:
    """Whether a row is a task of the JSON export."""
    return "data" in values and ("annotations" in values or "completions" in values)


def read(rows: Rows, found: Collector) -> None:
    """Hand every annotation's labels to ``found``."""
    found.each(rows, lambda row: _task(row, found))


def _task(row: Row, found: Collector) -> None:
    data = row.values.get("data")
    if not isinstance(data, Mapping):
        raise DataError("a task without data", where=row.source)
    annotations = row.values.get("annotations", row.values.get("completions"))
    if not isinstance(annotations, list):
        raise DataError("'annotations' is no list", where=row.source)
    fields, task = fields_of(data, found.map, row.source), str(row.values.get("id", row.source))
    if not annotations:
        found.skip(row.source, "a task that nobody annotated")
    made = [(given, _questions(given, fields, found, row.source)) for given in annotations]
    gold = _truths(made)
    predicted = [
        (given, _questions(given, fields, found, f"{row.source}: prediction"))
        for given in row.values.get("predictions") or ()
        if isinstance(given, Mapping)
    ]
    by_id = {str(given.get("id")): questions for given, questions in predicted if given.get("id") is not None}
    for given, questions in made:
        shown = by_id.get(str(given.get("parent_prediction")), {})
        _annotation(row, task, given, questions, fields, found, gold, shown)
    for number, (given, questions) in enumerate(predicted, start=1):
        _prediction(row, task, number, given, questions, fields, found)
    for given in row.values.get("predictions") or ():
        if not isinstance(given, Mapping):
            found.skip(row.source, "a prediction of which the export holds the id alone")


def _questions(given: Any, fields: Fields, found: Collector, where: str) -> dict[str, list[Heard]]:
    """What an annotation or prediction says, by control."""
    if not isinstance(given, Mapping):
        raise DataError("an annotation that is no object", where=where)
    place = f"{where}: {given.get('id', '')}".rstrip(": ")
    if given.get("was_cancelled") or given.get("skipped"):
        found.skip(place, CANCELLED)
        return {}
    results = given.get("result")
    if not isinstance(results, list) or not results:
        found.skip(place, NO_LABEL)
        return {}
    by_control: dict[str, list[Any]] = {}
    for result in results:
        if not isinstance(result, Mapping) or not result.get("from_name"):
            found.skip(place, "a result that no control made")
            continue
        by_control.setdefault(str(result["from_name"]), []).append(result)
    return dict(_heard(by_control, fields, found, place))


def _heard(
    by_control: Mapping[str, list[Any]], fields: Fields, found: Collector, place: str
) -> Iterator[tuple[str, list[Heard]]]:
    for name, results in by_control.items():
        question = found.map.of(name)
        if question.as_ == "ignore":
            found.skip(f"{place}: {name}", "a question that the map says to ignore")
            continue
        try:
            yield name, heard(results, fields, question, f"{place}: {name}")
        except DataError as error:
            found.skip(f"{place}: {name}", error.what)


def _truths(made: list[tuple[Any, dict[str, list[Heard]]]]) -> dict[str, Any]:
    """Values of annotations marked as ground truth, by question."""
    return {
        name: said[0].said.value
        for given, questions in made
        if given.get("ground_truth")
        for name, said in questions.items()
        if len(said) == 1 and said[0].said is not None
    }


def _annotation(
    row: Row,
    task: str,
    given: Mapping[str, Any],
    questions: Mapping[str, list[Heard]],
    fields: Fields,
    found: Collector,
    gold: Mapping[str, Any],
    shown: Mapping[str, list[Heard]],
) -> None:
    place = f"{row.source}: {given.get('id', '')}".rstrip(": ")
    truth = bool(given.get("ground_truth"))
    suggested = {
        name: said[0].said.value
        for name, said in shown.items()
        if len(said) == 1 and said[0].said is not None
    }
    lead = given.get("lead_time")
    submit(
        found,
        place,
        questions,
        fields,
        prefix=f"ls-{task}-{given.get('id', '0')}",
        common={
            "item": f"ls-{task}",
            "rater": pseudonym(given.get("completed_by"), "annotator"),
            "source": "expert" if truth else "human",
            "seconds": lead if isinstance(lead, int | float) and lead >= 0 else None,
            "at": str(given.get("created_at") or ""),
            "meta": {"task": task, **({"ground_truth": True} if truth else {})},
        },
        gold={} if truth else gold,
        suggested=suggested,
    )


def _prediction(
    row: Row,
    task: str,
    number: int,
    given: Mapping[str, Any],
    questions: Mapping[str, list[Heard]],
    fields: Fields,
    found: Collector,
) -> None:
    score = given.get("score")
    submit(
        found,
        f"{row.source}: prediction {number}",
        questions,
        fields,
        prefix=f"ls-{task}-prediction-{given.get('id', number)}",
        common={
            "item": f"ls-{task}",
            "rater": str(given.get("model_version") or "prediction"),
            "source": "ai",
            "meta": {"task": task, **({} if score is None else {"score": score})},
        },
    )


def submit(
    found: Collector,
    place: str,
    questions: Mapping[str, list[Heard]],
    fields: Fields,
    *,
    prefix: str,
    common: Mapping[str, Any],
    gold: Mapping[str, Any] | None = None,
    suggested: Mapping[str, Any] | None = None,
) -> None:
    """Hand over what one rater said of one task; words go beside the labels as their rationale."""
    words = "\n".join(one.text for said in questions.values() for one in said if one.said is None)
    labels = [(name, one) for name, said in questions.items() for one in said if one.said is not None]
    if words and not labels:
        found.skip(place, WORDS_ALONE)
    for name, one in labels:
        assert one.said is not None
        found.add(
            f"{place}: {name}",
            name,
            one.option,
            id="-".join(filter(None, (prefix, name, one.option))),
            kind=one.said.kind,
            outcome=one.said.outcome,
            value=one.said.value,
            scale=one.said.scale,
            prompt=fields.prompt,
            answers=one.answers,
            models=fields.models if one.answers == fields.answers else (),
            shown=one.shown,
            rationale=words,
            gold=(gold or {}).get(name),
            suggestion=(suggested or {}).get(name),
            **{**common, "item": item_named(common["item"], one.answers, fields)},
        )
