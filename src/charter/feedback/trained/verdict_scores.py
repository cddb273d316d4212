"""The probability of a verdict: a question with two branches, scored, not sampled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from charter.data.questions import Question
from charter.data.verdict_tokens import verdict_group
from charter.feedback.forward import TOKENS, logps_of
from charter.models.policy import Policy
from charter.objectives.generative import verdict_probability
from charter.progress import say
from charter.types import Context

LEAK = 0.5
"""Mean probability of saying neither verdict, from which a person is told."""


@dataclass(frozen=True, slots=True)
class VerdictScore:
    """How probable the positive verdict on one question is.

    Attributes:
        probability: among the two verdicts.
        full: among everything the model could say.
        leaked: probability of saying neither.
    """

    probability: float
    full: float
    leaked: float

    def in_words(self, question: Question) -> str:
        """For the reason of a judgement."""
        return (
            f"p({question.positive}) {self.full:.3f}, p({question.negative}) "
            f"{max(1 - self.full - self.leaked, 0.0):.3f}, neither {self.leaked:.3f}"
        )


def verdict_scores(
    policy: Policy,
    contexts: Sequence[Context],
    question: Question,
    reasons: Sequence[str] | None = None,
    tokens: int = TOKENS,
) -> list[VerdictScore]:
    """Score both verdicts on every context, each after its ``reasons`` where there are any.

    Says so where more than :data:`LEAK` of the probability goes to neither verdict: a model that
    was never trained on the question.
    """
    if not contexts:
        return []
    given = reasons if reasons is not None else [""] * len(contexts)
    groups = [
        verdict_group(policy.template, context, question, why)
        for context, why in zip(contexts, given, strict=True)
    ]
    logps_Q2 = torch.tensor(logps_of(policy, groups, tokens), dtype=torch.float64)
    made = verdict_probability(logps_Q2[:, 0], logps_Q2[:, 1])
    leaked = float(made.leaked_Q.mean())
    if leaked > LEAK:
        say(
            f"{leaked:.0%} of the probability goes to neither {question.positive!r} nor {question.negative!r}"
        )
    rows = zip(made.among_Q.tolist(), made.full_Q.tolist(), made.leaked_Q.tolist(), strict=True)
    return [VerdictScore(*row) for row in rows]
