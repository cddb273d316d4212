"""Feedback from reward models: one, or several that are combined.

Shapes: B samples of a group, M models, Z dimensions.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import permutations

import torch
from torch import Tensor

from charter.errors import ConfigError, DataError, UserError
from charter.feedback.forward import TOKENS, rewards_of
from charter.feedback.trained.reading import require
from charter.models.ensemble import BEST_OF_N_COEF, COMBINE, Combine, combined
from charter.models.policy import Policy
from charter.models.reward import dimension_names, head_of
from charter.models.reward_scale import RewardScale
from charter.progress import progress
from charter.types import Group, Judgement, PairTarget, SampleTarget

MEASURED_GROUPS = 256
"""Most groups whose answers a reward model is normalised on ..."""

MEASURED_ANSWERS = 1024
"""... and most answers, as many of each group: they tell a mean to 3% of the deviation."""

_AT_ONCE = 32
"""Groups between two signs of progress."""


def raw_rewards(policy: Policy, groups: Sequence[Group], tokens: int = TOKENS) -> list[Tensor]:
    """The reward model's own outputs at the end of each sample, ``(B, Z)`` float32 for each group.

    They are the logits transformers gives, and depend neither on padding nor on what is computed
    together. Samples that have no token ids are rendered.

    Raises:
        UserError: the model has no reward head.
        DataError: a sample has no completion.
    """
    head_of(policy.model)
    rendered = [policy.template.render(group) for group in groups]
    for group in rendered:
        if any(not sample.completion.token_ids for sample in group.samples):
            raise DataError(
                "a sample has no completion to be rewarded", where=group.source or group.id or None
            )
    samples = [sample for group in rendered for sample in group.samples]
    found = iter(rewards_of(policy, samples, [[-1]] * len(samples), tokens))
    return [torch.cat([next(found) for _ in group.samples]) for group in rendered]


def rewards(
    policy: Policy,
    groups: Sequence[Group],
    weights: Mapping[str, float] | None = None,
    tokens: int = TOKENS,
) -> list[list[float]]:
    """One normalised reward for each sample, group by group.

    ``sum_z w_z (r_z - mean_z) / std_z`` with the mean and deviation measured after training, see
    :class:`charter.models.reward_scale.RewardScale`.

    Args:
        policy: the reward model.
        groups: rendered or not.
        weights: of the dimensions by name, such as ``{"helpful": 0.6, "harmless": 0.4}``; None =
            all the same.
        tokens: stream tokens computed at once.

    Raises:
        ConfigError: it was trained to be read elsewhere than at the end of an answer.
    """
    require(policy, "outcome")
    scale = scale_of(policy)
    return [scale.scalar(raw_BZ, weights).tolist() for raw_BZ in raw_rewards(policy, groups, tokens)]


def scale_of(policy: Policy) -> RewardScale:
    """What the model's rewards are normalised by; mean 0 and deviation 1 where nothing was measured."""
    return policy.reward_scale or RewardScale.unmeasured(dimension_names(policy.model))


