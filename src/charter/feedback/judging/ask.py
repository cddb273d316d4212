"""Asking a judge model: each different question once, and everything counted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from charter.errors import ConfigError
from charter.feedback.judging.model import Asking, JudgeModel, OptionModel, Question, Reply

Method = Literal["auto", "options", "words"]
"""``options``: the log-probs of the verdicts; ``words``: replies that are read; ``auto``: options where
the model can."""

Judge = JudgeModel | OptionModel
"""Who is asked."""


@dataclass
class Tally:
    """What was asked, and what came back.

    Attributes:
        questions: different questions asked.
        replies: replies received.
        garbage: replies that could not be read as a verdict.
        failed: replies that never came, or log-probs that could not be computed.
        cached: replies that were there already.
        tokens_in: tokens read by judges.
        tokens_out: tokens written by judges.
        cost: in the currency of the prices; 0 where they are not known.
    """

    questions: int = 0
    replies: int = 0
    garbage: int = 0
    failed: int = 0
    cached: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    cost: float = 0.0

    @property
    def garbage_share(self) -> float | None:
        """Share of the replies that could not be read; None = there were none."""
        return self.garbage / self.replies if self.replies else None

    def add(self, reply: Reply) -> None:
        """Count one reply."""
        if reply.error:
            self.failed += 1
        else:
            self.replies += 1
        self.cached += reply.cached
        self.tokens_in += reply.tokens_in
        self.tokens_out += reply.tokens_out
        self.cost += reply.cost


def uses_options(model: Judge, method: Method) -> bool:
    """Whether ``model`` is asked for log-probs of options.

    Raises:
        ConfigError: it cannot do what ``method`` says.
    """
    can_weigh, can_speak = isinstance(model, OptionModel), isinstance(model, JudgeModel)
    if method == "options" and not can_weigh:
        raise ConfigError(f"the judge {model.name} gives no log-probs of options", fix="use method 'words'")
    if method == "words":
        speaker(model)
    return can_weigh and (method != "words" or not can_speak)


def speaker(model: Judge) -> JudgeModel:
    """``model`` as one that answers in words.

    Raises:
        ConfigError: it does not.
    """
    if not isinstance(model, JudgeModel):
        raise ConfigError(
            f"the judge {model.name} only gives log-probs of options",
            fix="use the form per_principle, rubric or pairwise",
        )
    return model


def ask(model: Judge, questions: Sequence[Question], asking: Asking, tally: Tally) -> list[list[Reply]]:
    """``asking.n`` replies to each question; equal questions are asked once and share their replies."""
    places, different = _once(questions)
    answered = speaker(model).answer(different, asking) if different else []
    if len(answered) != len(different) or any(len(one) != asking.n for one in answered):
        raise ValueError(f"the judge {model.name} did not give {asking.n} replies to each question")
    tally.questions += len(different)
    for replies in answered:
        for reply in replies:
            tally.add(reply)
    return [answered[place] for place in places]


def weigh(
    model: Judge, questions: Sequence[Question], options: Sequence[str], tally: Tally
) -> list[tuple[float, ...] | None]:
    """How the options of each question share the probability among themselves; None = not computed."""
    assert isinstance(model, OptionModel)
    places, different = _once(questions)
    logps = model.option_logps(different, [options] * len(different)) if different else []
    found = [_shares(one) for one in logps]
    tally.questions += len(different)
    tally.failed += sum(one is None for one in found)
    tally.replies += sum(one is not None for one in found)
    return [found[place] for place in places]


def _once(questions: Sequence[Question]) -> tuple[list[int], list[Question]]:
    """Where each question stands among the different ones, and those."""
    at: dict[str, int] = {}
    different: list[Question] = []
    for question in questions:
        if question.sha not in at:
            at[question.sha] = len(different)
            different.append(question)
    return [at[question.sha] for question in questions], different


def _shares(logps: Sequence[float]) -> tuple[float, ...] | None:
    top = max(logps)
    if any(math.isnan(one) for one in logps) or not math.isfinite(top):
        return None
    weights = [math.exp(one - top) for one in logps]
    return tuple(weight / sum(weights) for weight in weights)
