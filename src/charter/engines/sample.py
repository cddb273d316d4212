"""Ask an engine every prompt of a data set, keeping ids and tags."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from charter.engines.base import Engine, Mixture, OnProgress, Sampling
from charter.types import Group


def sample_prompts(
    engine: Engine,
    prompts: Sequence[Group],
    n: int,
    sampling: Sampling,
    *,
    policy: str | Mixture = "policy",
    on_progress: OnProgress | None = None,
) -> list[Group]:
    """``n`` completions of each prompt; groups keep the prompt's id, source and meta.

    Args:
        engine: who samples.
        prompts: rendered groups with one sample each, of which the context is used.
        n: completions per prompt.
        sampling: how tokens are chosen.
        policy: see :meth:`charter.engines.base.Engine.generate`.
        on_progress: called with the number of completions finished since the last call.
    """
    contexts = [group.samples[0].context for group in prompts]
    answered = engine.generate(contexts, n, sampling, policy, on_progress)
    return [replace(group, samples=answer.samples) for group, answer in zip(prompts, answered, strict=True)]
