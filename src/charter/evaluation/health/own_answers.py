"""How likely a data set's chosen answers are to a model, beside the answers it would give itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from charter.data.facts import Facts, mean_interval
from charter.data.formats import LoadedData
from charter.data.packing import pack
from charter.data.prepare import prepare
from charter.engines.base import Sampling
from charter.engines.local import LocalEngine
from charter.engines.sample import sample_prompts
from charter.models.policy import Policy
from charter.models.score import score
from charter.types import Group, PairTarget, Sample

SOURCE = "log-probs per token under the model"


def with_own_answers(
    facts: Facts, loaded: LoadedData, policy: Policy, *, prompts: int = 32, seed: int = 0
) -> Facts:
    """``facts`` with :attr:`~charter.data.facts.Facts.standing` from the model itself.

    The model answers ``prompts`` of the data's prompts at temperature 1. What is compared is the mean
    log-prob per token of the chosen answer with that of its own. Scores that the data brings go first.
    """
    groups = _spread([g for g in prepare(loaded, policy.template).groups if _chosen(g) is not None], prompts)
    if facts.standing is not None or not groups:
        return facts
    chosen = [sample for g in groups if (sample := _chosen(g)) is not None]
    engine = LocalEngine(policy.model, policy.tokenizer, compute_dtype=policy.compute_dtype)
    longest = max(len(sample.completion.token_ids) for sample in chosen)
    asked = [replace(g, samples=(g.samples[0],), judgements=()) for g in groups]
    sampling = Sampling(temperature=1.0, max_completion_length=longest, seed=seed)
    own = [g.samples[0] for g in sample_prompts(engine, asked, 1, sampling)]
    gaps = mean_logps(policy, chosen) - mean_logps(policy, own)
    return replace(facts, standing=mean_interval([float(gap) for gap in gaps]), standing_by=SOURCE)


@torch.no_grad()
def mean_logps(policy: Policy, samples: Sequence[Sample]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Mean log-prob per trained token of each sample, ``(B,)``; 0 for an empty one."""
    found = []
    for sample in samples:
        out = score(policy.model, pack([sample]), compute_dtype=policy.compute_dtype)
        assert out.logps_N is not None
        found.append(float(out.logps_N.mean()) if len(out.logps_N) else 0.0)
    return np.asarray(found)


def _chosen(group: Group) -> Sample | None:
    """The better side of the group's first pair."""
    targets = (j.target for j in group.judgements if j.verdict == "judged")
    pair = next((target for target in targets if isinstance(target, PairTarget)), None)
    return None if pair is None else group.samples[pair.better]


def _spread(groups: Sequence[Group], count: int) -> list[Group]:
    """At most ``count`` groups, evenly over the data."""
    step = max(len(groups) / count, 1.0)
    return [groups[int(i * step)] for i in range(min(count, len(groups)))]
