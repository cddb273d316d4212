"""What is reported of every round of rollouts; TRL's names where TRL has them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import torch
from torch import Tensor

from charter.training.experience import Experience

REPEATED = 4
"""Length of the runs of tokens whose repetition is counted."""


def rollout_metrics(experience: Experience, names: Sequence[str]) -> dict[str, float]:
    """Rewards, lengths, endings, entropy and KL of a round.

    ``reward`` and ``reward_std`` are of what is trained on, not of greedy samples or opponents.
    ``reward_std`` is the mean of the groups' deviations, and the deviation over the round where every prompt
    has one answer. ``entropy`` is the mean of minus the sampler's
    log-probs of the policy's own samples: an unbiased estimate of the entropy per token where nothing
    cuts the distribution.
    ``kl`` is the mean over samples of the summed log-ratio to the reference, in nats per sequence.
    """
    reward_B, lengths_B = experience.reward_B, experience.lengths_B.double()
    known_B = reward_B[experience.rewarded() & experience.own_B]
    std_G, zero_G = _group_spread(experience)
    found = {
        "reward_std": float(std_G.mean()) if len(std_G) else _deviation(known_B),
        "frac_reward_zero_std": float(zero_G.double().mean()) if len(zero_G) else 0.0,
        "rewards/missing": float(reward_B.isnan().sum()),
        "completions/mean_length": float(lengths_B.mean()),
        "completions/min_length": float(lengths_B.min()),
        "completions/max_length": float(lengths_B.max()),
        "completions/clipped_ratio": float(experience.truncated_B.double().mean()),
        "completions/repetition": _repetition(experience),
    }
    if len(known_B):
        found["reward"] = float(known_B.mean())
    for index, name in enumerate(names):
        values_B = experience.reward_BK[experience.own_B, index]
        values_B = values_B[~values_B.isnan()]
        if len(values_B):
            found[f"rewards/{name}/mean"] = float(values_B.mean())
            found[f"rewards/{name}/std"] = float(values_B.std(correction=0))
    if all(sample.completion.logps for sample in experience.samples):
        own_N = experience.own_B[experience.sample_N]
        found["entropy"] = -float(experience.sampler_logps_N[own_N].mean())
    if experience.old_logps_N is not None and experience.ref_logps_N is not None:
        gap_N = (experience.old_logps_N - experience.ref_logps_N).double()
        found["kl"] = float(gap_N.sum()) / max(len(reward_B), 1)
    return found


def _group_spread(experience: Experience) -> tuple[Tensor, Tensor]:
    """Deviation of the rewards of each group with at least two, and whether they are all the same."""
    spread, same = [], []
    for group in range(len(experience.groups)):
        here_B = (experience.group_B == group) & experience.rewarded() & experience.own_B
        own = experience.reward_B[here_B]
        if len(own) > 1:
            spread.append(own.std())
            same.append(own.max() == own.min())
    return torch.stack(spread) if spread else torch.empty(0), torch.tensor(same)


def _deviation(reward_B: Tensor) -> float:
    return float(reward_B.std()) if len(reward_B) > 1 else 0.0


def _repetition(experience: Experience) -> float:
    """Mean share of the runs of :data:`REPEATED` tokens that stood in the same completion before."""
    shares = []
    for sample in experience.samples:
        ids = sample.completion.token_ids
        runs = [ids[i : i + REPEATED] for i in range(len(ids) - REPEATED + 1)]
        if runs:
            shares.append(1 - len(Counter(runs)) / len(runs))
    return sum(shares) / len(shares) if shares else 0.0
