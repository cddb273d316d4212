"""What a recipe says of a review."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from charter.config import Config
from charter.constitution.amend_rules import person_key


class ReviewStage(Config):
    """Stop until named people approve; `charter review` takes their word, `charter run` goes on."""

    by: tuple[str, ...] = Field(min_length=1)
    """Who is asked."""
    needs: int | None = Field(None, ge=1)
    """How many must approve; None = all of them."""
    what: tuple[Literal["pairs", "evaluation", "report"], ...] = Field(min_length=1)
    """What they are asked to look at."""
    minutes: float = Field(0.0, ge=0)
    """How long to wait for them before stopping; 0 = stop at once."""

    @property
    def needed(self) -> int:
        """Approvals that are needed."""
        return len(self.by) if self.needs is None else self.needs

    @model_validator(mode="after")
    def _people_differ(self) -> Self:
        if any(not name.strip() for name in self.by):
            raise ValueError("by: a name is empty")
        if len({person_key(name) for name in self.by}) < len(self.by):
            raise ValueError("by: somebody is named twice")
        if self.needed > len(self.by):
            raise ValueError(f"needs ({self.needed}) is more than are asked ({len(self.by)})")
        return self
