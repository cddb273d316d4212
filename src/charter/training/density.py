"""Matching the prompts of undesirable answers to those of desirable ones (BCO's density ratio).

Where the two kinds answer different prompts, a classifier of answers can win by telling the prompts
apart. So undesirable answers are weighted by ``p(x | desirable) / p(x | undesirable)`` (Jung et al.
2024, 2404.04656, section 4.3), estimated from embeddings of the prompts by
:func:`charter.stats.density_ratio.density_ratio`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from charter.catalogue.unpaired import BCOOptions
from charter.errors import ConfigError, DataError
from charter.models.policy import Policy
from charter.progress import say
from charter.stats.density_ratio import DensityRatio, density_ratio
from charter.training.prompt_embedding import embed
from charter.types import Context, Group, Judgement, SampleTarget

Tokens = tuple[int, ...]


def with_density_ratio(
    groups: Sequence[Group], options: BCOOptions, policy: Policy | None = None
) -> Sequence[Group]:
    """The groups, every undesirable answer weighted by the density ratio of its prompt.

    The ratio multiplies the weight a row has. Evaluation data is weighted by a ratio of its own.

    Args:
        groups: rendered groups with labels.
        options: without ``udm`` groups stay as they are.
        policy: embeds the prompts as it is now, before training.

    Raises:
        ConfigError: ``udm`` without a policy.
        DataError: answers of one kind only, or without a prompt.
    """
    if not options.udm:
        return groups
    if policy is None:
        raise ConfigError("udm embeds prompts with the policy, and there is none here", where="udm")
    counts = _label_counts(groups)
    _refuse_one_kind(counts)
    found = density_ratio(
        embed(policy, [Context(token_ids=tokens) for tokens in counts]),
        np.asarray(list(counts.values()), dtype=np.float64),
        most=options.prompt_sample_size,
        seed=options.seed,
    )
    weight_X = np.clip(found.ratio_X, options.min_density_ratio, options.max_density_ratio)
    weights = dict(zip(counts, weight_X.tolist(), strict=True))
    _say(found, weight_X, np.asarray(list(counts.values()))[:, 1])
    return [_weighted(group, weights) for group in groups]


def _label_counts(groups: Sequence[Group]) -> dict[Tokens, list[int]]:
    """Desirable and undesirable answers of each distinct prompt."""
    counts: dict[Tokens, list[int]] = {}
    for group in groups:
        for said in group.judgements:
            if isinstance(said.target, SampleTarget) and said.value is not None:
                prompt = group.samples[said.target.sample].context.token_ids
                if not prompt:
                    raise DataError("udm compares prompts, and this row has none", where=group.source or None)
                counts.setdefault(prompt, [0, 0])[said.value != 1] += 1
    return counts


def _refuse_one_kind(counts: Mapping[Tokens, Sequence[int]]) -> None:
    good, bad = (sum(of_prompt[kind] for of_prompt in counts.values()) for kind in (0, 1))
    if not good or not bad:
        raise DataError(
            "udm compares the prompts of desirable answers with those of undesirable ones, and all "
            f"{good + bad} answers are {'desirable' if good else 'undesirable'}",
            fix="leave udm out, or add answers of the other kind",
        )


def _weighted(group: Group, weights: Mapping[Tokens, float]) -> Group:
    def one(said: Judgement) -> Judgement:
        if not isinstance(said.target, SampleTarget) or said.value is None or said.value == 1:
            return said
        prompt = group.samples[said.target.sample].context.token_ids
        return replace(said, weight=said.weight * weights[prompt])

    return replace(group, judgements=tuple(one(said) for said in group.judgements))


def _say(found: DensityRatio, weight_X: NDArray[np.float64], undesirable_X: NDArray[np.int64]) -> None:
    told = f"{found.accuracy:.0%} of prompts that the classifier had not seen were told apart"
    if found.penalty == np.inf:
        say(f"density ratio: {told}, which is no better than chance: all weights are 1")
        return
    used = weight_X[undesirable_X > 0]
    mean = np.average(weight_X, weights=undesirable_X)
    say(
        f"density ratio: {told} (chance is 50%); undesirable answers weigh "
        f"{used.min():.2g} to {used.max():.2g}, {mean:.2g} on average"
    )
