"""A principle as a judge reads it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from charter.constitution import Constitution, Principle
from charter.constitution.prompt import plain


@dataclass(frozen=True)
class Clause:
    """The words of one principle.

    Attributes:
        id: its id.
        title: its heading.
        text: its statement.
        applies_when: what conversations it is about; "" = not said.
        not_a_violation: what looks like breaking it and is not; "" = not said.
        levels: what answers of each rating look like.
    """

    id: str
    title: str
    text: str = ""
    applies_when: str = ""
    not_a_violation: str = ""
    levels: Mapping[int, str] = field(default_factory=dict)

    @property
    def written(self) -> str:
        """Title, statement and what the rubric says of when it applies; no examples, no ratings."""
        parts = [self.title, self.text]
        if self.applies_when:
            parts.append(f"It is about conversations where: {self.applies_when}")
        if self.not_a_violation:
            parts.append(f"This does not break it: {self.not_a_violation}")
        return "\n".join(part for part in parts if part)

    def scale(self, top: int) -> str:
        """What the ratings mean; without a rubric, what the ends mean."""
        levels = self.levels or {1: "breaks the principle", top: "keeps fully to the principle"}
        return "\n".join(f"{rating}: {levels[rating]}" for rating in sorted(levels))


def clause_of(principle: Principle, constitution: Constitution) -> Clause:
    """The words of ``principle``, links and notes written out."""
    titles = {heading.id: heading.title for heading in constitution.headings if heading.id}
    rubric = principle.rubric
    return Clause(
        principle.id,
        plain(principle.title, titles),
        plain(principle.text, titles),
        rubric.applies_when if rubric else "",
        rubric.not_a_violation if rubric else "",
        dict(rubric.levels) if rubric else {},
    )
