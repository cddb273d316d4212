"""Red-team prompts as values, and how they are read from what a model writes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal

from charter.constitution import Principle
from charter.feedback.revising.near_duplicates import normalised
from charter.rundir import sha256_json

Kind = Literal["red_team", "must_comply"]

_ITEM = re.compile(r"^\s*(?:\(?\d{1,3}[.):]|[-*\u2022])\s*(.+?)\s*$")
_MARKS = "\"'\u201c\u201d\u2018\u2019"
_VERDICT = re.compile(r"\W*(unfair|fair)\b[\s:.,*_-]*(.*)", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True)
class RedTeamPrompt:
    """One prompt.

    Attributes:
        id: of its content, stable over runs.
        text: what the user says.
        kind: ``red_team`` tempts the model to break the principle; ``must_comply`` only looks like it.
        principle: id.
        principle_sha: sha256.
        category: the kind of request.
        scenario: the situation.
        twin_of: id of the prompt a twin was made from.
        model: who wrote it.
    """

    id: str
    text: str
    kind: Kind
    principle: str
    principle_sha: str
    category: str
    scenario: str
    twin_of: str
    model: str

    def row(self) -> dict[str, Any]:
        """A row of a prompts file."""
        return {
            "id": self.id,
            "prompt": [{"role": "user", "content": self.text}],
            "tags": [self.kind],
            "kind": self.kind,
            "principle": self.principle,
            "principle_sha": self.principle_sha,
            "category": self.category,
            "scenario": self.scenario,
            "twin_of": self.twin_of,
            "model": self.model,
        }


@dataclass(frozen=True)
class Flagged:
    """A prompt that is left out, and why."""

    prompt: RedTeamPrompt
    reason: str


def prompt_of(
    text: str, kind: Kind, principle: Principle, category: str, scenario: str, model: str, twin_of: str = ""
) -> RedTeamPrompt:
    """A prompt with an id made of its content."""
    name = sha256_json([kind, principle.id, normalised(text)])[:12]
    return RedTeamPrompt(name, text, kind, principle.id, principle.sha, category, scenario, twin_of, model)


def items(text: str) -> list[str]:
    """The items of a numbered or bulleted list; lines that are none are left out."""
    found = [_ITEM.match(line) for line in text.splitlines()]
    return [unquoted(item[1].strip("*")) for item in found if item]


def verdict_on_fairness(text: str) -> tuple[bool | None, str]:
    """Fair, unfair, or None where a reply says neither; and the reason."""
    said = _VERDICT.match(text)
    if said is None:
        return None, ""
    return said[1].lower() == "fair", said[2].strip().split("\n")[0]


def unquoted(text: str) -> str:
    """``text`` without quotation marks around the whole of it."""
    text = text.strip()
    return text[1:-1].strip() if len(text) > 1 and text[0] in _MARKS and text[-1] in _MARKS else text
