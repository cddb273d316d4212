"""Who answers a judge's questions: a model in this process, an endpoint, or a script in a test."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, runtime_checkable

from charter.rundir import sha256_json
from charter.types import FinishReason, Message


@dataclass(frozen=True)
class Question:
    """One conversation that a judge model is to continue.

    Attributes:
        turns: the conversation; the last turn is the user's.
        prompt_sha: of the prompt's template and version, without what was filled in.
    """

    turns: tuple[Message, ...]
    prompt_sha: str = ""

    @cached_property
    def sha(self) -> str:
        """Identity of everything the model reads."""
        return sha256_json([[turn.role, turn.content] for turn in self.turns])


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer to a question, or why there is none.

    Attributes:
        text: what was said; "" where ``error`` is set.
        error: why there is no answer, in words; "" = there is one. It is never a verdict.
        model: which model answered, as it names itself.
        tokens_in: tokens read.
        tokens_out: tokens written.
        cost: in the currency the prices were given in; 0 where they are not known.
        cached: it was answered before, and costs nothing now.
        finish_reason: ``length`` = cut off by the limit, so what was to come last is missing.
    """

    text: str = ""
    error: str = ""
    model: str = ""
    tokens_in: int = 0
    tokens_out: int = 0
    cost: float = 0.0
    cached: bool = False
    finish_reason: FinishReason = "stop"


@dataclass(frozen=True, slots=True)
class Asking:
    """How answers are sampled.

    Attributes:
        n: answers to each question.
        temperature: 0 = the most probable tokens.
        max_tokens: most tokens of an answer.
        seed: decides what is sampled, as far as the model allows.
    """

    n: int = 1
    temperature: float = 0.0
    max_tokens: int = 256
    seed: int = 0


@runtime_checkable
class JudgeModel(Protocol):
    """Answers questions in words."""

    @property
    def name(self) -> str:
        """Names the model and its weights; part of every judgement."""
        ...

    @property
    def family(self) -> str:
        """Models of one family may favour each other."""
        ...

    def answer(self, questions: Sequence[Question], asking: Asking) -> list[list[Reply]]:
        """``asking.n`` replies to each question, in order.

        A failed call is a :class:`Reply` with ``error``, not an exception.

        Raises:
            Interrupted: the person asked to stop; what was answered is kept.
        """
        ...


@runtime_checkable
class OptionModel(Protocol):
    """Says how probable given answers are."""

    @property
    def name(self) -> str:
        """See :class:`JudgeModel`."""
        ...

    @property
    def family(self) -> str:
        """See :class:`JudgeModel`."""
        ...

    def option_logps(
        self, questions: Sequence[Question], options: Sequence[Sequence[str]]
    ) -> list[tuple[float, ...]]:
        """Log-prob of each option as the whole answer to its question, nats.

        Args:
            questions: what is asked.
            options: the texts compared, for each question.
        """
        ...
