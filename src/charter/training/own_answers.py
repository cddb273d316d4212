"""On-policy distillation: rounds of the policy's own answers, for a teacher to correct."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from charter.catalogue.distillation import OnPolicyDistillationOptions
from charter.engines.base import Engine, Sampling
from charter.engines.local import LocalEngine
from charter.engines.sample import sample_prompts
from charter.models.policy import Policy
from charter.objectives.base import Need
from charter.training.feed import Feed
from charter.training.rollouts import RolloutSource
from charter.training.round import Memory, Round
from charter.types import Group


@dataclass(frozen=True)
class OwnAnswers:
    """Makes the feed of on-policy distillation; see :class:`charter.training.feed.MakeOnline`.

    Attributes:
        options: of the run.
        prompts: rendered, each as the policy and as the teacher reads it.
        arrange: makes answered prompts ready to train on.
    """

    options: OnPolicyDistillationOptions
    prompts: Sequence[Group]
    arrange: Callable[[Sequence[Group]], Sequence[Group]]

    def critic(self, policy: Policy) -> Policy | None:
        """None: nothing is rewarded."""
        return None

    def __call__(
        self, policy: Policy, critic: Policy | None, directory: Path, needs: frozenset[Need]
    ) -> Feed:
        """See :class:`charter.training.feed.MakeOnline`."""
        engine = LocalEngine(policy.model, policy.tokenizer, compute_dtype=policy.compute_dtype)

        def make(prompts: Iterator[Group], count: int, seed: int, memory: Memory) -> Round:
            engine.load_weights(policy, policy.version)
            answered = answers(engine, [next(prompts) for _ in range(count)], self.options, seed)
            written = [replace(group, samples=group.samples[:1]) for group in answered]
            return Round(self.arrange(answered), written, _metrics(written))

        options = self.options
        return Feed(
            RolloutSource(
                self.prompts,
                make,
                directory,
                prompts_per_round=options.batch_size * options.steps_per_generation,
                steps_per_generation=options.steps_per_generation,
                num_iterations=1,
                seed=options.seed,
                keep=options.save_total_limit,
            )
        )


def answers(
    engine: Engine, prompts: Sequence[Group], options: OnPolicyDistillationOptions, seed: int
) -> list[Group]:
    """One answer to each prompt, on the policy's side and on the teacher's."""
    sampling = Sampling(
        temperature=options.temperature,
        top_p=options.top_p,
        max_completion_length=options.max_completion_length,
        seed=seed,
    )
    sampled = sample_prompts(engine, prompts, 1, sampling)
    return [
        replace(
            prompt, samples=tuple(replace(s, completion=answer.samples[0].completion) for s in prompt.samples)
        )
        for prompt, answer in zip(prompts, sampled, strict=True)
    ]


def _metrics(answered: Sequence[Group]) -> dict[str, float]:
    completions = [group.samples[0].completion for group in answered]
    return {
        "completions/mean_length": statistics.fmean(len(c.token_ids) for c in completions),
        "completions/clipped_ratio": statistics.fmean(c.finish_reason == "length" for c in completions),
    }
