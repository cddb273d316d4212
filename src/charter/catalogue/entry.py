"""What an algorithm is: an entry, not a class.

An entry lists weighted terms, each an objective looked up by dotted name when
it is trained, plus the reference policy, the data it reads, and its options.
Nothing here imports torch, so the catalogue can be printed, validated and
documented in milliseconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from charter.catalogue.options import TrainOptions

Data = Literal["sft", "preference"]
Reference = Literal["none", "frozen"]


@dataclass(frozen=True, slots=True)
class TermSpec:
    """One term of the loss.

    Attributes:
        objective: dotted name ``module:Class``.
        options: names of the entry's options that the class takes.
        weight: the term's weight in the sum.
    """

    objective: str
    options: tuple[str, ...] = ()
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Entry:
    """One algorithm.

    Attributes:
        name: what is typed.
        title: one line.
        family: section of the catalogue.
        paper: arXiv id or reference.
        data: rows it trains on.
        reference: ``frozen`` = the policy as it was before the first step.
        terms: see :class:`TermSpec`.
        options: every option, with default and meaning.
        models: models held in memory while training.
        best_for: when to choose it.
        watch: what goes wrong with it.
    """

    name: str
    title: str
    family: str
    paper: str
    data: Data
    reference: Reference
    terms: tuple[TermSpec, ...]
    options: type[TrainOptions]
    models: tuple[str, ...]
    best_for: str
    watch: str

    def own_options(self) -> list[str]:
        """Options this algorithm has beyond those every algorithm has."""
        return [name for name in self.options.model_fields if name not in TrainOptions.model_fields]

    def to_json(self) -> dict[str, Any]:
        """The entry as plain data, options with type, default and meaning."""
        return {
            "name": self.name,
            "title": self.title,
            "family": self.family,
            "paper": self.paper,
            "data": self.data,
            "reference": self.reference,
            "terms": [{"objective": t.objective, "weight": t.weight} for t in self.terms],
            "models": list(self.models),
            "best_for": self.best_for,
            "watch": self.watch,
            "options": [option_json(self.options, name) for name in self.options.model_fields],
        }


def option_json(options: type[TrainOptions], name: str) -> dict[str, Any]:
    """Name, type, default and meaning of one option."""
    schema = options.model_json_schema()["properties"][name]
    kinds = schema.get("anyOf", [schema])
    return {
        "name": name,
        "type": " | ".join(_kind(kind) for kind in kinds),
        "default": options.model_fields[name].default,
        "meaning": " ".join(schema.get("description", "").split()),
    }


def _kind(schema: dict[str, Any]) -> str:
    if "enum" in schema:
        return " | ".join(str(value) for value in schema["enum"])
    if "const" in schema:
        return str(schema["const"])
    kind = str(schema.get("type", "any"))
    return {"number": "float", "integer": "int", "boolean": "bool", "null": "none", "array": "list"}.get(
        kind, kind
    )
