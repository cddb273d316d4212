"""What an algorithm is: an entry, not a class.

An entry lists weighted terms, each an objective looked up by dotted name when
it is trained, plus the reference policy, the data it reads, and its options.
Nothing here imports torch, so the catalogue can be printed, validated and
documented in milliseconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from typing import Any, Literal

from charter.catalogue.columns import OF_KIND, Columns
from charter.catalogue.options import TrainOptions
from charter.catalogue.rollouts import RolloutSpec
from charter.catalogue.sources import Source

Data = Literal["sft", "preference", "unpaired", "rated", "attributes", "steps", "prompts"]
"""``sft``: completions; ``preference``: pairs or rankings; ``unpaired``: labelled completions;
``rated``: completions with scores; ``attributes``: with scores by name; ``steps``: completions whose
steps are labelled; ``prompts``."""

Reference = Literal["none", "frozen", "moving", "behaviour", "stepwise"]
"""``frozen``: the policy before the first step; ``moving``: follows the policy; ``behaviour``: the
policy that sampled the data; ``stepwise``: the policy after the part of the data before."""

Trains = Literal["policy", "reward"]
Family = Literal[
    "supervised",
    "reward",
    "preference",
    "unpaired",
    "distillation",
    "pluralistic",
    "policy-gradient",
    "online",
    "own-samples",
]


@dataclass(frozen=True, slots=True)
class TermSpec:
    """One term of the loss.

    Attributes:
        objective: dotted name ``module:Class``.
        options: names of the entry's options that the class takes.
        weight: the term's weight in the sum, or the name of the option that gives it.
        fixed: arguments of the class that are not options.
    """

    objective: str
    options: tuple[str, ...] = ()
    weight: float | str = 1.0
    fixed: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Traits:
    """What ``charter algorithms compare`` prints side by side, in words.

    Attributes:
        formula: the loss of one unit of data, in the symbols of the documentation.
        mechanism: how it learns.
        stability: how it fails, and how soon one sees it.
        complexity: moving parts and settings.
    """

    formula: str
    mechanism: str
    stability: str
    complexity: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One algorithm.

    Attributes:
        name: what is typed.
        title: one line.
        family: section of the catalogue.
        paper: arXiv id or reference.
        data: rows it trains on.
        columns: what those rows hold; None = what its kind of data does.
        reference: see :data:`Reference`.
        terms: see :class:`TermSpec`.
        options: every option, with default and meaning.
        models: models held in memory while training.
        best_for: when to choose it.
        watch: what goes wrong with it.
        traits: see :class:`Traits`.
        trains: the language model, or a reward head on it.
        paper_settings: what ``preset: paper`` sets, as published.
        sources: where settings and readings of the paper come from, and what could not be settled.
        rows: dotted name of a function of the loaded data and the options that gives the data
            trained on, before rendering (a verifier's questions).
        arrange: dotted name of a function of the rendered groups and the options that gives the
            groups trained on (mismatched answers, a teacher's contexts).
        elsewhere: own options that no term takes, because the loop, ``rows`` or ``arrange`` does.
        rollouts: how it makes its own training data; None = it trains on a data set.
    """

    name: str
    title: str
    family: Family
    paper: str
    data: Data
    reference: Reference
    terms: tuple[TermSpec, ...]
    options: type[TrainOptions]
    models: tuple[str, ...]
    best_for: str
    watch: str
    traits: Traits
    columns: Columns | None = None
    trains: Trains = "policy"
    paper_settings: Mapping[str, Any] = field(default_factory=dict)
    sources: tuple[Source, ...] = ()
    rows: str = ""
    arrange: str = ""
    elsewhere: tuple[str, ...] = ()
    rollouts: RolloutSpec | None = None

    def reads(self) -> Columns:
        """The columns of the rows it trains on."""
        return self.columns or OF_KIND[self.data]

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
            "columns": asdict(self.reads()),
            "reference": self.reference,
            "trains": self.trains,
            "terms": [{"objective": t.objective, "weight": t.weight} for t in self.terms],
            "traits": asdict(self.traits),
            "paper_settings": dict(self.paper_settings),
            "sources": [asdict(source) for source in self.sources],
            "models": list(self.models),
            "best_for": self.best_for,
            "watch": self.watch,
            "rollouts": None if self.rollouts is None else asdict(self.rollouts),
            "options": [option_json(self.options, name) for name in self.options.model_fields],
        }


def option_json(options: type[TrainOptions], name: str) -> dict[str, Any]:
    """Name, type, default (None where it must be given) and meaning of one option."""
    schema, field_info = _schema(options)[name], options.model_fields[name]
    kinds = schema.get("anyOf", [schema])
    required = field_info.is_required()
    return {
        "name": name,
        "type": " | ".join(_kind(kind) for kind in kinds),
        "default": None if required else field_info.default,
        "required": required,
        "meaning": " ".join(schema.get("description", "").split()),
    }


@cache
def _schema(options: type[TrainOptions]) -> dict[str, Any]:
    properties: dict[str, Any] = options.model_json_schema()["properties"]
    return properties


def _kind(schema: dict[str, Any]) -> str:
    if "enum" in schema:
        return " | ".join(str(value) for value in schema["enum"])
    if "const" in schema:
        return str(schema["const"])
    kind = str(schema.get("type", "any"))
    return {"number": "float", "integer": "int", "boolean": "bool", "null": "none", "array": "list"}.get(
        kind, kind
    )
