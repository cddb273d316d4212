"""Feedback from a trained pairwise judge: which of two answers is better, in both orders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

import torch

from charter.data.questions import BETTER, Question, about_pair
from charter.engines.base import Engine, Sampling
from charter.errors import ConfigError
from charter.feedback.forward import TOKENS
from charter.feedback.trained.reasoned import after_reasons
from charter.feedback.trained.tournament import Compare, Match, all_pairs, single_elimination
from charter.feedback.trained.verdict_scores import verdict_scores
from charter.models.policy import Policy
from charter.objectives.generative import both_orders
from charter.types import Context, Group, Judgement, PairTarget, Sample, SampleTarget

Pairs = Literal["all", "tournament"]
_ASKING = Sampling(max_completion_length=256)


@dataclass(frozen=True)
class PairwiseRanker:
    """Compares the answers of a group by the probability of a letter (2410.12832; 2305.10425 pairwise).

    Attributes:
        policy: the trained judge, or any instruct model.
        question: what it was trained to be asked.
        pairs: ``all`` pairs of a group, or those a ``tournament`` plays.
        tokens: stream tokens computed at once.
        name: ``judge`` of the judgements.
        engine: writes reasons with the same model before each verdict; None = the verdict alone.
        critiques: how many reasons for a question; their verdicts' probabilities are averaged.
        sampling: how they are sampled.
    """

    policy: Policy
    question: Question = BETTER
    pairs: Pairs = "all"
    tokens: int = TOKENS
    name: str = "ranker"
    engine: Engine | None = None
    critiques: int = 1
    sampling: Sampling = _ASKING

    def __post_init__(self) -> None:
        if self.critiques < 1:
            raise ConfigError(f"critiques must be at least 1, not {self.critiques}")
        if self.engine is None and self.critiques > 1:
            raise ConfigError("critiques have no effect without an engine that samples them")
        if self.pairs not in ("all", "tournament"):
            raise ConfigError(f"pairs is 'all' or 'tournament', not {self.pairs!r}")

    async def __call__(self, groups: Sequence[Group]) -> list[list[Judgement]]:
        """As :meth:`judge`."""
        return self.judge(groups)

    def judge(self, groups: Sequence[Group]) -> list[list[Judgement]]:
        """A judgement of each pair that met: value is the margin ``2 p - 1``, probability ``p``.

        With ``pairs="all"`` also one of each sample: its mean probability of being the better one.
        """
        return [self._group(group) for group in groups]

    def probabilities(self, asked: Sequence[tuple[Sample, Sample]]) -> list[float]:
        """Probability that the first of each two answers is better, averaged over both orders."""
        contexts: list[Context] = []
        ask = self.question.ask if self.engine is None else self.question.think
        for first, second in asked:
            prompt, a, b = first.context.content, first.completion.content, second.completion.content
            contexts += [about_pair(prompt, *order, ask) for order in ((a, b), (b, a))]
        is_a_Q = torch.tensor(self._first_is_better(contexts), dtype=torch.float64)
        averaged: list[float] = both_orders(is_a_Q[0::2], 1 - is_a_Q[1::2]).tolist()
        return averaged

    def _first_is_better(self, contexts: Sequence[Context]) -> list[float]:
        """Probability of the first letter on each question."""
        if self.engine is None:
            scores = verdict_scores(self.policy, contexts, self.question, tokens=self.tokens)
            return [one.probability for one in scores]
        found = after_reasons(
            self.policy, self.engine, contexts, self.question, self.critiques, self.sampling, self.tokens
        )
        return [fmean(score.probability for score in one.scores) for one in found]

    def _group(self, group: Group) -> list[Judgement]:
        compare = self._among(group.samples)
        if self.pairs == "tournament":
            return [self._said(match) for match in single_elimination(len(group.samples), compare).matches]
        table = all_pairs(len(group.samples), compare)
        said = [self._said(match) for match in table.matches]
        if len(group.samples) < 2:
            return said
        return said + [
            Judgement(SampleTarget(index), value, probability=value, judge=self.name)
            for index, value in enumerate(table.scores)
        ]

    def _among(self, samples: Sequence[Sample]) -> Compare:
        def compare(pairs: Sequence[tuple[int, int]]) -> list[float]:
            return self.probabilities([(samples[first], samples[second]) for first, second in pairs])

        return compare

    def _said(self, match: Match) -> Judgement:
        better, worse, sure = match.first, match.second, match.probability
        if match.winner != match.first:
            better, worse, sure = worse, better, 1 - sure
        return Judgement(PairTarget(better, worse), value=2 * sure - 1, probability=sure, judge=self.name)
