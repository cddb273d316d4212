"""Groups through the one forward, without gradient: log-probs and rewards of what has been rendered."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from charter.data.batches import batches, group_batches, sample_length
from charter.data.packing import pack
from charter.models.policy import Policy
from charter.models.score import Output, score
from charter.types import Group, Sample

TOKENS = 8192
"""Stream tokens computed at once, where a caller does not say."""

_REWARD: tuple[Output, ...] = ("reward",)


@torch.inference_mode()
def logps_of(policy: Policy, groups: Sequence[Group], tokens: int = TOKENS) -> list[list[float]]:
    """Log-prob of the scored tokens of each sample, group by group.

    Groups are packed together, so a prompt that several of them begin with is computed once.
    """
    found: list[list[float]] = []
    for batch in group_batches(groups, tokens):
        packed = pack([sample for group in batch for sample in group.samples])
        out = score(policy.model, packed, compute_dtype=policy.compute_dtype)
        assert out.logps_N is not None
        sums = torch.zeros(packed.num_samples, dtype=torch.float64)
        sums.index_add_(0, torch.from_numpy(packed.sample_N), out.logps_N.double().cpu())
        values = iter(sums.tolist())
        found += [[next(values) for _ in group.samples] for group in batch]
    return found


@torch.inference_mode()
def rewards_of(
    policy: Policy, samples: Sequence[Sample], reads: Sequence[Sequence[int]], tokens: int = TOKENS
) -> list[Tensor]:
    """Rewards of each sample at its completion tokens ``reads`` (-1 = the last), ``(reads, Z)`` each."""
    found: list[Tensor] = []
    at = 0
    for batch in batches(samples, tokens, sample_length):
        here = [list(one) for one in reads[at : at + len(batch)]]
        at += len(batch)
        packed = pack(batch, here)
        out = score(policy.model, packed, outputs=_REWARD, compute_dtype=policy.compute_dtype)
        assert out.reward_RZ is not None
        found += torch.split(out.reward_RZ.float().cpu(), [len(one) for one in here])
    return found
