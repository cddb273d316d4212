"""What an objective is given, and what it gives back.

An objective is a pure function of scored samples. It never sees a model, a
tokenizer or a logger. It returns sums and counts; the loop divides each sum by
its count over the whole optimizer step (all micro-batches, all ranks), so that
micro-batch splits, packing and ranks change nothing.

Shapes: N scored tokens, B samples, P pairs, S judged steps, Z dimensions of a reward.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from functools import cached_property
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from charter.errors import ConfigError
from charter.objectives.layout import Layout, Unit

__all__ = [
    "NO_STATS",
    "Layout",
    "Need",
    "Objective",
    "Remembers",
    "Scored",
    "Stats",
    "StepObjective",
    "Term",
    "Unit",
]


class Need(StrEnum):
    """What an objective needs computed; the loop computes nothing else."""

    LOGPS = "logps"
    """``logps_N``: log-probs under the policy. Needed unless an objective reads rewards only."""
    REFERENCE = "reference"
    """``ref_logps_N``: log-probs under the reference policy."""
    SAMPLER = "sampler"
    """``sampler_logps_N``: log-probs recorded when the completions were sampled."""
    REWARD = "reward"
    """``reward_BZ``: the reward head at the last token of each sample."""
    STEP_REWARD = "step_reward"
    """``step_reward_SZ``: the reward head at the last token of each judged step."""
    TEACHER = "teacher"
    """``divergence_N``: from the teacher's next-token distribution to the policy's, in the
    direction :class:`Divergence` says. The group's ``teacher`` samples give the teacher's context."""
    TOKEN_ENTROPY = "entropy"
    """``entropy_N``: entropy of the policy's next-token distribution, without gradient."""
    SQUARED_PROBS = "squared_probs"
    """``squared_probs_N``: sum of the squares of the policy's next-token probabilities, without gradient."""
    ENTROPY_GRADIENT = "entropy_gradient"
    """``entropy_N`` as above, but it carries gradient."""
    OLD_LOGPS = "old_logps"
    """``old_logps_N``: log-probs under the policy as it was when the rollouts were scored; the
    policy's own, without gradient, where no step has been taken since."""
    ADVANTAGES = "advantages"
    """``advantage_N``: what credit assignment found for each token of a rollout."""
    VALUES = "values"
    """``values_N``: the critic at the state before each scored token; ``old_values_N`` and
    ``returns_N``: what it said when the rollouts were scored, and what it should have said."""
    DIMENSIONS = "dimensions"
    """What was said under different principles stays apart; else it is one dimension."""
    STEP_STATISTICS = "step_statistics"
    """:meth:`StepObjective.prepare` is given the batch itself, over the whole optimizer step, first."""
    MISMATCHED = "mismatched"
    """:meth:`StepObjective.prepare` is given prompts with answers to other prompts (KTO's KL)."""


@dataclass(frozen=True)
class Scored:
    """A batch with what the loop computed for it.

    Attributes:
        layout: see :class:`charter.objectives.layout.Layout`.
        logps_N: log-probs under the policy; carries gradient.
        ref_logps_N: log-probs under the reference, when needed.
        sampler_logps_N: log-probs under the policy that sampled, when needed.
        divergence_N: divergence between teacher and policy, when needed; carries gradient.
        entropy_N: next-token entropy, when needed.
        squared_probs_N: sum of squared next-token probabilities, when needed.
        old_logps_N: log-probs under the policy when the rollouts were scored, when needed.
        advantage_N: advantage of each token, when needed.
        values_N: the critic's values of the states before the tokens, when needed; carries gradient.
        old_values_N, returns_N: the critic's values when the rollouts were scored, and its targets.
        reward_BZ: rewards at the end of each sample, when needed; carries gradient.
        step_reward_SZ: rewards at the end of each judged step, when needed; carries gradient.
    """

    layout: Layout
    logps_N: Tensor
    ref_logps_N: Tensor | None = None
    sampler_logps_N: Tensor | None = None
    divergence_N: Tensor | None = None
    entropy_N: Tensor | None = None
    squared_probs_N: Tensor | None = None
    old_logps_N: Tensor | None = None
    advantage_N: Tensor | None = None
    values_N: Tensor | None = None
    old_values_N: Tensor | None = None
    returns_N: Tensor | None = None
    reward_BZ: Tensor | None = None
    step_reward_SZ: Tensor | None = None

    def need(self, name: str) -> Tensor:
        """The field ``name``.

        Raises:
            ConfigError: it was not computed, because the objective does not declare it.
        """
        value: Tensor | None = getattr(self, name)
        if value is None:
            raise ConfigError(
                f"the objective uses {name} but does not say it needs it",
                fix=f"declare needs=[{_DECLARE[name]!r}]",
            )
        return value

    def detached(self) -> Scored:
        """The same without gradient."""
        held = {f.name: getattr(self, f.name) for f in fields(self)}
        loose: dict[str, Any] = {k: v.detach() for k, v in held.items() if isinstance(v, Tensor)}
        return replace(self, **loose)

    def sum_B(self, x_N: Tensor) -> Tensor:
        """Sum of a per-token quantity over each sample, ``(B,)``."""
        zeros = torch.zeros(self.layout.num_samples, dtype=x_N.dtype, device=x_N.device)
        return zeros.index_add(0, self.layout.sample_N, x_N)

    @cached_property
    def logps_B(self) -> Tensor:
        """Log-prob of each whole completion (a sum, not a mean)."""
        return self.sum_B(self.logps_N)

    @cached_property
    def ref_logps_B(self) -> Tensor:
        """Log-prob of each whole completion under the reference."""
        return self.sum_B(self.need("ref_logps_N"))

    @cached_property
    def logratios_B(self) -> Tensor:
        """``log pi(y|x) - log ref(y|x)`` of each completion."""
        return self.logps_B - self.ref_logps_B

    @cached_property
    def lengths_B(self) -> Tensor:
        """Scored tokens of each sample, at least 1 so that it can divide."""
        return self.sum_B(torch.ones_like(self.logps_N.detach())).clamp_min(1)

    @cached_property
    def mean_logps_B(self) -> Tensor:
        """Log-prob per token of each completion."""
        return self.logps_B / self.lengths_B

    @cached_property
    def reward_B(self) -> Tensor:
        """The reward of each sample, where the model has one dimension."""
        reward_BZ = self.need("reward_BZ")
        if reward_BZ.shape[1] != 1:
            raise ConfigError(f"this objective takes one reward a sample, not {reward_BZ.shape[1]}")
        return reward_BZ[:, 0]

    def better(self, x_B: Tensor) -> Tensor:
        """``x_B`` of the better sample of each pair, ``(P,)``."""
        return x_B[self.layout.pairs_P2[:, 0]]

    def worse(self, x_B: Tensor) -> Tensor:
        """``x_B`` of the worse sample of each pair, ``(P,)``."""
        return x_B[self.layout.pairs_P2[:, 1]]


