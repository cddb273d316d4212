"""How good a reward model is: accuracy, calibration, and how much of it is length and style.

A reward model that prefers the longer answer agrees with most preference data without having
read it. So accuracy stands beside that of always choosing the longest, and what rewards owe to length
and style is measured.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean, pstdev
from typing import Any

from charter.evaluation.reward_bench.pairs import TestPairs, names, section_scores, subsets_of
from charter.evaluation.reward_bench.style import FEATURES, length, style
from charter.feedback.trained.reward import GroupRewards, RewardFeedback
from charter.rundir import now
from charter.stats import Interval, mcnemar_exact, newcombe_paired, wilson
from charter.stats.calibration import Calibration, calibration
from charter.stats.explained import Correlation, Explained, least_squares, spearman

FORMAT = "charter.reward-bench/1"
LEAST_IN_BINS = 20
"""Pairs below which calibration is not measured."""


@dataclass(frozen=True, slots=True)
class Item:
    """One pair as the reward model sees it.

    Attributes:
        subsets: what it belongs to.
        better, worse: normalised rewards.
        probability: the model's, that the better answer is better; None where it has none.
        better_text, worse_text: the answers.
    """

    subsets: tuple[str, ...]
    better: float
    worse: float
    probability: float | None
    better_text: str
    worse_text: str

    @property
    def right(self) -> bool:
        """The better answer has the higher reward; a tie is not right."""
        return self.better > self.worse

    @property
    def longest_right(self) -> bool:
        """The better answer is the longer one; equal lengths are not right."""
        return length(self.better_text) > length(self.worse_text)


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Share of pairs that are ordered right.

    Attributes:
        right: how many.
        ties: how many got the same value on both sides, which is not right.
        n: of how many.
        interval: Wilson's.
    """

    right: int
    ties: int
    n: int
    interval: Interval

    @property
    def rate(self) -> float:
        """The share."""
        return self.right / self.n

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "rate": self.rate,
            "lo": self.interval.lo,
            "hi": self.interval.hi,
            "right": self.right,
            "ties": self.ties,
            "n": self.n,
        }


@dataclass(frozen=True, slots=True)
class Part:
    """A subset of the pairs, or all of them.

    Attributes:
        name: of the subset.
        model: accuracy of the reward model.
        longest: accuracy of always choosing the longest answer.
        difference: interval of model less longest.
        p: exact McNemar test that they are equally often right.
    """

    name: str
    model: Accuracy
    longest: Accuracy
    difference: Interval
    p: float

    @classmethod
    def of(cls, name: str, items: Sequence[Item], level: float) -> Part:
        """Measured on ``items``, at least one."""
        both = sum(item.right and item.longest_right for item in items)
        model = sum(item.right for item in items)
        longest = sum(item.longest_right for item in items)
        neither = len(items) - model - longest + both
        ties = sum(item.better == item.worse for item in items)
        same = sum(length(item.better_text) == length(item.worse_text) for item in items)
        return cls(
            name,
            Accuracy(model, ties, len(items), wilson(model, len(items), level)),
            Accuracy(longest, same, len(items), wilson(longest, len(items), level)),
            newcombe_paired(both, longest - both, model - both, neither, level),
            mcnemar_exact(longest - both, model - both),
        )

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        change = self.model.rate - self.longest.rate
        return {
            "name": self.name,
            "model": self.model.to_json(),
            "longest": self.longest.to_json(),
            "difference": {"value": change, "lo": self.difference.lo, "hi": self.difference.hi, "p": self.p},
        }


@dataclass(frozen=True)
class RewardBench:
    """Everything measured.

    Attributes:
        models: their names; several are an ensemble.
        data: name of the pairs.
        as_chat: plain texts were made turns.
        left_out: rows and pairs not used, by reason.
        overall: all pairs.
        subsets: each subset.
        sections: RewardBench's scores, where all its subsets are there.
        calibration: of the probability of the answer that was chosen; None = the model states none,
            or there are fewer than :data:`LEAST_IN_BINS` pairs.
        length: rank correlation of reward and length over all answers; None = not measurable.
        length_within: of their differences within a pair, where the prompt is the same.
        style: what style explains of the rewards of all answers.
        style_within: of their differences within a pair.
        rewards: mean and deviation of the rewards of better and worse answers.
        level: of all intervals.
    """

    models: tuple[str, ...]
    data: str
    as_chat: bool
    left_out: Mapping[str, int]
    overall: Part
    subsets: tuple[Part, ...]
    sections: Mapping[str, float]
    calibration: Calibration | None
    length: Correlation | None
    length_within: Correlation | None
    style: Explained | None
    style_within: Explained | None
    rewards: Mapping[str, float]
    level: float = 0.95

    def to_json(self) -> dict[str, Any]:
        """Plain data, as ``reward_bench.json`` holds it."""
        sections = [{"name": name, "score": score} for name, score in self.sections.items()]
        return {
            "format": FORMAT,
            "created": now(),
            "models": list(self.models),
            "data": self.data,
            "as_chat": self.as_chat,
            "left_out": dict(self.left_out),
            "level": self.level,
            "overall": self.overall.to_json(),
            "subsets": [part.to_json() for part in self.subsets],
            "sections": sections,
            "calibration": _calibration_json(self.calibration),
            "length": _correlation_json(self.length),
            "length_within": _correlation_json(self.length_within),
            "style": None if self.style is None else asdict(self.style),
            "style_within": None if self.style_within is None else asdict(self.style_within),
            "rewards": dict(self.rewards),
        }


