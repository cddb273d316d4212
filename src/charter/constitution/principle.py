"""One principle of a constitution, and its fingerprint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import Field

from charter.config import Config
from charter.constitution.cases import Case
from charter.constitution.examples import Answer, Example, Label
from charter.constitution.rule_tree import Rules
from charter.rundir import sha256_json

PrincipleType = Literal["prohibition", "requirement", "guideline", "definition"]
Status = Literal["active", "retired"]
MeasuredBy = Literal["rules", "rubric", "nothing"]


class Attributes(Config):
    """What a principle's heading says: ``{#id authority=user type=prohibition weight=2}``."""

    authority: str = ""
    """The level; without one the principle ranks below every level."""
    type: PrincipleType | None = None
    weight: Annotated[float, Field(gt=0.0, allow_inf_nan=False)] = 1.0
    """Weight among the principles of its level."""
    hard: bool = False
    """A constraint never to be weighed against others."""
    tags: tuple[str, ...] = ()
    status: Status = "active"
    """A retired principle keeps its id, which is never used again."""


class Rubric(Config):
    """What a judge looks at."""

    applies_when: str = ""
    levels: Mapping[int, str] = Field(default_factory=dict)
    """What an answer of each rating looks like; ratings in between may be left out."""
    not_a_violation: str = ""
    """What looks like a violation and is none."""


class Votes(Config):
    """How a principle was adopted."""

    votes_for: Annotated[int, Field(ge=0)]
    against: Annotated[int, Field(ge=0)]
    abstain: Annotated[int, Field(ge=0)] = 0
    by_group: Mapping[str, list[int]] = Field(default_factory=dict)
    """Votes for and against, by group."""


class Dissent(Config):
    """A no with its reason, kept."""

    who: str
    group: str = ""
    reason: str


class Amendment(Config):
    """One amendment of a principle, and who did not want it."""

    version: str
    """The version it made."""
    proposal: str
    title: str
    date: str
    votes: Votes
    dissent: list[Dissent] = Field(default_factory=list)


class Provenance(Config):
    """Where a principle comes from."""

    source: str = ""
    adopted_by: Votes | None = None
    amendments: list[Amendment] = Field(default_factory=list)
    """Oldest first."""


@dataclass(frozen=True)
class Principle:
    """One principle.

    Attributes:
        id: unique, never reused.
        title: the heading.
        level: its level of authority; "" when the heading names none.
        type: prohibition, requirement, guideline or definition; None when not said.
        weight: weight within the level.
        hard: never weighed against others.
        tags: free labels.
        status: ``active`` or ``retired``.
        text: the statement, as Markdown without notes, blocks and examples.
        rationale: text of the ``!!! why`` notes.
        rubric: for judges; None when there is none.
        rules: for the rule judge; None when there are none.
        examples: labelled answers; may be trained on.
        tests: never trained on.
        provenance: where it comes from.
        line: line of its heading.
    """

    id: str
    title: str
    level: str
    text: str
    line: int
    type: PrincipleType | None = None
    weight: float = 1.0
    hard: bool = False
    tags: tuple[str, ...] = ()
    status: Status = "active"
    rationale: str = ""
    rubric: Rubric | None = None
    rules: Rules | None = None
    examples: tuple[Example, ...] = field(default=())
    tests: tuple[Case, ...] = field(default=())
    provenance: Provenance | None = None

    @cached_property
    def sha(self) -> str:
        """sha256 of title, text, rubric, rules, level and examples.

        Tests, rationale, weight and status are left out: new tests leave old
        judgements valid, new wording does not.
        """
        return sha256_json(self._judged_by())

    @property
    def active(self) -> bool:
        """Is it in force?"""
        return self.status == "active"

    @property
    def measured_by(self) -> MeasuredBy:
        """What can judge it: rules first."""
        if self.rules is not None:
            return "rules"
        return "nothing" if self.rubric is None else "rubric"

    def answers(self, label: Label) -> list[Answer]:
        """Every example answer with that label."""
        return [answer for example in self.examples for answer in example.answers(label)]

    def pairs(self) -> list[tuple[Answer, Answer]]:
        """Every (good, bad) pair of its examples."""
        return [
            pair for example in self.examples for compared in example.comparisons for pair in compared.pairs()
        ]

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "id": self.id,
            "sha": self.sha,
            **self._judged_by(),
            "type": self.type,
            "weight": self.weight,
            "hard": self.hard,
            "tags": list(self.tags),
            "status": self.status,
            "rationale": self.rationale,
            "tests": [case.to_dict() for case in self.tests],
            "provenance": self.provenance.model_dump(mode="json") if self.provenance else None,
        }

    def _judged_by(self) -> dict[str, Any]:
        return {
            "title": self.title,
            "text": self.text,
            "level": self.level,
            "rubric": self.rubric.model_dump(mode="json", exclude_defaults=True) if self.rubric else None,
            "rules": self.rules.to_dict() if self.rules else None,
            "examples": [example.to_dict() for example in self.examples],
        }