def measure_scale(
    policy: Policy, groups: Sequence[Group], data: str, *, seed: int = 0, tokens: int = TOKENS
) -> RewardScale:
    """Mean and deviation of the model's rewards of the answers in ``groups``.

    Args:
        policy: the trained reward model.
        groups: at most :data:`MEASURED_GROUPS` of them are used, and of each about as many answers as make
            :data:`MEASURED_ANSWERS` in all, drawn by ``seed``.
        data: what they are, in words.
        seed: see above.
        tokens: stream tokens computed at once.
    """
    rng = random.Random(seed)
    if len(groups) > MEASURED_GROUPS:
        groups = rng.sample(list(groups), MEASURED_GROUPS)
    each = max(1, MEASURED_ANSWERS // max(1, len(groups)))
    groups = [_some(group, each, rng) for group in groups]
    found: list[Tensor] = []
    with progress("normalise rewards", len(groups)) as advance:
        for start in range(0, len(groups), _AT_ONCE):
            part = groups[start : start + _AT_ONCE]
            found += raw_rewards(policy, part, tokens)
            advance(len(part))
    found_BZ = torch.cat(found)
    return RewardScale.of(dimension_names(policy.model), found_BZ, data)


def _some(group: Group, most: int, rng: random.Random) -> Group:
    """The group with at most so many of its samples, and without judgements, which name samples by place."""
    if len(group.samples) <= most:
        return group
    chosen = sorted(rng.sample(range(len(group.samples)), most))
    return replace(group, samples=tuple(group.samples[i] for i in chosen), judgements=())


@dataclass(frozen=True)
class GroupRewards:
    """What reward models say of one group.

    Attributes:
        values: the combined normalised reward of each sample.
        raw_MBZ: each model's own outputs.
    """

    values: tuple[float, ...]
    raw_MBZ: tuple[Tensor, ...]

    def probability(self, first: int, second: int) -> float | None:
        """The models' mean of ``sigmoid`` of the raw difference: that ``first`` is better.

        None where there are several dimensions: a sum of ratings is no log-odds.
        """
        if self.raw_MBZ[0].shape[1] > 1:
            return None
        gaps = torch.stack([raw[first, 0] - raw[second, 0] for raw in self.raw_MBZ]).double()
        return float(gaps.sigmoid().mean())


@dataclass(frozen=True)
class RewardFeedback:
    """Judges every answer by reward models; higher is better.

    The value of a judgement is the normalised reward. Several models are combined by their mean,
    by the worst of them, or by the mean less ``coef`` times their variance (2310.02743).

    Attributes:
        policies: reward models, of the same dimensions.
        combine: see :data:`charter.models.ensemble.Combine`.
        coef: of ``uncertainty``; 0.5 to choose among samples, 0.1 to train on.
        weights: of the dimensions by name; None = all the same.
        per_dimension: a judgement for each dimension, its name as the principle, in place of one for all.
        pairs: also one judgement of each two answers that differ; its probability is the models' mean
            of ``sigmoid`` of the raw difference, where they have one dimension.
        tokens: stream tokens computed at once.
        name: ``judge`` of the judgements.
    """

    policies: Sequence[Policy]
    combine: Combine = "mean"
    coef: float = BEST_OF_N_COEF
    weights: Mapping[str, float] | None = None
    per_dimension: bool = False
    pairs: bool = False
    tokens: int = TOKENS
    name: str = "reward"
    _names: tuple[str, ...] = field(init=False, repr=False, default=())

    def __post_init__(self) -> None:
        if not self.policies:
            raise ConfigError("no reward model")
        if self.combine not in COMBINE:
            raise ConfigError(f"combine is one of {', '.join(COMBINE)}, not {self.combine!r}")
        if len(self.policies) == 1 and self.combine != "mean":
            raise ConfigError(f"combine={self.combine!r} has no effect on one reward model")
        if self.per_dimension and (self.weights is not None or self.pairs):
            raise ConfigError("per_dimension judges each dimension apart: weights and pairs have no effect")
        for policy in self.policies:
            require(policy, "outcome", warn=True)
        names = dimension_names(self.policies[0].model)
        for policy in self.policies[1:]:
            other = dimension_names(policy.model)
            if other != names:
                raise UserError(
                    f"{policy.name} has the dimensions {', '.join(other)}, "
                    f"{self.policies[0].name} {', '.join(names)}",
                    fix="combine reward models of the same dimensions",
                )
        scale_of(self.policies[0]).scalar(torch.zeros(1, len(names)), self.weights)  # checks the weights
        object.__setattr__(self, "_names", names)

    async def __call__(self, groups: Sequence[Group]) -> list[list[Judgement]]:
        """As :meth:`judge`."""
        return self.judge(groups)

    def judge(self, groups: Sequence[Group]) -> list[list[Judgement]]:
        """A judgement of each sample (or of each of its dimensions), then of pairs where asked for."""
        return [self._judgements(found) for found in self.read(groups)]

    def read(self, groups: Sequence[Group]) -> list[GroupRewards]:
        """Combined and raw rewards of each group's samples."""
        found = [raw_rewards(policy, groups, self.tokens) for policy in self.policies]
        each = [tuple(raw[index] for raw in found) for index in range(len(groups))]
        return [GroupRewards(tuple(self._scalar(raw_MBZ).tolist()), raw_MBZ) for raw_MBZ in each]

    def _scalar(self, raw_MBZ: Sequence[Tensor]) -> Tensor:
        """The combined reward, ``(B,)``."""
        each = [
            scale_of(policy).scalar(raw, self.weights)
            for policy, raw in zip(self.policies, raw_MBZ, strict=True)
        ]
        return combined(torch.stack(each), self.combine, self.coef)

    def _judgements(self, found: GroupRewards) -> list[Judgement]:
        if self.per_dimension:
            return self._by_dimension(found.raw_MBZ)
        reasons = self._reasons(found.raw_MBZ)
        said = [
            Judgement(SampleTarget(index), value, judge=self.name, reason=reasons[index])
            for index, value in enumerate(found.values)
        ]
        return said + (self._pairs(found) if self.pairs else [])

    def _by_dimension(self, raw_MBZ: Sequence[Tensor]) -> list[Judgement]:
        each = [scale_of(policy).normalised(raw) for policy, raw in zip(self.policies, raw_MBZ, strict=True)]
        value_BZ = combined(torch.stack(each), self.combine, self.coef)
        return [
            Judgement(SampleTarget(index), value, principle=name, judge=self.name)
            for index, row in enumerate(value_BZ.tolist())
            for name, value in zip(self._names, row, strict=True)
        ]

    def _reasons(self, raw_MBZ: Sequence[Tensor]) -> list[str]:
        """Each model's own outputs, in words."""
        return [
            "; ".join(
                ", ".join(
                    f"{name} {value:.3f}"
                    for name, value in zip(self._names, raw[index].tolist(), strict=True)
                )
                for raw in raw_MBZ
            )
            for index in range(len(raw_MBZ[0]))
        ]

    def _pairs(self, found: GroupRewards) -> list[Judgement]:
        values = found.values
        return [
            Judgement(
                PairTarget(better, worse),
                values[better] - values[worse],
                probability=found.probability(better, worse),
                judge=self.name,
            )
            for better, worse in permutations(range(len(values)), 2)
            if values[better] > values[worse]
        ]
