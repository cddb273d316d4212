"""One function per format: a row becomes a group of samples with what was said about them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import permutations
from typing import Any

from charter.data.columns import (
    as_content,
    content,
    items,
    label,
    numbers,
    optional_number,
    optional_text,
    require,
    text,
)
from charter.data.rows import Row
from charter.data.shared_prompt import split_shared
from charter.data.turns import check_order, parse_turns
from charter.errors import DataError
from charter.types import (
    Completion,
    Content,
    Context,
    Group,
    Judgement,
    Message,
    PairTarget,
    Sample,
    SampleTarget,
    SegmentTarget,
    Target,
)

_CUT = "conversations with turns after the last answer, which were cut"
_SPLIT = "preference rows split into two labelled answers"
_UNRENDERED = ("tools", "chat_template_kwargs", "images", "image")
_OF_A_PAIR = ("margin", "probability")
_NOT_META = frozenset({"id", "margin", "weight", "probability", "principle"})


@dataclass(frozen=True, slots=True)
class Built:
    """The groups of one row, and the names of what had to be changed."""

    groups: tuple[Group, ...]
    changes: tuple[str, ...] = ()


def prompt_only(row: Row) -> Built:
    """``prompt``: one sample without a completion; every other column is kept in ``meta``."""
    prompt = _prompt(row)
    return Built((_group(row, [Sample(Context(prompt), Completion())], used={"prompt"}),))


def plain_text(row: Row) -> Built:
    """``text``: everything is trained, after an empty context."""
    sample = Sample(Context(""), Completion(text(row, "text")))
    return Built((_group(row, [sample], used={"text"}),))


def messages(row: Row) -> Built:
    """``messages``: everything before the first assistant turn is the context."""
    name, value = items(row, "messages")
    turns = parse_turns(value, where=row.source, column=name)
    check_order(turns, where=row.source, column=name)
    answers = [i for i, turn in enumerate(turns) if turn.role == "assistant"]
    if not answers:
        raise DataError(f"{name!r} has no assistant turn", where=row.source, fix="remove the row")
    kept = turns[: answers[-1] + 1]
    sample = Sample(Context(kept[: answers[0]]), Completion(kept[answers[0] :]))
    changes = (_CUT,) if len(kept) < len(turns) else ()
    return Built((_group(row, [sample], used={name}),), changes)


def prompt_completion(row: Row) -> Built:
    """``prompt`` and ``completion``."""
    sample = _sample(_prompt(row), content(row, "completion"), row, "completion")
    return Built((_group(row, [sample], used={"prompt", "completion"}),))


def unpaired(row: Row) -> Built:
    """``prompt``, ``completion`` and a boolean ``label``: 1.0 is desirable."""
    sample = _sample(_prompt(row), content(row, "completion"), row, "completion")
    said = [_judgement(row, SampleTarget(0), float(label(row)))]
    return Built((_group(row, [sample], said, used={"prompt", "completion", "label"}),))


def preference(row: Row, has_prompt: bool) -> Built:
    """``chosen`` and ``rejected`` with a prompt, or with the prompt as their shared beginning."""
    prompt, sides = _sides(row, has_prompt)
    samples = [_sample(prompt, side, row, name) for name, side in sides.items()]
    margin = optional_number(row, "margin")
    said = [_judgement(row, PairTarget(0, 1), 1.0 if margin is None else margin)]
    said += [*_side_scores(row, "chosen_scores", 0), *_side_scores(row, "rejected_scores", 1)]
    used = {"prompt", "chosen", "rejected", "chosen_scores", "rejected_scores"}
    group = _group(row, samples, said, used=used)
    if margin is not None:  # without it nobody could tell a margin of 1 from a pair that has none
        group = replace(group, meta={**group.meta, "margin": margin})
    return Built((group,))


def split_preference(row: Row, has_prompt: bool) -> Built:
    """A preference row as a desirable and an undesirable answer."""
    whole = preference(row, has_prompt).groups[0]
    weight = whole.judgements[0].weight
    principle = whole.judgements[0].principle
    # How sure the pair is says nothing about one answer alone: kept for people, not for training.
    of_the_pair = {name: row.values[name] for name in _OF_A_PAIR if row.values.get(name) is not None}
    halves = (
        replace(
            whole,
            meta={**whole.meta, **of_the_pair},
            samples=(sample,),
            judgements=(Judgement(SampleTarget(0), value, principle=principle, weight=weight),),
            id=f"{whole.id}:{name}",
        )
        for sample, value, name in zip(whole.samples, (1.0, 0.0), ("chosen", "rejected"), strict=True)
    )
    return Built(tuple(halves), (_SPLIT,))


def ranked(row: Row) -> Built:
    """``responses`` and ``ranks`` (1 is best, ties allowed): a judgement for each ordered pair."""
    name, samples = _responses(row)
    ranks = numbers(row, "ranks", len(samples))
    said = [
        _judgement(row, PairTarget(better, worse), 1.0)
        for better, worse in permutations(range(len(ranks)), 2)
        if ranks[better] < ranks[worse]
    ]
    return Built((_group(row, samples, said, used={"prompt", name, "ranks"}),))


def rated(row: Row, *, as_pairs: bool) -> Built:
    """``responses`` and ``scores`` (higher is better): a score each, and on request the pairs."""
    name, samples = _responses(row)
    scores = numbers(row, "scores", len(samples))
    said = [_judgement(row, SampleTarget(i), score) for i, score in enumerate(scores)]
    if as_pairs:
        said += [
            _judgement(row, PairTarget(better, worse), scores[better] - scores[worse])
            for better, worse in permutations(range(len(scores)), 2)
            if scores[better] > scores[worse]
        ]
    return Built((_group(row, samples, said, used={"prompt", name, "scores"}),))


def attributes(row: Row) -> Built:
    """``response`` or ``completion`` and ``scores`` ``{name: number or null}``: a rating on each dimension.

    Several ``responses`` have a list of such scores; plain numbers rate one dimension without a name.
    """
    if any(name in row.values for name in ("responses", "completions")):
        name, samples = _responses(row)
        _, scores = items(row, "scores")
        if len(scores) != len(samples):
            found = f"'scores' has {len(scores)} entries for {len(samples)} responses"
            raise DataError(found, where=row.source, fix="one entry for each response")
        columns = [f"scores[{number}]" for number in range(1, len(scores) + 1)]
    else:
        name, answer = require(row, "response", "completion")
        samples = [_sample(_prompt(row), as_content(answer, where=row.source, column=name), row, name)]
        scores, columns = [require(row, "scores")[1]], ["scores"]
    said: list[Judgement] = []
    for index, (score, column) in enumerate(zip(scores, columns, strict=True)):
        named = score if isinstance(score, Mapping) or score is None else {"": score}
        said += _named_scores(row, named, column, index)
    if not said:
        raise DataError("no attribute has a score", where=row.source, fix="rate one or remove the row")
    return Built((_group(row, samples, said, used={"prompt", name, "scores"}),))


def steps(row: Row) -> Built:
    """``completions`` (the steps of one answer) and ``labels``: true, false, a share of successes, or null.

    Segments are in characters of the answer's text until it is rendered.
    """
    name, values = items(row, "completions", "steps")
    texts = [_step(value, f"{name}[{number}]", row) for number, value in enumerate(values, start=1)]
    labels = _step_labels(row, name, len(texts))
    said, start = [], 0
    for step, value in zip(texts, labels, strict=True):
        target = SegmentTarget(0, start, start + len(step))
        start = target.end + 1
        if value is None:
            said.append(Judgement(target, verdict="not_measured"))
        else:
            said.append(_judgement(row, target, value))
    sample = Sample(Context(_prompt(row)), Completion("\n".join(texts)))
    return Built((_group(row, [sample], said, used={"prompt", name, "labels"}),))


def _step(value: Any, column: str, row: Row) -> str:
    if not isinstance(value, str) or not value.strip():
        found = "blank" if isinstance(value, str) else type(value).__name__
        raise DataError(f"{column} is {found}, wanted the text of a step", where=row.source)
    return value


def _step_labels(row: Row, name: str, count: int) -> list[float | None]:
    _, values = items(row, "labels")
    if len(values) != count:
        raise DataError(
            f"'labels' has {len(values)} entries for {count} {name}",
            where=row.source,
            fix="one label for each step; null where there is none",
        )
    for number, value in enumerate(values, start=1):
        if value is not None and not (isinstance(value, bool | int | float) and 0 <= value <= 1):
            raise DataError(
                f"'labels' entry {number} is {value!r}, wanted true, false or a number from 0 to 1",
                where=row.source,
            )
    if all(value is None for value in values):
        raise DataError("no step has a label", where=row.source, fix="label a step or remove the row")
    return [None if value is None else float(value) for value in values]


def _sides(row: Row, has_prompt: bool) -> tuple[Content, dict[str, Content]]:
    sides = {name: content(row, name) for name in ("chosen", "rejected")}
    if has_prompt:
        prompt = as_content(require(row, "prompt")[1], where=row.source, column="prompt")
        if not _repeats_prompt(prompt, sides):
            _check_prompt(prompt, row)
            return prompt, sides
    for name, side in sides.items():
        if not isinstance(side, str):
            check_order(side, where=row.source, column=name)
    shared, chosen, rejected = split_shared(sides["chosen"], sides["rejected"], where=row.source)
    _check_prompt(shared, row)
    return shared, {"chosen": chosen, "rejected": rejected}


def _repeats_prompt(prompt: Content, sides: dict[str, Content]) -> bool:
    """A text prompt beside whole conversations that begin with it (UltraFeedback's layout)."""
    if not isinstance(prompt, str):
        return False
    firsts = [
        next((turn for turn in side if turn.role != "system"), None)
        for side in sides.values()
        if not isinstance(side, str)
    ]
    return len(firsts) == len(sides) and all(first == Message("user", prompt) for first in firsts)


def _responses(row: Row) -> tuple[str, list[Sample]]:
    name, values = items(row, "responses", "completions")
    if len(values) < 2:
        raise DataError(f"{name!r} has one entry, wanted two or more", where=row.source)
    prompt = _prompt(row)
    samples = []
    for number, value in enumerate(values, start=1):
        column = f"{name}[{number}]"
        samples.append(_sample(prompt, as_content(value, where=row.source, column=column), row, column))
    return name, samples


def _prompt(row: Row) -> Content:
    prompt = content(row, "prompt")
    _check_prompt(prompt, row)
    return prompt


def _check_prompt(prompt: Content, row: Row) -> None:
    if isinstance(prompt, str):
        return
    check_order(prompt, where=row.source, column="prompt")
    if prompt[-1].role not in ("user", "tool"):
        raise DataError(
            f"the last turn of 'prompt' is {prompt[-1].role}",
            where=row.source,
            fix="a prompt ends with a user or tool turn; move the answer to the completion",
        )


def _sample(prompt: Content, completion: Content, row: Row, column: str) -> Sample:
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


def _judgement(row: Row, target: Target, value: float) -> Judgement:
    weight = optional_number(row, "weight", low=0.0)
    return Judgement(
        target,
        value,
        probability=optional_number(row, "probability", low=0.0, high=1.0),
        principle=optional_text(row, "principle"),
        weight=1.0 if weight is None else weight,
    )


def _side_scores(row: Row, column: str, sample: int) -> list[Judgement]:
    """``{name: score}`` of one side: what other objectives say of it; null = not measured."""
    return _named_scores(row, row.values.get(column), column, sample)


def _named_scores(row: Row, scores: Any, column: str, sample: int) -> list[Judgement]:
    if scores is None:
        return []
    if not isinstance(scores, Mapping):
        found = type(scores).__name__
        raise DataError(f"{column!r} is {found}, wanted {{name: number}}", where=row.source)
    weight = optional_number(row, "weight", low=0.0)
    target, named = SampleTarget(sample), Row(scores, f"{row.source}: {column}")
    values = {str(name): optional_number(named, name) for name in scores}
    return [
        Judgement(target, value, principle=name, weight=1.0 if weight is None else weight)
        for name, value in values.items()
        if value is not None
    ]


def _group(row: Row, samples: list[Sample], said: Sequence[Judgement] = (), *, used: set[str]) -> Group:
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
