"""TRL's dataset formats, ranked and rated rows, as groups of samples with judgements."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from charter.data.answer_groups import messages, plain_text, prompt_completion, prompt_only, unpaired
from charter.data.columns import missing_column
from charter.data.group_parts import Built
from charter.data.preference_groups import preference, split_preference
from charter.data.public.registry import as_rows
from charter.data.rated_groups import attributes, ranked, rated
from charter.data.read import Source, read_rows
from charter.data.rows import OnBad, Row, Rows
from charter.data.step_groups import steps
from charter.errors import DataError
from charter.types import Group

Wanted = Literal["sft", "preference", "unpaired", "rated", "attributes", "steps", "prompts", "any"]
"""What the caller trains on; decides which formats are accepted."""

Kind = Literal[
    "preference",
    "ranked",
    "rated",
    "attributes",
    "unpaired",
    "completion",
    "messages",
    "text",
    "steps",
    "prompts",
]
"""The format of a file: named after the column that tells."""

_ACCEPTED: dict[Wanted, tuple[Kind, ...]] = {
    "sft": ("completion", "messages", "text"),
    "preference": ("preference", "ranked", "rated"),
    "unpaired": ("unpaired", "preference"),
    "rated": ("rated",),
    "attributes": ("attributes",),
    "steps": ("steps",),
    "prompts": ("prompts",),
    "any": (
        "preference",
        "ranked",
        "rated",
        "attributes",
        "unpaired",
        "completion",
        "messages",
        "text",
        "steps",
        "prompts",
    ),
}
_REVEALED_BY: dict[Kind, tuple[frozenset[str], ...]] = {
    "preference": (frozenset({"chosen"}), frozenset({"rejected"})),
    "ranked": (frozenset({"responses", "ranks"}), frozenset({"completions", "ranks"})),
    "rated": (frozenset({"responses", "scores"}), frozenset({"completions", "scores"})),
    "attributes": tuple(
        frozenset({answer, "scores"}) for answer in ("response", "completion", "responses", "completions")
    ),
    "unpaired": (frozenset({"completion", "label"}),),
    "completion": (frozenset({"completion"}),),
    "messages": (frozenset({"messages"}),),
    "text": (frozenset({"text"}),),
    "steps": (frozenset({"completions", "labels"}), frozenset({"steps", "labels"})),
    "prompts": (frozenset({"prompt"}),),
}
_FIRST_MISSING: dict[Wanted, tuple[str, ...]] = {
    "sft": ("completion", "messages", "text"),
    "preference": ("chosen", "rejected", "ranks", "scores"),
    "unpaired": ("completion", "label"),
    "rated": ("responses", "scores"),
    "attributes": ("response", "completion", "scores"),
    "steps": ("prompt", "completions", "labels"),
    "prompts": ("prompt",),
    "any": ("messages", "prompt", "text", "chosen"),
}


@dataclass(frozen=True, slots=True)
class LoadedData:
    """A file as typed groups.

    Attributes:
        groups: one per row (two where a preference row was split into labelled answers).
        counts: rows read, unreadable, of the wrong shape, and what was changed on the way.
        kind: see :data:`Kind`.
        name: what the source is called in messages.
        bad: the errors of the rows that were left out (``on_bad="skip"``).
    """

    groups: tuple[Group, ...]
    counts: Mapping[str, int]
    kind: Kind
    name: str = ""
    bad: tuple[DataError, ...] = ()


def load_groups(
    source: Source, wanted: Wanted = "any", *, split: str = "train", on_bad: OnBad = "error"
) -> LoadedData:
    """Read ``source``, recognise its format, and turn its rows into groups.

    Preferences become pair judgements, labels and scores sample judgements,
    ranks a pair judgement for each strictly ordered pair. With
    ``wanted="preference"`` scores too become pair judgements (value: the score
    difference). With ``wanted="unpaired"`` a preference row becomes a
    desirable and an undesirable answer.

    Raises:
        DataError: see :func:`charter.data.read.read_rows`; an unknown or
            unwanted format; a bad row, unless ``on_bad="skip"``.
    """
    rows = read_rows(source, split=split, on_bad=on_bad)
    return groups_of(rows, wanted, on_bad=on_bad)


def groups_of(rows: Rows, wanted: Wanted = "any", *, on_bad: OnBad = "error") -> LoadedData:
    """Typed groups of rows already read; see :func:`load_groups`. Public sets are read by their schema."""
    public = as_rows(rows, _ACCEPTED.get(wanted, ()))
    read = rows.counts
    rows, adapted = (rows, {}) if public is None else public
    columns = {column for row in rows.rows for column in row.values}
    kind = detect(columns, wanted, where=rows.rows[0].source)
    if kind == "preference" and "prompt" not in columns:
        _refuse_misspelt_prompt(columns, rows.rows[0].source)
    builder = _builder(kind, wanted, "prompt" in columns)
    groups: list[Group] = []
    bad: list[DataError] = []
    changes: dict[str, int] = {}
    for row in rows.rows:
        try:
            built = builder(row)
        except DataError as error:
            if on_bad == "error":
                raise
            bad.append(error)
            continue
        groups.extend(built.groups)
        for change in built.changes:
            changes[change] = changes.get(change, 0) + 1
    if not groups:
        raise DataError(f"no usable row, first: {bad[0]}", where=rows.name)
    counts = {**read, **adapted, "rows of the wrong shape": len(bad), **changes}
    return LoadedData(tuple(groups), counts, kind, rows.name, rows.bad + tuple(bad))


def detect(columns: Iterable[str], wanted: Wanted = "any", *, where: str = "") -> Kind:
    """The format that ``columns`` (of all rows together) reveal, among those ``wanted`` accepts.

    Raises:
        DataError: none of them; names the nearest column.
    """
    names = frozenset(columns)
    if wanted not in _ACCEPTED:
        raise DataError(f"unknown kind of data {wanted!r}", fix=f"use one of {', '.join(_ACCEPTED)}")
    for kind in _ACCEPTED[wanted]:
        if any(marks <= names for marks in _REVEALED_BY[kind]):
            return kind
    # A misspelt second column: say which of the two is missing.
    for kind in _ACCEPTED[wanted]:
        for marks in _REVEALED_BY[kind]:
            if marks & names:
                raise missing_column(sorted(marks - names), names, where)
    raise missing_column(_FIRST_MISSING[wanted], names, where)


def _refuse_misspelt_prompt(columns: Iterable[str], where: str) -> None:
    """Without a prompt column the shared beginning is the prompt; not when the column is only misspelt."""
    candidates = [name for name in columns if not name.startswith("prompt_")]
    error = missing_column(["prompt"], candidates, where)
    if error.fix and "did you mean" in error.fix:
        raise error


def _builder(kind: Kind, wanted: Wanted, has_prompt: bool) -> Callable[[Row], Built]:
    if kind == "preference":
        if wanted == "unpaired":
            return lambda row: split_preference(row, has_prompt)
        return lambda row: preference(row, has_prompt)
    if kind == "rated":
        return lambda row: rated(row, as_pairs=wanted == "preference")
    simple: dict[Any, Callable[[Row], Built]] = {
        "ranked": ranked,
        "attributes": attributes,
        "unpaired": unpaired,
        "completion": prompt_completion,
        "messages": messages,
        "text": plain_text,
        "steps": steps,
        "prompts": prompt_only,
    }
    return simple[kind]
