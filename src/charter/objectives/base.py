"""What an objective is given, and what it gives back.

An objective is a pure function of scored samples. It never sees a model, a
tokenizer or a logger. It returns sums and counts; the loop divides each sum by
its count over the whole optimizer step (all micro-batches, all ranks), so that
micro-batch splits, packing and ranks change nothing.

Shapes: N scored tokens, B samples, P pairs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Protocol

import torch
from torch import Tensor

from charter.errors import ConfigError

Stats = Mapping[str, Tensor]
"""Batch statistics over a whole optimizer step (from :meth:`Objective.prepare`)."""

NO_STATS: Stats = {}


class Need(StrEnum):
    """What an objective needs computed; the loop computes nothing else."""

    REFERENCE = "reference"
    """``ref_logps_N``: log-probs under the reference policy."""
    STEP_STATISTICS = "step_statistics"
    """:meth:`Objective.prepare` over the whole optimizer step before any gradient."""


class Unit(StrEnum):
    """What a term's count counts."""

    TOKEN = "token"
    SAMPLE = "sample"
    PAIR = "pair"


@dataclass(frozen=True)
class Layout:
    """The part of a batch that the data alone decides.

    Attributes:
        sample_N: which sample each scored token belongs to.
        num_samples: B.
        pairs_P2: ``(P, 2)`` sample indices, better first.
        probability_P: soft probability that the pair holds; 1 = certain.
        margin_P: by how much, where the data says; else 0.
        weight_P: how much each pair counts.
    """

    sample_N: Tensor
    num_samples: int
    pairs_P2: Tensor
    probability_P: Tensor
    margin_P: Tensor
    weight_P: Tensor

    def count(self, unit: Unit) -> float:
        """How many units the batch holds; weighted for pairs."""
        if unit is Unit.TOKEN:
            return float(len(self.sample_N))
        if unit is Unit.SAMPLE:
            return float(self.num_samples)
        return float(self.weight_P.sum())


@dataclass(frozen=True)
class Scored:
    """A batch with the log-probs the loop computed for it.

    Attributes:
        layout: see :class:`Layout`.
        logps_N: log-probs under the policy; carries gradient.
        ref_logps_N: log-probs under the reference, when needed.
    """

    layout: Layout
    logps_N: Tensor
    ref_logps_N: Tensor | None = None

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
        if self.ref_logps_N is None:
            raise ConfigError(
                "the objective uses the reference's log-probs but does not say it needs them",
                fix='declare needs=["reference"]',
            )
        return self.sum_B(self.ref_logps_N)

    @cached_property
    def logratios_B(self) -> Tensor:
        """``log pi(y|x) - log ref(y|x)`` of each completion."""
        return self.logps_B - self.ref_logps_B

    @cached_property
    def lengths_B(self) -> Tensor:
        """Scored tokens of each sample."""
        return self.sum_B(torch.ones_like(self.logps_N.detach()))

    def better(self, x_B: Tensor) -> Tensor:
        """``x_B`` of the better sample of each pair, ``(P,)``."""
        return x_B[self.layout.pairs_P2[:, 0]]

    def worse(self, x_B: Tensor) -> Tensor:
        """``x_B`` of the worse sample of each pair, ``(P,)``."""
        return x_B[self.layout.pairs_P2[:, 1]]


@dataclass(frozen=True)
class Term:
    """One term of a loss on one micro-batch.

    Attributes:
        total: sum of the losses of its units; carries gradient.
        count: how many units (weighted); equals what :meth:`Objective.counts` said.
        metrics: sums to be divided by ``count`` over the step, detached.
    """

    total: Tensor
    count: float
    metrics: Mapping[str, Tensor] = field(default_factory=dict)


class Objective(Protocol):
    """A loss with its options bound."""

    needs: frozenset[Need]

    def counts(self, layout: Layout) -> dict[str, float]:
        """What each term divides by, from the data alone; summed over the step before any gradient."""
        ...

    def __call__(self, scored: Scored, stats: Stats) -> dict[str, Term]:
        """The terms on one micro-batch."""
        ...


class StepObjective(Objective, Protocol):
    """An objective that also needs statistics of the whole optimizer step."""

    def prepare(self, scored: Scored) -> dict[str, Tensor]:
        """Sums over one micro-batch without gradient; the loop adds them over the step."""
        ...
