"""A trained judge of any kind on pairs, with the measures of a reward model: see :mod:`.reward_bench`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from charter.errors import DataError
from charter.evaluation.reward_bench.pairs import TestPairs
from charter.evaluation.reward_bench.reward_bench import RewardBench, items_of, measured, reward_bench
from charter.feedback.trained.opening import TrainedJudge
from charter.feedback.trained.ranker import PairwiseRanker
from charter.feedback.trained.reward import GroupRewards, RewardFeedback
from charter.types import Group, Judgement, PairTarget, SampleTarget

UNJUDGED = "pairs left out: the judge says nothing of an answer"


@dataclass(frozen=True)
class _Said(GroupRewards):
    """What a judge said of a group, with the probabilities it states of pairs."""

    pairs: Mapping[tuple[int, int], float] = field(default_factory=dict)

    def probability(self, first: int, second: int) -> float | None:
        """That ``first`` is better, where the judge compares two."""
        if (first, second) in self.pairs:
            return self.pairs[first, second]
        back = self.pairs.get((second, first))
        return None if back is None else 1.0 - back


def judge_bench(
    judge: TrainedJudge, pairs: TestPairs, models: Sequence[str], *, level: float = 0.95
) -> RewardBench:
    """Judge every answer and measure.

    Of a judge that compares two answers, an answer's value is its mean probability of being the better
    one; only such a judge, and outcome reward models, state a probability of pairs.

    Args:
        judge: of any kind; a tournament does not score every answer.
        pairs: from :func:`charter.evaluation.reward_bench.pairs.read_pairs`.
        models: names, for the report.
        level: of all intervals.

    Raises:
        DataError: the judge said nothing of any pair.
    """
    if isinstance(judge, RewardFeedback):
        return reward_bench(judge, pairs, level=level)
    if isinstance(judge, PairwiseRanker) and judge.pairs != "all":
        judge = replace(judge, pairs="all")
    said = [_said(group, of) for group, of in zip(pairs.groups, judge.judge(pairs.groups), strict=True)]
    known = [
        tuple(pair for pair in of if not any(math.isnan(one.values[index]) for index in pair))
        for of, one in zip(pairs.pairs, said, strict=True)
    ]
    lost = sum(map(len, pairs.pairs)) - sum(map(len, known))
    kept = [index for index, of in enumerate(known) if of]
    if not kept:
        raise DataError("the judge says nothing of any pair", where=pairs.name or None)
    read = replace(
        pairs,
        groups=tuple(pairs.groups[i] for i in kept),
        pairs=tuple(known[i] for i in kept),
        left_out={**pairs.left_out, UNJUDGED: lost} if lost else pairs.left_out,
    )
    return measured(items_of(read, [said[i] for i in kept]), tuple(models), read, level=level)


def _said(group: Group, judgements: Sequence[Judgement]) -> _Said:
    """The value of each answer, NaN where there is none, and the probabilities of pairs."""
    values = {
        one.target.sample: one.value
        for one in judgements
        if isinstance(one.target, SampleTarget) and one.value is not None
    }
    pairs = {
        (one.target.better, one.target.worse): one.probability
        for one in judgements
        if isinstance(one.target, PairTarget) and one.probability is not None
    }
    return _Said(tuple(values.get(i, math.nan) for i in range(len(group.samples))), (), pairs)
