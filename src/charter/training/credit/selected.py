"""Own samples that are good enough to imitate: best of n, the top k, all above a threshold."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from charter.data.selection.best import best_of_n, top_k
from charter.data.selection.known import first_of_equals, only
from charter.data.selection.rest import rest_em_keep, rest_keep
from charter.training.experience import Experience, credited
from charter.training.round import Credited, Memory


def best(experience: Experience, options: Any, memory: Memory) -> Credited:
    """The best sample of each prompt."""

    def choose(rewards: Sequence[float], answers: Sequence[tuple[int, ...]]) -> list[int]:
        found = best_of_n(rewards)
        return [] if found is None else [found]

    return _selected(experience, options, choose)


def top(experience: Experience, options: Any, memory: Memory) -> Credited:
    """The ``top_k_samples`` best samples of the whole round (top-k over N, RAFT 2304.06767)."""
    usable_B = _usable(experience, options)
    keep = top_k(only(experience.reward_B.tolist(), usable_B.tolist()), options.top_k_samples)
    keep_B = torch.zeros(len(usable_B), dtype=torch.bool)
    keep_B[keep] = True
    return _kept(experience, keep_B)


def above(experience: Experience, options: Any, memory: Memory) -> Credited:
    """Every sample whose reward reaches the first threshold (ReST, 2308.08998; expert iteration).

    Each improve step filters them anew by its own; see :class:`charter.training.improve.Improve`.
    """
    lowest = options.reward_thresholds[:1]
    return _selected(experience, options, lambda rewards, answers: rest_keep(rewards, lowest)[0])


def right(experience: Experience, options: Any, memory: Memory) -> Credited:
    """The right samples without repetitions, at most so many of a prompt (ReST-EM, 2312.06585)."""
    return _selected(
        experience,
        options,
        lambda rewards, answers: rest_em_keep(
            rewards, answers, threshold=options.reward_threshold, most=options.max_per_prompt
        ),
    )


Choose = Callable[[Sequence[float], Sequence[tuple[int, ...]]], list[int]]


def _selected(experience: Experience, options: Any, choose: Choose) -> Credited:
    """Samples chosen group by group, from those that may be imitated."""
    keep_B = torch.zeros(len(experience.samples), dtype=torch.bool)
    start = 0
    usable = experience.by_group(_usable(experience, options))
    for group, rewards, allowed in zip(
        experience.groups, experience.by_group(experience.reward_B), usable, strict=True
    ):
        answers = [sample.completion.token_ids for sample in group.samples]
        for index in choose(only(rewards, [bool(a) for a in allowed]), answers):
            keep_B[start + index] = True
        start += len(group.samples)
    return _kept(experience, keep_B)


def _kept(experience: Experience, keep_B: torch.Tensor) -> Credited:
    metrics = {"selected": float(keep_B.sum()), "selected/share": float(keep_B.double().mean())}
    if bool(keep_B.any()):
        metrics["selected/reward"] = float(experience.reward_B[keep_B].mean())
    return Credited(credited(experience, keep_B), metrics)


def _usable(experience: Experience, options: Any) -> torch.Tensor:
    """Samples with a reward that are not cut off (where asked for), each text once in its group."""
    fresh = [
        flag
        for group in experience.groups
        for flag in first_of_equals([sample.completion.token_ids for sample in group.samples])
    ]
    cut_B = experience.truncated_B & bool(options.mask_truncated_completions)
    return experience.rewarded() & ~cut_B & torch.tensor(fresh)
