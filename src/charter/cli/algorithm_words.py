"""What ``charter algorithms`` says of an entry, in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from charter.catalogue import Entry, TrainOptions
from charter.catalogue.entry import Data
from charter.catalogue.measured import measured

READS: dict[Data, str] = {
    "sft": "prompt and completion; messages; or text",
    "preference": "prompt, chosen, rejected; or responses with ranks or scores",
    "unpaired": "prompt, completion, label; or pairs, taken apart",
    "rated": "prompt, responses, scores",
    "attributes": "prompt, response, scores by name; or responses with scores each",
    "steps": "prompt, completions (the steps), labels",
    "prompts": "prompt",
}
"""Columns of the data an entry trains on."""


def aspects(entry: Entry) -> dict[str, str]:
    """What is compared side by side."""
    found = measured(entry.name)
    traits = entry.traits
    return {
        "objective": traits.formula,
        "mechanism": traits.mechanism,
        "stability": traits.stability,
        "complexity": traits.complexity,
        "data": entry.data,
        "reference": entry.reference,
        "in memory": ", ".join(entry.models),
        "best for": entry.best_for,
        "watch out": entry.watch,
        "measured here": "not measured" if found is None else found.words(),
    }


def differing_options(entries: Sequence[Entry]) -> list[str]:
    """Options some entry lacks or that have another default: the common ones first."""
    names = dict.fromkeys([*TrainOptions.model_fields, *(n for e in entries for n in e.options.model_fields)])

    def defaults(name: str) -> set[str]:
        infos = [entry.options.model_fields.get(name) for entry in entries]
        return {"-" if info is None else in_words(info.default) for info in infos}

    return [name for name in names if len(defaults(name)) > 1]


def in_words(value: Any) -> str:
    """A default as a person reads it."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple | list):
        return ", ".join(str(item) for item in value) or "empty"
    return str(value)


def paper(name: str) -> str:
    """An arXiv id as such; anything else as it is."""
    return f"arXiv:{name}" if name[:4].isdigit() else name
