"""A round of rollouts with everything credit assignment reads, as flat tensors.

Shapes: N scored tokens, B samples, K rewards.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import torch
from torch import Tensor

from charter.data.packing import scored_tokens
from charter.models.policy import Policy
from charter.models.score import VALUES, score
from charter.training.batch import MicroBatch, in_order
from charter.training.recorded import sampler_logps
from charter.training.references import ReferenceLogps, without_dropout
from charter.types import Credit, Group, Judgement, Sample, SampleTarget

Read = Literal["old_logps", "ref_logps", "values"]


@dataclass(frozen=True)
class Experience:
    """What was sampled, rewarded and scored.

    Attributes:
        groups: the rollouts, sampled and judged.
        reward_B: one reward for each sample, the groups one after the other; NaN = missing.
        reward_BK: each reward by itself; NaN = missing.
        old_logps_N: log-probs under the policy as it is now, where read.
        ref_logps_N: log-probs under the reference, where read.
        values_N: the critic's, where read.
        weight_K: what each reward counts; None = 1 each.
    """

    groups: tuple[Group, ...]
    reward_B: Tensor
    reward_BK: Tensor
    old_logps_N: Tensor | None = None
    ref_logps_N: Tensor | None = None
    values_N: Tensor | None = None
    weight_K: Tensor | None = None

    @cached_property
    def samples(self) -> tuple[Sample, ...]:
        """All samples, in order."""
        return tuple(sample for group in self.groups for sample in group.samples)

    @cached_property
    def group_B(self) -> Tensor:
        """Which group each sample belongs to."""
        return torch.tensor([i for i, group in enumerate(self.groups) for _ in group.samples])

    @cached_property
    def own_B(self) -> Tensor:
        """Samples of who samples first in each group, not of those it is held against, bool."""
        firsts = [group.samples[0].completion.sampled_by for group in self.groups for _ in group.samples]
        pairs = zip(self.samples, firsts, strict=True)
        return torch.tensor([sample.completion.sampled_by == first for sample, first in pairs])

    @cached_property
    def lengths_B(self) -> Tensor:
        """Scored tokens of each sample."""
        return torch.tensor([scored_tokens(sample) for sample in self.samples])

    @cached_property
    def sample_N(self) -> Tensor:
        """Which sample each scored token belongs to."""
        return torch.repeat_interleave(torch.arange(len(self.samples)), self.lengths_B)

    @cached_property
    def sampler_logps_N(self) -> Tensor:
        """Log-probs recorded by the sampler."""
        return sampler_logps(self.samples)

    @cached_property
    def truncated_B(self) -> Tensor:
        """Samples cut by a limit, bool."""
        return torch.tensor([s.completion.finish_reason == "length" for s in self.samples])

    def need(self, name: Read) -> Tensor:
        """A tensor that was read."""
        value: Tensor | None = getattr(self, f"{name}_N")
        assert value is not None, f"{name} was not read"
        return value

    def by_group(self, x_B: Tensor) -> list[list[float]]:
        """A quantity of samples as lists, group by group."""
        return [part.tolist() for part in torch.split(x_B, [len(g.samples) for g in self.groups])]

    def rewarded(self) -> Tensor:
        """Samples that have a reward, bool ``(B,)``."""
        return ~self.reward_B.isnan()


def read(
    experience: Experience,
    reads: Collection[Read],
    policy: Policy,
    reference: ReferenceLogps | None,
    critic: Policy | None,
    *,
    temperature: float,
    tokens: int,
) -> Experience:
    """``experience`` with what ``reads`` asks for, computed by the trainer's own forward."""
    found: dict[str, Any] = {}
    with torch.no_grad(), without_dropout(policy):
        if "old_logps" in reads:
            found["old_logps_N"] = per_token(
                experience.groups, tokens, lambda batch: own_logps(policy, batch, temperature)
            )
        if "ref_logps" in reads:
            assert reference is not None
            found["ref_logps_N"] = per_token(
                experience.groups, tokens, lambda batch: reference.logps(policy, batch)
            )
        if "values" in reads:
            assert critic is not None
            with without_dropout(critic):
                found["values_N"] = per_token(experience.groups, tokens, lambda batch: _values(critic, batch))
    return replace(experience, **found)


def per_token(groups: Sequence[Group], tokens: int, compute: Callable[[MicroBatch], Tensor]) -> Tensor:
    """``compute`` of each micro-batch, joined over the samples in order, ``(N,)`` on the CPU."""
    return torch.cat([compute(batch).cpu() for batch in in_order(groups, tokens)])


def own_logps(policy: Policy, batch: MicroBatch, temperature: float) -> Tensor:
    """Log-probs under the policy, ``(N,)``."""
    out = score(
        policy.model, batch.packed, compute_dtype=policy.compute_dtype, temperature=temperature
    ).logps_N
    assert out is not None
    return out


def _values(critic: Policy, batch: MicroBatch) -> Tensor:
    out = score(critic.model, batch.packed, outputs=VALUES, compute_dtype=critic.compute_dtype).values_N
    assert out is not None
    return out


def credited(
    experience: Experience,
    keep_B: Tensor,
    advantage_N: Tensor | None = None,
    return_N: Tensor | None = None,
    reward_B: Tensor | None = None,
) -> list[Group]:
    """The groups to train on: kept samples with their credit and one reward each.

    Args:
        experience: the round.
        keep_B: samples to train on, bool; groups without one are left out.
        advantage_N: of each token.
        return_N: targets of the critic.
        reward_B: the reward as objectives read it; None = the experience's.
    """
    reward_B = experience.reward_B if reward_B is None else reward_B
    made = []
    for kept, group in kept_groups(experience, keep_B, advantage_N, return_N):
        said = tuple(
            Judgement(SampleTarget(place), float(reward_B[index]), judge="reward")
            for place, index in enumerate(kept)
            if not math.isnan(float(reward_B[index]))
        )
        made.append(replace(group, judgements=said))
    return made


def kept_groups(
    experience: Experience,
    keep_B: Tensor,
    advantage_N: Tensor | None = None,
    return_N: Tensor | None = None,
) -> Iterator[tuple[list[int], Group]]:
    """Groups with their kept samples, credit attached and no judgement, and where those are in the round."""
    fields = {
        "advantages": advantage_N,
        "returns": return_N,
        "old_logps": experience.old_logps_N,
        "ref_logps": experience.ref_logps_N,
        "values": experience.values_N,
    }
    lengths = experience.lengths_B.tolist()
    parts = {k: torch.split(v.float(), lengths) for k, v in fields.items() if v is not None}
    start = 0
    for group in experience.groups:
        kept = [start + i for i in range(len(group.samples)) if keep_B[start + i] and lengths[start + i]]
        samples = [
            replace(
                experience.samples[index],
                credit=Credit(**{name: tuple(part[index].tolist()) for name, part in parts.items()}),
            )
            for index in kept
        ]
        start += len(group.samples)
        if samples:
            yield kept, replace(group, samples=tuple(samples), judgements=())
