"""Verdicts after reasons: several texts for each question, and the probability of a verdict after each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from charter.data.questions import Question
from charter.engines.base import Engine, Sampling
from charter.feedback.forward import TOKENS
from charter.feedback.trained.critiques import BLANK, critiques
from charter.feedback.trained.verdict_scores import VerdictScore, verdict_scores
from charter.models.policy import Policy
from charter.types import Context


@dataclass(frozen=True, slots=True)
class Reasoned:
    """What was said on one question.

    Attributes:
        texts: the reasons, as they came.
        scores: of the verdict after each.
    """

    texts: tuple[str, ...]
    scores: tuple[VerdictScore, ...]


def after_reasons(
    policy: Policy,
    engine: Engine,
    contexts: Sequence[Context],
    question: Question,
    count: int,
    sampling: Sampling,
    tokens: int = TOKENS,
) -> list[Reasoned]:
    """Write ``count`` reasons for each context, and score the verdict after each.

    Args:
        policy: gives the verdicts.
        engine: of the same model; writes.
        contexts: each ends with the request for reasons.
        question: its ``mark`` ends the reasons.
        count: texts for each context.
        sampling: how they are sampled.
        tokens: stream tokens computed at once.
    """
    written = critiques(engine, policy.template, contexts, count, sampling, until=question.mark)
    repeated = [context for context, of in zip(contexts, written, strict=True) for _ in of]
    reasons = [text or BLANK for of in written for text in of]
    scores = iter(verdict_scores(policy, repeated, question, reasons, tokens))
    return [Reasoned(tuple(of), tuple(next(scores) for _ in of)) for of in written]
