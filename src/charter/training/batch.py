"""From rendered groups to what one forward and one objective need.

Shapes: N scored tokens, B samples, P pairs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from charter.data.packing import Packed, pack, stream_length
from charter.objectives.base import Layout
from charter.types import Group, PairTarget, Sample


@dataclass(frozen=True)
class MicroBatch:
    """Groups that are computed together.

    Attributes:
        samples: all samples of the groups, in order.
        packed: their token stream.
        layout: what an objective is told about them.
    """

    samples: tuple[Sample, ...]
    packed: Packed
    layout: Layout

    @classmethod
    def of(cls, groups: Sequence[Group]) -> MicroBatch:
        """Pack ``groups`` and read their pair judgements."""
        samples = tuple(sample for group in groups for sample in group.samples)
        packed = pack(samples)
        pairs: list[tuple[int, int]] = []
        probability, margin, weight = [], [], []
        first = 0
        for group in groups:
            for said in group.judgements:
                if not isinstance(said.target, PairTarget) or said.verdict != "judged":
                    continue
                pairs.append((first + said.target.better, first + said.target.worse))
                probability.append(1.0 if said.probability is None else said.probability)
                margin.append(said.value or 0.0)
                weight.append(said.weight)
            first += len(group.samples)
        layout = Layout(
            sample_N=torch.from_numpy(packed.sample_N),
            num_samples=packed.num_samples,
            pairs_P2=torch.tensor(pairs, dtype=torch.long).reshape(-1, 2),
            probability_P=torch.tensor(probability, dtype=torch.float32),
            margin_P=torch.tensor(margin, dtype=torch.float32),
            weight_P=torch.tensor(weight, dtype=torch.float32),
        )
        return cls(samples, packed, layout)


def split(groups: Sequence[Group], tokens: int) -> list[MicroBatch]:
    """Split one optimizer step's groups into micro-batches of at most ``tokens`` stream tokens.

    Groups stay whole (a group longer than the budget is computed alone), and
    are sorted by length so that like goes with like. The result of the step
    does not depend on the split.
    """
    batches: list[list[Group]] = []
    size = 0
    for group in sorted(groups, key=stream_length):
        length = stream_length(group)
        if not batches or size + length > tokens:
            batches.append([])
            size = 0
        batches[-1].append(group)
        size += length
    return [MicroBatch.of(batch) for batch in batches]
