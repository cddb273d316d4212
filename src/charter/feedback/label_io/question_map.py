"""What only a person knows of an export: which field is the prompt, what a choice means.

prompt: question                # a field of the tasks
answers: [left_text, right_text]
models: [left_model, right_model]
scale: [1, 5]                   # of every rating that says none of its own
questions:
  quality: {principle: helpful.direct, values: {Good: 1, Bad: 0}}
  size: {scale: [0, 100]}
  verdict: {values: {Left is better: first, Right is better: second, Same: tie}}
  rewrite: {as: revision}
  comment: {as: rationale}
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import Field

from charter.config import Config, read_yaml, validate
from charter.feedback.label_io.scales import Scale

As = Literal["rating", "pair", "ranking", "labels", "revision", "rationale", "ignore"]


class Question(Config):
    """One control of Label Studio, or one question of Argilla."""

    principle: str | None = None
    """Id of the principle; "" = the answer as a whole."""
    values: Mapping[str, float | str] = Field(default_factory=dict)
    """What a choice means: a number, or first, second, tie, both_bad, not_applicable, skipped."""
    as_: As | None = Field(None, alias="as")
    """What the answers to it are, where their form does not say."""
    field: str | None = None
    """The text that spans are marked in."""
    scale: Scale | None = None
    """Lowest and highest rating; where choices mean numbers, those say it."""


class QuestionMap(Config):
    """Everything said of a file."""

    prompt: str | None = None
    answers: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    questions: Mapping[str, Question] = Field(default_factory=dict)
    scale: Scale | None = None
    """Of ratings that carry none and whose question has none."""

    def of(self, question: str) -> Question:
        """What is said of a question; nothing, where nothing is."""
        return self.questions.get(question) or Question.model_validate({})


def read_question_map(path: Path | None) -> QuestionMap:
    """The map at ``path``; empty without one.

    Raises:
        ConfigError: what is wrong, with the nearest known key.
    """
    return QuestionMap() if path is None else validate(QuestionMap, read_yaml(path), where=str(path))
