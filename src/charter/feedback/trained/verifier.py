"""Feedback from trained judges of single answers: a verifier, and a critique-then-score model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

import torch

from charter.data.critique_rows import critiqued
from charter.data.questions import CORRECT, CRITIQUE, Question, about_answer
from charter.engines.base import Engine, Sampling
from charter.errors import ConfigError
from charter.feedback.forward import TOKENS, rewards_of
from charter.feedback.trained.critiques import BLANK, critiques
from charter.feedback.trained.reading import require
from charter.feedback.trained.reasoned import after_reasons
from charter.feedback.trained.reward import scale_of
from charter.feedback.trained.verdict_scores import VerdictScore, verdict_scores
from charter.models.policy import Policy
from charter.objectives.generative import vote
from charter.types import Context, Group, Judgement, Sample, SampleTarget

_ASKING = Sampling(max_completion_length=256)


@dataclass(frozen=True)
class Verifier:
    """Judges each answer by the probability of the positive verdict (2408.15240; 2305.10425 pointwise).

    Attributes:
        policy: the trained verifier, or any instruct model.
        question: what it was trained to be asked.
        engine: samples critiques from the same model; None = the verdict alone.
        critiques: how many of an answer (GenRM-CoT: 32); each leads to a verdict.
        majority: score by the share of positive verdicts; off = by their mean probability.
        sampling: how critiques are sampled.
        tokens: stream tokens computed at once.
        name: ``judge`` of the judgements.
    """

    policy: Policy
    question: Question = CORRECT
    engine: Engine | None = None
    critiques: int = 1
    majority: bool = False
    sampling: Sampling = _ASKING
    tokens: int = TOKENS
    name: str = "verifier"

    def __post_init__(self) -> None:
        if self.critiques < 1:
            raise ConfigError(f"critiques must be at least 1, not {self.critiques}")
        if self.engine is None and (self.critiques > 1 or self.majority):
            raise ConfigError(
                "critiques and majority have no effect without an engine that samples critiques"
            )

    async def __call__(self, groups: Sequence[Group]) -> list[list[Judgement]]:
        """As :meth:`judge`."""
        return self.judge(groups)

    def judge(self, groups: Sequence[Group]) -> list[list[Judgement]]:
        """One judgement of each sample: value and probability are the score, the reason its parts."""
        asked = self.question.ask if self.engine is None else self.question.think
        contexts = [
            about_answer(sample.context.content, sample.completion.content, asked)
            for group in groups
            for sample in group.samples
        ]
        judged = iter(self._direct(contexts) if self.engine is None else self._after_critiques(contexts))
        return [[self._judgement(index, *next(judged)) for index in range(len(g.samples))] for g in groups]

    def _direct(self, contexts: Sequence[Context]) -> list[tuple[float, str]]:
        scores = verdict_scores(self.policy, contexts, self.question, tokens=self.tokens)
        return [(one.probability, one.in_words(self.question)) for one in scores]

    def _after_critiques(self, contexts: Sequence[Context]) -> list[tuple[float, str]]:
        assert self.engine is not None
        found = after_reasons(
            self.policy, self.engine, contexts, self.question, self.critiques, self.sampling, self.tokens
        )
        table = [[score.probability for score in one.scores] for one in found]
        scores_QK = torch.tensor(table, dtype=torch.float64).reshape(len(contexts), self.critiques)
        voted = vote(scores_QK, majority=self.majority).tolist()
        return [
            (value, self._reason(one.scores, one.texts[0])) for value, one in zip(voted, found, strict=True)
        ]

    def _reason(self, scores: Sequence[VerdictScore], first: str) -> str:
        leaked = fmean(one.leaked for one in scores)
        return f"{len(scores)} critiques, neither verdict {leaked:.3f}; first critique: {first}"

    def _judgement(self, sample: int, value: float, reason: str) -> Judgement:
        return Judgement(SampleTarget(sample), value, probability=value, judge=self.name, reason=reason)


@dataclass(frozen=True)
class CritiqueScorer:
    """Scores each answer by a model trained with ``cloud``: critiques, then the mean of their rewards.

    Rewards are normalised by what was measured at the ends of critiques after training.

    Attributes:
        policy: the trained model, with its reward head.
        engine: samples critiques from it.
        critiques: how many of an answer.
        question: the request for a critique, as in training.
        sampling: how critiques are sampled.
        tokens: stream tokens computed at once.
        name: ``judge`` of the judgements.
    """

    policy: Policy
    engine: Engine
    critiques: int = 1
    question: str = CRITIQUE
    sampling: Sampling = _ASKING
    tokens: int = TOKENS
    name: str = "critique-scorer"

    def __post_init__(self) -> None:
        if self.critiques < 1:
            raise ConfigError(f"critiques must be at least 1, not {self.critiques}")
        require(self.policy, "critique")

    async def __call__(self, groups: Sequence[Group]) -> list[list[Judgement]]:
        """As :meth:`judge`."""
        return self.judge(groups)

    def judge(self, groups: Sequence[Group]) -> list[list[Judgement]]:
        """One judgement of each sample: the mean reward, with the first critique as its reason."""
        answers = [sample for group in groups for sample in group.samples]
        contexts = [about_answer(s.context.content, s.completion.content, self.question) for s in answers]
        written = critiques(self.engine, self.policy.template, contexts, self.critiques, self.sampling)
        rendered: list[Sample] = []
        for answer, of in zip(answers, written, strict=True):
            group = Group(tuple(critiqued(answer, text or BLANK, self.question) for text in of))
            rendered += self.policy.template.render(group).samples
        scale = scale_of(self.policy)
        rewards = [
            float(scale.scalar(reward_1Z)[0])
            for reward_1Z in rewards_of(self.policy, rendered, [[-1]] * len(rendered), self.tokens)
        ]
        means = iter(
            (fmean(rewards[i * self.critiques : (i + 1) * self.critiques]), of[0])
            for i, of in enumerate(written)
        )
        return [
            [
                Judgement(SampleTarget(index), value, judge=self.name, reason=why)
                for index, (value, why) in zip(range(len(group.samples)), means, strict=False)
            ]
            for group in groups
        ]
