"""One round of rollouts: sample, reward, score, assign credit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import torch

from charter.data.selection.missing_eos import with_missing_eos_penalty
from charter.engines.base import Engine, Sampling
from charter.environments.rollout import play_metrics
from charter.errors import TrainingFault
from charter.models.policy import Policy
from charter.progress import say
from charter.training.experience import Experience, Read, read
from charter.training.references import ReferenceLogps
from charter.training.rollout_metrics import rollout_metrics
from charter.training.sampler_gap import checked_gap, known_gap, measured_gap
from charter.types import Group, Judgement

Memory = dict[str, Any]
"""What credit assignment remembers between rounds (a baseline, a KL coefficient): plain data."""


class MissingReward(Protocol):
    """Rewards that are missing; see :class:`charter.feedback.rewards.combine.MissingCount`."""

    @property
    def reward(self) -> str:
        """Its name."""
        ...

    @property
    def kind(self) -> str:
        """What happened."""
        ...

    @property
    def count(self) -> int:
        """Samples."""
        ...

    @property
    def example(self) -> str:
        """The first reason."""
        ...


class Rewards(Protocol):
    """Judges rollouts; see :class:`charter.feedback.rewards.Rewards`."""

    @property
    def names(self) -> Sequence[str]:
        """Names of the rewards."""
        ...

    @property
    def weights(self) -> Sequence[float]:
        """What each counts."""
        ...

    def judge(self, groups: Sequence[Group]) -> list[list[Judgement]]:
        """Everything said about each group's samples."""
        ...

    def combined(self, groups: Sequence[Group]) -> list[list[float]]:
        """One reward for each sample of groups that were judged; NaN = missing."""
        ...

    def table(self, groups: Sequence[Group]) -> list[list[list[float]]]:
        """For each group and sample, the value of each named reward; NaN = missing."""
        ...

    def missing(self, groups: Sequence[Group]) -> Sequence[MissingReward]:
        """What is missing in groups that were judged, by reward and reason."""
        ...


@dataclass(frozen=True)
class Credited:
    """What credit assignment made of a round.

    Attributes:
        groups: to train on.
        metrics: what it measured.
    """

    groups: Sequence[Group]
    metrics: Mapping[str, float] = field(default_factory=dict)


CreditFunction = Callable[[Experience, Any, Memory], Credited]
"""From a round, the algorithm's options and what it remembers (changed in place) to groups to train on."""

SampleFunction = Callable[[Engine, Sequence[Group], int, Sampling], list[Group]]
"""From prompts, each with one sample, to groups of rollouts."""


@dataclass(frozen=True)
class Round:
    """A finished round.

    Attributes:
        groups: to train on.
        rollouts: everything that was sampled, judged.
        metrics: of the round.
    """

    groups: Sequence[Group]
    rollouts: Sequence[Group]
    metrics: Mapping[str, float]


