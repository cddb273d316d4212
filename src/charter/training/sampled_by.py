"""Who writes the completions of a prompt: the policy, its reference, a mixture of them, its average."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from charter.catalogue.rollouts import RolloutOptions, Sampler
from charter.data.other_systems import samples_of_systems
from charter.data.render import Template
from charter.engines.base import Engine, Mixture, Sampling
from charter.engines.sample import sample_prompts
from charter.models.policy import Policy
from charter.training.references import Moving
from charter.training.round import SampleFunction
from charter.types import Group


def sample_by(
    names: Sequence[Sampler], options: RolloutOptions, policy: Policy, moving: Moving | None
) -> SampleFunction:
    """A function that samples a group's completions from each of ``names``.

    Every name but the first makes one completion, the first the rest; they stand in that order.
    """

    def sample(engine: Engine, prompts: Sequence[Group], n: int, sampling: Sampling) -> list[Group]:
        counts = [n - len(names) + 1] + [1] * (len(names) - 1)
        parts = [
            _one(engine, prompts, count, seeded_apart(sampling, index), name, options, policy, moving)
            for index, (name, count) in enumerate(zip(names, counts, strict=True))
        ]
        return [
            replace(groups[0], samples=tuple(sample for group in groups for sample in group.samples))
            for groups in zip(*parts, strict=True)
        ]

    return sample


def beside_systems(sample: SampleFunction, column: str, template: Template) -> SampleFunction:
    """``sample``, and after its completions the answers of other systems that the prompts bring along."""

    def both(engine: Engine, prompts: Sequence[Group], n: int, sampling: Sampling) -> list[Group]:
        sampled = sample(engine, prompts, n, sampling)
        return [
            replace(group, samples=(*group.samples, *samples_of_systems(prompt, column, template)))
            for group, prompt in zip(sampled, prompts, strict=True)
        ]

    return both


def seeded_apart(sampling: Sampling, index: int) -> Sampling:
    """A seed for each sampler: with the same one they would make the same random choices."""
    return sampling if index == 0 else sampling.model_copy(update={"seed": sampling.seed + 7919 * index})


def _one(
    engine: Engine,
    prompts: Sequence[Group],
    n: int,
    sampling: Sampling,
    name: Sampler,
    options: RolloutOptions,
    policy: Policy,
    moving: Moving | None,
) -> list[Group]:
    if name == "mixture":
        mixture = Mixture(getattr(options, "mixture_coef"))  # noqa: B009  (an option of those methods)
        return sample_prompts(engine, prompts, n, sampling, policy=mixture)
    if name == "moving":
        assert moving is not None
        with moving.installed(policy):
            engine.load_weights(policy, policy.version, name)
    if name == "greedy":
        sampling = Sampling(temperature=0, max_completion_length=sampling.max_completion_length)
        return [_labelled(group, name) for group in sample_prompts(engine, prompts, n, sampling)]
    return sample_prompts(engine, prompts, n, sampling, policy=name)


def _labelled(group: Group, name: Sampler) -> Group:
    """The group's completions sampled by ``name``: their log-probs are not those of sampling."""
    samples = tuple(replace(s, completion=replace(s.completion, sampled_by=name)) for s in group.samples)
    return replace(group, samples=samples)
