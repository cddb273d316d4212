"""What a stage is given, and what it leaves behind."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from charter.constitution import Constitution
from charter.errors import UserError
from charter.models.policy import Policy
from charter.pipeline.attempts import Attempts, Spent
from charter.pipeline.recipe import Recipe
from charter.rundir import RunDir, write_json

DONE = "done.json"


@dataclass
class Context:
    """What all stages share.

    Attributes:
        recipe: the recipe.
        run: the run directory.
        number: this stage, 1-based.
        directory: this stage's folder.
        results: summaries of the stages before, by kind, and by name where they have one; ``train`` is
            the last that trained a policy.
        folders: their folders, likewise.
        started: monotonic start of the stage.
        before: the summaries of the stages before, in order; where a kind or a name comes twice, ``results``
            has only the last.
        attempts: at this stage; None = this one alone is counted.
    """

    recipe: Recipe
    run: RunDir
    number: int
    directory: Path
    results: Mapping[str, Any]
    folders: Mapping[str, Path]
    started: float = field(default_factory=time.monotonic)
    before: tuple[Mapping[str, Any], ...] = ()
    attempts: Attempts | None = None

    def constitution(self) -> Constitution:
        """The recipe's constitution."""
        if self.recipe.head.constitution is None:
            raise UserError("the recipe names no constitution", where=str(self.recipe.path))
        return Constitution.load(self.recipe.file(self.recipe.head.constitution))

    def policy(self, model: str | None = None) -> Policy:
        """``model``, a folder or a name; None = the recipe's model, as it was before training."""
        from charter.models.load import load

        return load(self.recipe.model_source(model), bf16=self.recipe.head.bf16)

    def finish(self, summary: Mapping[str, Any]) -> dict[str, Any]:
        """Write what the stage found; it is done from here on."""
        spent = self.attempts.spent() if self.attempts else Spent(time.monotonic() - self.started)
        result = {**spent.to_json(), **summary}
        write_json(self.directory / DONE, result)
        return result


class StageRunner(Protocol):
    """Runs one kind of stage."""

    def __call__(self, context: Context, options: Any) -> dict[str, Any]:
        """Do the work; continue what an interrupted attempt left; return the summary."""
        ...