@dataclass
class RoundMaker:
    """Makes rounds with the policy as it is.

    Attributes:
        policy: what is trained.
        engine: samples.
        sample: how; see :data:`SampleFunction`.
        rewards: judge.
        credit: see :data:`CreditFunction`.
        options: of the algorithm (:class:`charter.catalogue.rollouts.RolloutOptions`).
        reads: what the trainer's forward computes before credit is assigned.
        reference: where ``ref_logps`` are read.
        critic: where ``values`` are read.
        temperature: of the trainer's forward.
        samples_policy: the policy writes completions; off = the engine keeps the weights it was made with.
    """

    policy: Policy
    engine: Engine
    sample: SampleFunction
    rewards: Rewards
    credit: CreditFunction
    options: Any
    reads: frozenset[Read]
    reference: ReferenceLogps | None = None
    critic: Policy | None = None
    temperature: float = 1.0
    samples_policy: bool = True
    _said: set[tuple[str, str]] = field(default_factory=set, repr=False)

    def __call__(self, prompts: Iterator[Group], count: int, seed: int, memory: Memory) -> Round:
        """Sample ``count`` prompts, or more where groups without a signal are sampled again.

        Raises:
            Interrupted: the person asked to stop; nothing of the round is kept.
            TrainingFault: no sample got a reward, or sampler and trainer disagree.
        """
        if self.samples_policy:
            self.engine.load_weights(self.policy, self.policy.version)
        groups, tried = self._gather(prompts, count, seed)
        experience = read(
            self._experience(groups),
            self.reads,
            self.policy,
            self.reference,
            self.critic,
            temperature=self.temperature,
            tokens=self.options.tokens_per_microbatch,
        )
        if not bool(experience.rewarded().any()):
            said = next((j.reason for g in groups for j in g.judgements if j.verdict == "error"), "abstained")
            raise TrainingFault(
                "no rollout of the round got a reward", where="reward_funcs", fix=f"the first said: {said}"
            )
        credited = self.credit(experience, self.options, memory)
        metrics = {
            **rollout_metrics(experience, self.rewards.names),
            **self._missing(groups),
            **play_metrics(groups),
            **self._gap(experience),
            **credited.metrics,
        }
        if tried > count:
            metrics["rollouts/prompts_tried"] = float(tried)
        return Round(credited.groups, groups, metrics)

    def _gather(self, prompts: Iterator[Group], count: int, seed: int) -> tuple[list[Group], int]:
        """Rollouts of ``count`` prompts; with dynamic sampling, of prompts whose rewards differ."""
        kept: list[Group] = []
        spare: list[Group] = []
        tried = 0
        most = count * max(getattr(self.options, "max_resampling", 1), 1)
        while len(kept) < count and tried < most:
            wanted = [next(prompts) for _ in range(min(count - len(kept), most - tried))]
            for group in self._rollouts(wanted, seed + tried):
                (kept if self._informative(group) else spare).append(group)
            tried += len(wanted)
        return (kept + spare)[:count], tried

    def _rollouts(self, prompts: Sequence[Group], seed: int) -> list[Group]:
        options = self.options
        sampling = Sampling(
            temperature=options.temperature,
            top_p=options.top_p,
            top_k=options.top_k,
            min_p=options.min_p,
            max_completion_length=options.max_completion_length,
            seed=seed,
        )
        groups = self.sample(self.engine, prompts, options.num_generations, sampling)
        said = self.rewards.judge(groups)
        return [
            replace(group, judgements=(*group.judgements, *new))
            for group, new in zip(groups, said, strict=True)
        ]

    def _informative(self, group: Group) -> bool:
        """Whether the group is kept without asking for another (dynamic sampling, DAPO 2503.14476)."""
        if not getattr(self.options, "dynamic_sampling", False):
            return True
        (values,) = self.rewards.combined([group])
        known = [value for value in values if value == value]
        return len(known) > 1 and max(known) > min(known)

    def _experience(self, groups: Sequence[Group]) -> Experience:
        rewards = [v for values in self.rewards.combined(groups) for v in values]
        table = [row for rows in self.rewards.table(groups) for row in rows]
        reward_BK = torch.tensor(table, dtype=torch.float64)
        weight_K = torch.tensor(self.rewards.weights, dtype=torch.float64)
        reward_B = torch.tensor(rewards, dtype=torch.float64)
        made = Experience(tuple(groups), reward_B, reward_BK, weight_K=weight_K)
        penalty = self.options.missing_eos_penalty
        if penalty is None:
            return made
        paid = with_missing_eos_penalty(rewards, (~made.truncated_B).tolist(), penalty)
        return replace(made, reward_B=torch.tensor(paid, dtype=torch.float64))

    def _missing(self, groups: Sequence[Group]) -> dict[str, float]:
        """How many rewards are missing and why; each reason is said the first time."""
        found = {}
        for one in self.rewards.missing(groups):
            found[f"rewards/{one.reward}/missing/{one.kind}"] = float(one.count)
            if (one.reward, one.kind) not in self._said:
                self._said.add((one.reward, one.kind))
                say(f"reward {one.reward}: {one.count} missing, {one.kind} (first: {one.example})")
        return found

    def _gap(self, experience: Experience) -> dict[str, float]:
        """How far the sampler's log-probs are from the trainer's; see :mod:`charter.training.sampler_gap`."""
        options = self.options
        same = self.temperature == options.temperature
        gap_N = known_gap(experience) if same and experience.old_logps_N is not None else None
        if gap_N is None:
            gap_N = measured_gap(
                self.policy, experience.groups, options.temperature, options.tokens_per_microbatch
            )
        return checked_gap(gap_N, options.max_sampler_gap)
