"""What the groups of every format are made of: a row's prompt, answers and judgements, checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from charter.data.columns import as_content, content, items, optional_number, optional_text
from charter.data.rows import Row
from charter.data.turns import check_order
from charter.errors import DataError
from charter.types import (
    Completion,
    Content,
    Context,
    Group,
    Judgement,
    Message,
    Sample,
    SampleTarget,
    Target,
)

_UNRENDERED = ("tools", "chat_template_kwargs", "images", "image")
_NOT_META = frozenset({"id", "margin", "weight", "probability", "principle"})


@dataclass(frozen=True, slots=True)
class Built:
    """The groups of one row, and the names of what had to be changed."""

    groups: tuple[Group, ...]
    changes: tuple[str, ...] = ()


def prompt_of(row: Row) -> Content:
    """The column ``prompt``, which ends where an answer can begin."""
    prompt = content(row, "prompt")
    check_prompt(prompt, row)
    return prompt


def check_prompt(prompt: Content, row: Row) -> None:
    """Refuse turns out of order, or an answer at the end of the prompt."""
    if isinstance(prompt, str):
        return
    check_order(prompt, where=row.source, column="prompt")
    if prompt[-1].role not in ("user", "tool"):
        raise DataError(
            f"the last turn of 'prompt' is {prompt[-1].role}",
            where=row.source,
            fix="a prompt ends with a user or tool turn; move the answer to the completion",
        )


def sample_of(prompt: Content, completion: Content, row: Row, column: str) -> Sample:
    """An answer after its prompt: both text, or both turns in order; ``column`` names it in errors."""
    if isinstance(prompt, str) != isinstance(completion, str):
        kinds = ("text", "turns") if isinstance(prompt, str) else ("turns", "text")
        raise DataError(
            f"'prompt' is {kinds[0]} but {column!r} is {kinds[1]}",
            where=row.source,
            fix="write both as text, or both as [{role, content}]",
        )
    if not isinstance(prompt, str) and not isinstance(completion, str):
        _check_answer(prompt, completion, row, column)
    return Sample(Context(prompt), Completion(completion))


def _check_answer(prompt: Sequence[Message], answer: Sequence[Message], row: Row, column: str) -> None:
    if answer[0].role != "assistant":
        raise DataError(
            f"{column!r} turn 1 is {answer[0].role}: an answer starts with assistant", where=row.source
        )
    if answer[-1].role != "assistant":
        raise DataError(
            f"the last turn of {column!r} is {answer[-1].role}", where=row.source, fix="cut it off"
        )
    check_order((*prompt, *answer), where=row.source, column=f"prompt + {column}")


def responses_of(row: Row) -> tuple[str, list[Sample]]:
    """The name of the column of several answers, and a sample of each after the row's prompt."""
    name, values = items(row, "responses", "completions")
    if len(values) < 2:
        raise DataError(f"{name!r} has one entry, wanted two or more", where=row.source)
    prompt = prompt_of(row)
    samples = []
    for number, value in enumerate(values, start=1):
        column = f"{name}[{number}]"
        samples.append(sample_of(prompt, as_content(value, where=row.source, column=column), row, column))
    return name, samples


def judgement_of(row: Row, target: Target, value: float) -> Judgement:
    """What the row says of ``target``, with its probability, principle, weight, and who said it."""
    weight = optional_number(row, "weight", low=0.0)
    return Judgement(
        target,
        value,
        probability=optional_number(row, "probability", low=0.0, high=1.0),
        principle=optional_text(row, "principle"),
        principle_sha=_sha_of(row),
        judge=_judge_of(row),
        weight=1.0 if weight is None else weight,
    )


def _sha_of(row: Row) -> str:
    """Of the principle that was read; another data set's column of this name may be anything."""
    sha = row.values.get("principle_sha")
    return sha if isinstance(sha, str) else ""


def _judge_of(row: Row) -> str:
    """Who is behind the row: its ``rater``, or its ``raters`` together; "dataset" where nobody is named."""
    rater, raters = row.values.get("rater"), row.values.get("raters")
    if isinstance(rater, str) and rater:
        return rater
    if isinstance(raters, list | tuple) and raters and all(isinstance(one, str) for one in raters):
        return "+".join(raters)
    return "dataset"


def named_scores(row: Row, scores: Any, column: str, sample: int) -> list[Judgement]:
    """Judgements of one sample from ``{name: number}``; null = not measured."""
    if scores is None:
        return []
    if not isinstance(scores, Mapping):
        found = type(scores).__name__
        raise DataError(f"{column!r} is {found}, wanted {{name: number}}", where=row.source)
    weight = optional_number(row, "weight", low=0.0)
    target, named = SampleTarget(sample), Row(scores, f"{row.source}: {column}")
    values = {str(name): optional_number(named, name) for name in scores}
    own, sha, judge = row.values.get("principle"), _sha_of(row), _judge_of(row)
    return [
        Judgement(
            target,
            value,
            principle=name,
            principle_sha=sha if name == own else "",
            judge=judge,
            weight=1.0 if weight is None else weight,
        )
        for name, value in values.items()
        if value is not None
    ]


def group_of(row: Row, samples: list[Sample], said: Sequence[Judgement] = (), *, used: set[str]) -> Group:
    """The row as a group; columns that are not ``used`` and carry no judgement are kept in ``meta``."""
    for column in _UNRENDERED:
        if row.values.get(column):
            raise DataError(f"column {column!r} is not rendered", where=row.source, fix="remove the column")
    # Without a judgement to carry them, margin, weight and the like stay visible in meta.
    hidden = used | (_NOT_META if said else {"id"})
    meta: dict[str, Any] = {name: value for name, value in row.values.items() if name not in hidden}
    if row.values.get("tags") is not None:
        meta["tags"] = _tags(row)
    return Group(
        tuple(samples), tuple(said), id=optional_text(row, "id") or row.source, source=row.source, meta=meta
    )


def _tags(row: Row) -> tuple[str, ...]:
    tags = row.values["tags"]
    if isinstance(tags, str):
        return (tags,)
    if isinstance(tags, list | tuple) and all(isinstance(tag, str) for tag in tags):
        return tuple(tags)
    raise DataError("'tags' is not a text or a list of texts", where=row.source)
