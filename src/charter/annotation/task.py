"""What will become an item: one thing to be labelled, before it is in the database."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from charter.annotation.options import Mode
from charter.rundir import sha256_json
from charter.types import Content


@dataclass(frozen=True, slots=True)
class Task:
    """One thing to be labelled.

    Attributes:
        mode: what a rater does with it.
        prompt: what was asked.
        answers: texts, in stored order.
        models: who wrote each.
        principle: id, or "" for the answer as a whole.
        principle_sha: of the principle.
        level: of the principle.
        source: where the prompt comes from; a dimension of the strata.
        gold: the right value as in :class:`charter.label.Label`; None = an ordinary item.
        judge: what judges said, by name; hidden from raters.
        meta: what else is known.
    """

    mode: Mode
    prompt: Content
    answers: tuple[str, ...]
    models: tuple[str, ...]
    principle: str = ""
    principle_sha: str = ""
    level: str = ""
    source: str = ""
    gold: Any = None
    judge: Mapping[str, Any] = field(default_factory=dict)
    meta: Mapping[str, Any] = field(default_factory=dict)

    @property
    def stratum(self) -> str:
        """Principle, level, source and mode: what coverage is counted over."""
        return " | ".join((self.principle or "overall", self.level or "-", self.source or "-", self.mode))

    @property
    def id(self) -> str:
        """From what a rater sees, so that the same thing is never twice in a campaign."""
        seen = {
            "mode": self.mode,
            "prompt": prompt_to_json(self.prompt),
            "answers": list(self.answers),
            "principle": self.principle,
        }
        return sha256_json(seen)[:16]


def prompt_to_json(prompt: Content) -> Any:
    """Text as it is, turns as ``[{role, content}]``."""
    if isinstance(prompt, str):
        return prompt
    return [{"role": turn.role, "content": turn.content} for turn in prompt]
