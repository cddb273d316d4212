from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from charter.objectives.base import Layout, Scored

PairBatch = Callable[..., Scored]


def pairs_batch(
    logps_N: Tensor,
    ref_logps_N: Tensor | None,
    *,
    lengths: list[int],
    probability: list[float] | None = None,
    weight: list[float] | None = None,
    pairs: list[tuple[int, int]] | None = None,
) -> Scored:
    """A batch whose samples have ``lengths`` tokens; by default samples 2i and 2i + 1 are pair i."""
    pairs = [(i, i + 1) for i in range(0, len(lengths), 2)] if pairs is None else pairs
    ones = [1.0] * len(pairs)
    layout = Layout(
        sample_N=torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths)),
        num_samples=len(lengths),
        group_B=torch.arange(len(lengths)) // 2,
        part_B=torch.zeros(len(lengths), dtype=torch.long),
        value_BZ=torch.full((len(lengths), 1), torch.nan, dtype=logps_N.dtype),
        weight_B=torch.ones(len(lengths), dtype=logps_N.dtype),
        pairs_P2=torch.tensor(pairs, dtype=torch.long).reshape(-1, 2),
        probability_P=torch.tensor(ones if probability is None else probability, dtype=logps_N.dtype),
        margin_P=torch.zeros(len(pairs), dtype=logps_N.dtype),
        weight_P=torch.tensor(ones if weight is None else weight, dtype=logps_N.dtype),
        dimension_P=torch.zeros(len(pairs), dtype=torch.long),
    )
    return Scored(layout, logps_N, ref_logps_N)


@pytest.fixture(scope="session")
def batch() -> PairBatch:
    return pairs_batch
