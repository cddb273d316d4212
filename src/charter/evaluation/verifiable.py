"""How often a model's answers are right where that can be checked: pass@k and maj@k."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from charter.engines.base import Engine, OnProgress, Sampling
from charter.engines.sample import sample_prompts
from charter.environments.tasks import answer_in
from charter.feedback.rewards import Rewards
from charter.stats.pass_at_k import AtK, mean_maj_at_k, mean_pass_at_k
from charter.types import Group


@dataclass(frozen=True)
class Verifiable:
    """What was found.

    Attributes:
        pass_at: chance that one of k answers is right, for each k.
        maj_at: chance that the most frequent of k answers is right, for each k.
        reward: mean reward of all samples that have one.
        missing: samples without a reward; they are left out, and count neither as right nor as wrong.
        truncated: share of samples cut by the limit.
        groups: the samples, judged.
    """

    pass_at: tuple[AtK, ...]
    maj_at: tuple[AtK, ...]
    reward: float
    missing: int
    truncated: float
    groups: tuple[Group, ...]

    def to_json(self) -> dict[str, Any]:
        """The numbers as plain data."""
        return {
            "pass_at": [asdict(one) for one in self.pass_at],
            "maj_at": [asdict(one) for one in self.maj_at],
            "reward": self.reward,
            "missing": self.missing,
            "truncated": self.truncated,
        }


def verifiable(
    engine: Engine,
    prompts: Sequence[Group],
    rewards: Rewards,
    *,
    n: int,
    ks: Sequence[int],
    sampling: Sampling,
    threshold: float = 1.0,
    on_progress: OnProgress | None = None,
) -> Verifiable:
    """Sample ``n`` answers of each prompt, and say how often they are right.

    An answer is right when its reward reaches ``threshold``. Votes are counted on what stands between
    ``<answer>`` and ``</answer>``, or on the whole completion, without surrounding space.

    Args:
        engine: samples.
        prompts: rendered, one sample each.
        rewards: check answers.
        n: answers of each prompt.
        ks: each at most ``n``.
        sampling: how.
        threshold: see above.
        on_progress: called with the number of completions finished since the last call.
    """
    groups = sample_prompts(engine, prompts, n, sampling, on_progress=on_progress)
    said = rewards.judge(groups)
    judged = [group.with_judgements(*new) for group, new in zip(groups, said, strict=True)]
    values = rewards.combined(judged)
    right = [[value >= threshold for value in row if not math.isnan(value)] for row in values]
    counts = [(len(row), sum(row)) for row in right]
    votes = [_votes(group, row, threshold) for group, row in zip(judged, values, strict=True)]
    known = [value for row in values for value in row if not math.isnan(value)]
    samples = [sample for group in judged for sample in group.samples]
    return Verifiable(
        tuple(mean_pass_at_k(counts, k) for k in ks),
        tuple(mean_maj_at_k(votes, k) for k in ks),
        sum(known) / len(known) if known else math.nan,
        len(samples) - len(known),
        sum(sample.completion.finish_reason == "length" for sample in samples) / len(samples),
        tuple(replace(group) for group in judged),
    )


def _votes(
    group: Group, rewards: Sequence[float], threshold: float
) -> tuple[list[str | None], Callable[[Any], bool]]:
    """The answers of a group, None where nothing could be checked, and which of them are right."""
    answers: list[str | None] = []
    correct: set[str] = set()
    for sample, reward in zip(group.samples, rewards, strict=True):
        if math.isnan(reward):
            answers.append(None)
            continue
        answer = answer_in(sample.completion.text).strip()
        answers.append(answer)
        if reward >= threshold:
            correct.add(answer)
    return answers, correct.__contains__