_DECLARE = {
    "ref_logps_N": "reference",
    "sampler_logps_N": "sampler",
    "divergence_N": "teacher",
    "entropy_N": "entropy",
    "squared_probs_N": "squared_probs",
    "old_logps_N": "old_logps",
    "advantage_N": "advantages",
    "values_N": "values",
    "old_values_N": "values",
    "returns_N": "values",
    "reward_BZ": "reward",
    "step_reward_SZ": "step_reward",
}


@dataclass(frozen=True)
class Stats:
    """What :meth:`StepObjective.prepare` returned, over the whole optimizer step.

    Attributes:
        whole: each tensor, of all micro-batches one after the other.
        own: where this micro-batch's entries are in it.
    """

    whole: Mapping[str, Tensor] = field(default_factory=dict)
    own: Mapping[str, slice] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Tensor:
        return self.whole[name]


NO_STATS = Stats()


@dataclass(frozen=True)
class Term:
    """One term of a loss on one micro-batch.

    Attributes:
        total: sum of the losses of its units; carries gradient.
        count: how many units (weighted); equals what :meth:`Objective.counts` said.
        metrics: sums to be divided by ``count`` over the step, detached.
        ratios: pairs of sums, the first to be divided by the second over the step, detached;
            left out where the second is 0.
        maxima: the largest over the step is reported.
        moments: sum, sum of squares and number of entries; mean and standard deviation over the step
            are reported.
    """

    total: Tensor
    count: float
    metrics: Mapping[str, Tensor] = field(default_factory=dict)
    ratios: Mapping[str, tuple[Tensor, Tensor]] = field(default_factory=dict)
    maxima: Mapping[str, Tensor] = field(default_factory=dict)
    moments: Mapping[str, tuple[Tensor, Tensor, Tensor]] = field(default_factory=dict)


class Objective(Protocol):
    """A loss with its options bound."""

    @property
    def needs(self) -> frozenset[Need]:
        """What must be computed for it."""
        ...

    def counts(self, layout: Layout) -> dict[str, float]:
        """What each term divides by, from the data alone; summed over the step before any gradient."""
        ...

    def __call__(self, scored: Scored, stats: Stats) -> dict[str, Term]:
        """The terms on one micro-batch."""
        ...


class StepObjective(Objective, Protocol):
    """An objective that also needs statistics of the whole optimizer step."""

    def prepare(self, scored: Scored) -> dict[str, Tensor]:
        """One-dimensional tensors of one micro-batch, without gradient.

        The loop joins them over the step, in the order of the micro-batches.
        """
        ...


@runtime_checkable
class Remembers(Protocol):
    """An objective with a memory beyond the step (a running mean), saved with every checkpoint."""

    def update(self, stats: Stats) -> None:
        """Take in the statistics of a training step, before its loss is computed."""
        ...

    def state(self) -> dict[str, float]:
        """What it remembers, as plain numbers."""
        ...

    def load_state(self, state: Mapping[str, float]) -> None:
        """Remember what :meth:`state` returned."""
        ...
