"""Where an evaluation writes down what was answered and judged, so that a stopped one goes on from there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

ANSWERS, VERDICTS, REPLIES = "answers.kept", "verdicts.kept", "judge.replies"


@dataclass(frozen=True)
class Keep:
    """A folder with the files that are written while an evaluation runs.

    Every line is found again by everything that decides it, so that a folder may serve several
    evaluations: another model, another constitution or another seed is asked anew.

    Attributes:
        folder: of the files; made when it is first written to.
        around: identity of what is put around the model (a system prompt, examples); "" = nothing.
    """

    folder: Path
    around: str = ""

    @property
    def answers(self) -> Path:
        """The model's answers."""
        return self.folder / ANSWERS

    @property
    def verdicts(self) -> Path:
        """Verdicts of judges."""
        return self.folder / VERDICTS

    @property
    def replies(self) -> Path:
        """What an endpoint that judges replied."""
        return self.folder / REPLIES

    @property
    def fix(self) -> str:
        """What a person does after an interruption."""
        return f"run the same again: what was answered and judged is kept in {self.folder}"
