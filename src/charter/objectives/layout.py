"""The part of a batch that the data alone decides.

Shapes: N scored tokens, B samples, P pairs, S judged steps, Z dimensions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from functools import cached_property
from typing import Any

import torch
from torch import Tensor


class Unit(StrEnum):
    """What a term's count counts."""

    TOKEN = "token"
    SAMPLE = "sample"
    PAIR = "pair"
    GROUP = "group"
    STEP = "step"


def _empty_long() -> Tensor:
    return torch.empty(0, dtype=torch.long)


def _empty() -> Tensor:
    return torch.empty(0)


def _empty_bool() -> Tensor:
    return torch.empty(0, dtype=torch.bool)


@dataclass(frozen=True)
class Layout:
    """Who is in the batch, and what has been said about them.

    Attributes:
        sample_N: which sample each scored token belongs to, ascending.
        num_samples: B.
        group_B: which group each sample belongs to, ascending.
        part_B: which part of the data each sample is from, an index into ``parts``.
        parts: names of the parts, the same for every batch of a run; ``("",)`` = one part.
        value_BZ: what was said about each sample on each dimension (a label 1 or 0, a rating);
            NaN = nothing.
        weight_B: how much each sample counts.
        dimensions: names of the Z dimensions, the same for every batch of a run.
        pairs_P2: ``(P, 2)`` sample indices, better first.
        probability_P: soft probability that the pair holds; 1 = certain.
        margin_P: by how much, where the data says; else 1.
        weight_P: how much each pair counts.
        dimension_P: the dimension the pair was judged on, an index into ``dimensions``.
        step_sample_S: which sample each judged step belongs to, ascending.
        step_value_S: what was said about the step (a label 1 or 0, a share of successes).
        step_weight_S: how much each step counts.
        by_reference_B: samples that the reference wrote, bool.
        version_B: optimizer steps that the weights which sampled had taken.
    """

    sample_N: Tensor
    num_samples: int
    group_B: Tensor = field(default_factory=_empty_long)
    part_B: Tensor = field(default_factory=_empty_long)
    parts: tuple[str, ...] = ("",)
    value_BZ: Tensor = field(default_factory=_empty)
    weight_B: Tensor = field(default_factory=_empty)
    dimensions: tuple[str, ...] = ("",)
    pairs_P2: Tensor = field(default_factory=lambda: _empty_long().reshape(0, 2))
    probability_P: Tensor = field(default_factory=_empty)
    margin_P: Tensor = field(default_factory=_empty)
    weight_P: Tensor = field(default_factory=_empty)
    dimension_P: Tensor = field(default_factory=_empty_long)
    step_sample_S: Tensor = field(default_factory=_empty_long)
    step_value_S: Tensor = field(default_factory=_empty)
    step_weight_S: Tensor = field(default_factory=_empty)
    by_reference_B: Tensor = field(default_factory=_empty_bool)
    version_B: Tensor = field(default_factory=_empty_long)

    def to(self, device: torch.device | str) -> Layout:
        """The same on ``device``."""
        held = {f.name: getattr(self, f.name) for f in fields(self)}
        moved: dict[str, Any] = {k: v.to(device) for k, v in held.items() if isinstance(v, Tensor)}
        return replace(self, **moved)

    def in_part_B(self, part: str) -> Tensor:
        """Which samples are from ``part``; every sample where the data has one part, ``(B,)`` bool."""
        if self.parts == ("",):
            return torch.ones(self.num_samples, dtype=torch.bool, device=self.sample_N.device)
        return self.part_B == self.parts.index(part) if part in self.parts else self.part_B < 0

    @cached_property
    def value_B(self) -> Tensor:
        """What was said about each sample, where there is one dimension; NaN = nothing."""
        if self.value_BZ.shape[1] != 1:
            raise ValueError(f"{self.value_BZ.shape[1]} dimensions, wanted one: {', '.join(self.dimensions)}")
        return self.value_BZ[:, 0]

    @cached_property
    def judged_B(self) -> Tensor:
        """Samples something was said about on any dimension, ``(B,)`` bool."""
        return ~self.value_BZ.isnan().all(-1)

    @cached_property
    def group_P(self) -> Tensor:
        """The group each pair belongs to."""
        return self.group_B[self.pairs_P2[:, 0]]

    @cached_property
    def num_groups(self) -> int:
        """Groups in the batch."""
        return int(self.group_B.max()) + 1 if len(self.group_B) else 0

    def count(self, unit: Unit) -> float:
        """How many units the batch holds; weighted, where units have weights."""
        if unit is Unit.TOKEN:
            return float(len(self.sample_N))
        if unit is Unit.SAMPLE:
            return float(self.weight_B[self.judged_B].sum())
        if unit is Unit.GROUP:
            return float(self.num_groups)
        if unit is Unit.STEP:
            return float(self.step_weight_S.sum())
        return float(self.weight_P.sum())


def dimensions_of(names: Sequence[str]) -> tuple[str, ...]:
    """The dimensions of a run: every name once, sorted; ``("",)`` where nothing is named."""
    return tuple(sorted(set(names))) or ("",)