def reward_bench(feedback: RewardFeedback, pairs: TestPairs, *, level: float = 0.95) -> RewardBench:
    """Reward every answer and measure.

    Args:
        feedback: one reward model or several.
        pairs: from :func:`charter.evaluation.reward_bench.pairs.read_pairs`.
        level: of all intervals.
    """
    found = feedback.read(pairs.groups)
    models = tuple(policy.name for policy in feedback.policies)
    return measured(items_of(pairs, found), models, pairs, level=level)


def items_of(pairs: TestPairs, rewards: Sequence[GroupRewards]) -> list[Item]:
    """The pairs of all groups."""
    return [
        Item(
            subsets_of(group),
            said.values[better],
            said.values[worse],
            said.probability(better, worse),
            group.samples[better].completion.text,
            group.samples[worse].completion.text,
        )
        for group, of, said in zip(pairs.groups, pairs.pairs, rewards, strict=True)
        for better, worse in of
    ]


def measured(
    items: Sequence[Item], models: tuple[str, ...], pairs: TestPairs, *, level: float = 0.95
) -> RewardBench:
    """All measures of at least one pair."""
    subsets = tuple(
        Part.of(name, [item for item in items if name in item.subsets], level)
        for name in names([item.subsets for item in items])
    )
    better, worse = [item.better for item in items], [item.worse for item in items]
    gaps = [a - b for a, b in zip(better, worse, strict=True)]
    sides = [(item.better_text, item.worse_text) for item in items]
    lengths = [[float(length(text)) for text in texts] for texts in zip(*sides, strict=True)]
    longer = [a - b for a, b in zip(*lengths, strict=True)]
    return RewardBench(
        models,
        pairs.name,
        pairs.as_chat,
        pairs.left_out,
        Part.of("all pairs", items, level),
        subsets,
        section_scores({part.name: part.model.rate for part in subsets}),
        _calibration(items, level),
        spearman([*better, *worse], [*lengths[0], *lengths[1]], level),
        spearman(gaps, longer, level),
        *_style(items, [*better, *worse], gaps),
        {
            "better_mean": fmean(better),
            "better_std": pstdev(better),
            "worse_mean": fmean(worse),
            "worse_std": pstdev(worse),
        },
        level,
    )


def _calibration(items: Sequence[Item], level: float) -> Calibration | None:
    """Of the probability of the answer with the higher one: how often is that the better answer?"""
    stated = [item.probability for item in items if item.probability is not None]
    if len(stated) < max(LEAST_IN_BINS, len(items)):
        return None
    return calibration([max(p, 1 - p) for p in stated], [p > 0.5 for p in stated], lo=0.5, level=level)


def _style(
    items: Sequence[Item], rewards: Sequence[float], gaps: Sequence[float]
) -> tuple[Explained | None, Explained | None]:
    better = [style(item.better_text) for item in items]
    worse = [style(item.worse_text) for item in items]
    every = {name: [row[name] for row in (*better, *worse)] for name in FEATURES}
    apart = {name: [a[name] - b[name] for a, b in zip(better, worse, strict=True)] for name in FEATURES}
    return least_squares(every, rewards), least_squares(apart, gaps, intercept=False)


def _calibration_json(found: Calibration | None) -> dict[str, Any] | None:
    if found is None:
        return None
    bins = [
        {
            "from": b.lo,
            "to": b.hi,
            "n": b.n,
            "stated": b.stated,
            "right": b.k,
            "lo": b.interval.lo,
            "hi": b.interval.hi,
        }
        for b in found.bins
    ]
    return {"ece": found.ece, "log_loss": found.log_loss, "brier": found.brier, "bins": bins}


def _correlation_json(found: Correlation | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {"spearman": found.value, "lo": found.interval.lo, "hi": found.interval.hi, "n": found.n}
