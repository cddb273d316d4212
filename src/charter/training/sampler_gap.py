"""How far sampler and trainer are apart on the same weights: measured, reported, and gated.

Shapes: N scored tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from charter.errors import TrainingFault
from charter.models.policy import Policy
from charter.training.experience import Experience, own_logps, per_token
from charter.training.recorded import sampler_logps
from charter.training.references import without_dropout
from charter.types import Group, Sample

SAMPLES = 2
"""Rollouts that are scored for the measurement where the trainer has no other use for it."""


def known_gap(experience: Experience) -> Tensor | None:
    """Absolute difference at every token of the policy's own samples, from log-probs already computed."""
    own_B = torch.tensor([_comparable(sample) for sample in experience.samples])
    own_N = own_B[experience.sample_N]
    if not bool(own_N.any()) or not all(sample.completion.logps for sample in experience.samples):
        return None
    return (experience.need("old_logps") - experience.sampler_logps_N)[own_N].abs()


def measured_gap(policy: Policy, groups: Sequence[Group], temperature: float, tokens: int) -> Tensor | None:
    """The same at the tokens of a few rollouts, which are scored for it; None where none can be."""
    for group in groups:
        own = tuple(sample for sample in group.samples if _comparable(sample))[:SAMPLES]
        if own:
            some = [replace(group, samples=own, judgements=())]
            with torch.no_grad(), without_dropout(policy):
                mine_N = per_token(some, tokens, lambda batch: own_logps(policy, batch, temperature))
            return (mine_N - sampler_logps(own)).abs()
    return None


def checked_gap(gap_N: Tensor | None, most: float | None) -> dict[str, float]:
    """Its mean and maximum, by TRL's names.

    Args:
        gap_N: None = nothing was measured.
        most: nats a token that the mean may be; None = any.

    Raises:
        TrainingFault: it is more.
    """
    if gap_N is None or not len(gap_N):
        return {}
    mean = float(gap_N.mean())
    if most is not None and mean > most:
        raise TrainingFault(
            f"sampler and trainer disagree by {mean:.3f} nats a token on the same weights",
            where="max_sampler_gap",
            fix="they run other weights, another type or another template: compare the two",
        )
    return {
        "sampling/sampling_logp_difference/mean": mean,
        "sampling/sampling_logp_difference/max": float(gap_N.max()),
    }


def _comparable(sample: Sample) -> bool:
    return sample.completion.sampled_by == "policy" and bool(sample.completion.logps)
