"""Everything an online run has beside the policy: rollouts, reference, critic."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from charter.catalogue.entry import Entry
from charter.catalogue.rollouts import RolloutOptions, samplers_of
from charter.data.formats import LoadedData
from charter.engines.local import LocalEngine
from charter.models.pairing import Reference
from charter.models.policy import Policy
from charter.models.trainable import merge_adapter
from charter.objectives.base import Need
from charter.training.critic import make_critic
from charter.training.experience import Read
from charter.training.feed import Feed
from charter.training.references import Live, Moving, Recorded, ReferenceLogps
from charter.training.rollouts import RolloutSource
from charter.training.round import Rewards, RoundMaker, SampleFunction
from charter.training.sampled_by import beside_systems, sample_by
from charter.training.source import DatasetSource
from charter.training.step import Stepper
from charter.training.terms import by_name
from charter.types import Group


@dataclass(frozen=True)
class OnlineRun:
    """Makes the feed of an online run from a catalogue entry; see :class:`charter.training.feed.MakeOnline`.

    Attributes:
        entry: has ``rollouts``.
        options: of the entry.
        prompts: rendered, one sample each.
        rewards: see :class:`charter.training.round.Rewards`.
        play: samples completions in an environment; None = one turn each.
        critic_from: weights the critic begins with (a reward model); None = the policy's.
        beside: other data that each step trains on too, in its own part (PPO-ptx).
    """

    entry: Entry
    options: RolloutOptions
    prompts: Sequence[Group]
    rewards: Rewards
    play: SampleFunction | None = None
    critic_from: Policy | None = None
    beside: LoadedData | None = None

    def critic(self, policy: Policy) -> Policy | None:
        """See :class:`charter.training.feed.MakeOnline`."""
        assert self.entry.rollouts is not None
        if not self.entry.rollouts.critic:
            return None
        merge_adapter(policy)
        return make_critic(policy, self.options, self.critic_from)

    def __call__(
        self, policy: Policy, critic: Policy | None, directory: Path, needs: frozenset[Need]
    ) -> Feed:
        """See :class:`charter.training.feed.MakeOnline`."""
        spec, options = self.entry.rollouts, self.options
        assert spec is not None
        temperature = options.temperature if spec.tempered else 1.0
        reads = self._reads(needs)
        samplers = samplers_of(spec, options)
        samples_reference = {"reference", "mixture"} & set(samplers)
        frozen = self._frozen(policy) if "ref_logps" in reads or samples_reference else None
        reference = self._reference(policy, frozen, temperature) if "ref_logps" in reads else None
        other = None if frozen is None else frozen.model
        engine = LocalEngine(
            policy.model,
            policy.tokenizer,
            compute_dtype=policy.compute_dtype,
            reference=other if samples_reference else None,
        )
        moving = self._moving(policy) if "moving" in samplers else None
        sample = self.play or sample_by(samplers, options, policy, moving)
        if self._systems is not None:
            sample = beside_systems(sample, self._systems, policy.template)
        maker = RoundMaker(
            policy,
            engine,
            sample,
            self.rewards,
            by_name(spec.credit),
            options,
            reads,
            reference,
            critic,
            temperature,
            samples_policy=samplers != ("reference",),
        )
        rate = getattr(options, "critic_learning_rate", None) or options.learning_rate
        return Feed(
            self._source(maker, directory),
            reference if moving is None else moving,
            Recorded(),
            beside=() if self.beside is None else self.beside.groups,
            critic=critic,
            critic_scale=rate / options.learning_rate,
            temperature=temperature,
            restarts=spec.restarts,
            stepper=self._stepper(),
        )

    @property
    def _systems(self) -> str | None:
        """The column with other systems' answers (CPO triplets)."""
        return getattr(self.options, "systems", None)

    def close(self) -> None:
        """Give back what the rewards hold (processes)."""
        close = getattr(self.rewards, "close", None)
        if close is not None:
            close()

    def _reads(self, needs: frozenset[Need]) -> frozenset[Read]:
        """What is computed of the rollouts before credit is assigned."""
        spec, options = self.entry.rollouts, self.options
        assert spec is not None
        found = {*spec.reads, *(name for name, option in spec.reads_if if getattr(options, option))}
        if Need.REFERENCE in needs:
            found.add("ref_logps")
        if Need.VALUES in needs:
            found.add("values")
        if Need.OLD_LOGPS in needs and options.steps_per_generation * options.num_iterations > 1:
            found.add("old_logps")
        return frozenset(found)  # type: ignore[arg-type]

    def _frozen(self, policy: Policy) -> Reference:
        return Reference(None) if self.options.use_peft else Reference.frozen_copy(policy)

    def _reference(self, policy: Policy, frozen: Reference | None, temperature: float) -> ReferenceLogps:
        options = self.options
        if options.sync_ref_model:
            return Moving(policy, options.ref_model_mixup_alpha, options.ref_model_sync_steps, temperature)
        assert frozen is not None
        return Live(frozen, temperature)

    def _moving(self, policy: Policy) -> Moving:
        """The average of the policy's weights that is sampled from (Nash-EMA)."""
        share = 1 - getattr(self.options, "ema_decay", 0.999)
        return Moving(policy, share, 1, self.options.temperature)

    def _source(self, maker: RoundMaker, directory: Path) -> RolloutSource:
        options, spec = self.options, self.entry.rollouts
        assert spec is not None
        beside = None
        if self.beside is not None:
            size = getattr(options, "ptx_batch_size", options.batch_size)
            beside = DatasetSource(self.beside.groups, size, options.seed)
        return RolloutSource(
            self.prompts,
            maker,
            directory,
            prompts_per_round=options.prompts_per_round,
            steps_per_generation=options.steps_per_generation,
            num_iterations=options.num_iterations,
            seed=options.seed,
            keep=options.save_total_limit,
            target_kl=getattr(options, "target_kl", None),
            restarts=spec.restarts,
            beside=beside,
            thresholds=getattr(options, "reward_thresholds", ()),
        )

    def _stepper(self) -> Callable[..., Stepper]:
        assert self.entry.rollouts is not None
        if not self.entry.rollouts.stepper:
            return Stepper
        make: Callable[..., Callable[..., Stepper]] = by_name(self.entry.rollouts.stepper)
        return make(self.options)
