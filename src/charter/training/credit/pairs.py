"""Pairs among own samples: best against worst, all of a threshold, rejection sampled, ranked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch

from charter.data.selection.known import first_of_equals, only
from charter.data.selection.pairs import Pairs, against_last, best_worst, rs_dpo_pairs
from charter.data.selection.ranked_pairs import sample_rank
from charter.data.selection.rso import rso_pairs
from charter.data.selection.systems import cpo_pair
from charter.data.selection.win_rates import win_rates_of_rewards
from charter.training.experience import Experience, kept_groups
from charter.training.round import Credited, Memory
from charter.types import Group, Judgement, PairTarget, SampleTarget

Choose = Callable[[Sequence[float], Group, int], Pairs]
"""Pairs of a group from its rewards, the group, and its number in the round."""


def best_against_worst(experience: Experience, options: Any, memory: Memory) -> Credited:
    """The best sample of a group against the worst; groups of equals are left out (online DPO).

    With ``preference_temperature`` the pair holds with the probability that Bradley-Terry gives it.
    """
    temperature = options.preference_temperature
    sharpness = None if temperature is None else 1.0 / temperature
    return _paired(experience, options, lambda rewards, group, number: best_worst(rewards), sharpness)


def against_reference(experience: Experience, options: Any, memory: Memory) -> Credited:
    """Each of the policy's samples against the reference's, which is the group's last (XPO, 2405.21046).

    The reference's sample stays where no pair comes of it: a tie, a missing reward, the policy's very words.
    XPO's bonus is a mean over what the reference writes (algorithm 1, line 6), whatever is preferred; left
    out where the two are alike, it would be a mean over something else. Those are counted.
    """
    temperature = options.preference_temperature
    sharpness = None if temperature is None else 1.0 / temperature

    def choose(rewards: Sequence[float], group: Group, number: int) -> Pairs:
        return against_last(rewards)

    keep_B = ~experience.own_B & (experience.lengths_B > 0)
    keep_B &= ~(experience.truncated_B & options.mask_truncated_completions)
    made = _paired(experience, options, choose, sharpness, keep_B=keep_B)
    alone = sum(not group.judgements for group in made.groups)
    return Credited(made.groups, {**made.metrics, "exploration/without_pair": float(alone)})


def above_threshold(experience: Experience, options: Any, memory: Memory) -> Credited:
    """Every pair whose rewards differ enough (RS-DPO, 2402.10038)."""
    return _paired(
        experience,
        options,
        lambda rewards, group, number: rs_dpo_pairs(rewards, tau=options.tau, eta=options.eta),
    )


def rejection_sampled(experience: Experience, options: Any, memory: Memory) -> Credited:
    """Pairs among samples accepted as if from the optimal policy (RSO, 2309.06657)."""
    count = memory["rounds"] = memory.get("rounds", 0) + 1
    return _paired(
        experience,
        options,
        lambda rewards, group, number: rso_pairs(
            rewards,
            count=options.num_accepted,
            beta=options.rso_beta,
            ranking=options.rso_ranking,
            seed=f"{options.seed}:{count}:{number}",
        ),
    )


def ranked(experience: Experience, options: Any, memory: Memory) -> Credited:
    """A tournament of random pairs (SLiC-HF sample-rank, 2305.10425)."""
    count = memory["rounds"] = memory.get("rounds", 0) + 1
    return _paired(
        experience,
        options,
        lambda rewards, group, number: sample_rank(rewards, f"{options.seed}:{count}:{number}"),
    )


def best_of_systems(experience: Experience, options: Any, memory: Memory) -> Credited:
    """The best answer against the worst of another system (CPO triplets, 2401.08417)."""
    return _paired(
        experience,
        options,
        lambda rewards, group, number: cpo_pair(rewards, [s.completion.sampled_by for s in group.samples]),
    )


def win_rates(experience: Experience, options: Any, memory: Memory) -> Credited:
    """The samples that win most and least, with their win rates against all (SPPO, 2405.00675)."""
    scaled_B = experience.reward_B / (options.preference_temperature or 1.0)
    rates = [win_rates_of_rewards(rewards) for rewards in experience.by_group(scaled_B)]
    flat = torch.tensor([rate for group in rates for rate in group], dtype=torch.float64)
    return _paired(
        replace(experience, reward_B=flat),
        options,
        lambda rewards, group, number: best_worst(rewards),
        scores=True,
    )


def _paired(
    experience: Experience,
    options: Any,
    choose: Choose,
    sharpness: float | None = None,
    *,
    scores: bool = False,
    keep_B: torch.Tensor | None = None,
) -> Credited:
    """Groups of the samples that are in chosen pairs, and of those in ``keep_B``.

    Args:
        experience: the round.
        options: of the algorithm.
        choose: pairs of one group; identical completions are one. Drawing goes by the number of the
            group, not by its id, which may be the place of a file.
        sharpness: a pair holds with the probability ``sigmoid(sharpness * difference)``; None = 1.
        scores: the samples' rewards stand beside the pairs.
        keep_B: samples that stay whether or not a pair holds them, bool; None = none.
    """
    usable = experience.rewarded() & (experience.lengths_B > 0)
    usable &= ~(experience.truncated_B & options.mask_truncated_completions)
    keeps, chosen, left_out = [], [], 0
    rewards_of = experience.by_group(experience.reward_B)
    allowed_of = experience.by_group(usable)
    for number, (group, rewards) in enumerate(zip(experience.groups, rewards_of, strict=True)):
        fresh = first_of_equals([s.completion.token_ids for s in group.samples])
        keep = [bool(a) and f for a, f in zip(allowed_of[number], fresh, strict=True)]
        found = choose(only(rewards, keep), group, number)
        left_out += found.left_out
        chosen.append(found.pairs)
        keeps += [any(i in pair for pair in found.pairs) for i in range(len(group.samples))]
    kept_B = torch.tensor(keeps) if keep_B is None else torch.tensor(keeps) | keep_B
    starts = _starts(experience)
    made = []
    for kept, group in kept_groups(experience, kept_B):
        number = int(experience.group_B[kept[0]])
        start = starts[number]
        place = {index - start: at for at, index in enumerate(kept)}
        said = tuple(
            _judgement(place[better], place[worse], _gap(experience, start, better, worse), sharpness)
            for better, worse in chosen[number]
        )
        if scores:
            said += tuple(
                Judgement(SampleTarget(at), float(experience.reward_B[i]), judge="reward")
                for at, i in enumerate(kept)
            )
        made.append(replace(group, judgements=said))
    pairs = sum(len(found) for found in chosen)
    return Credited(made, {"pairs": float(pairs), "pairs/left_out": float(left_out)})


def _starts(experience: Experience) -> list[int]:
    """Where each group's samples begin in the round."""
    starts = [0]
    for group in experience.groups:
        starts.append(starts[-1] + len(group.samples))
    return starts


def _gap(experience: Experience, start: int, better: int, worse: int) -> float:
    return float(experience.reward_B[start + better] - experience.reward_B[start + worse])


def _judgement(better: int, worse: int, gap: float, sharpness: float | None) -> Judgement:
    probability = None if sharpness is None else float(torch.sigmoid(torch.tensor(sharpness * gap)))
    return Judgement(PairTarget(better, worse), gap, probability=probability, judge="reward")
