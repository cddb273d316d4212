"""What an online run needs beside its data: rewards, an environment, a critic, eyes on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from charter.catalogue import Entry
from charter.catalogue.actor_critic import PPOPtxOptions
from charter.catalogue.rollouts import RolloutOptions
from charter.data.formats import LoadedData, load_groups
from charter.environments.registry import open_environment
from charter.environments.rollout import player
from charter.evaluation.overoptimisation.heldout_reward import HeldOutReward
from charter.evaluation.watchdog.garbage import GarbageProbe, reward_scorer
from charter.evaluation.watchdog.hook import Watchdog
from charter.models.load import load
from charter.models.policy import Policy
from charter.pipeline.rewarded_prompts import Functions, beside, check_prompts, rewards_of
from charter.pipeline.training_data import rendered
from charter.training.hooks import Hook
from charter.training.online import OnlineRun
from charter.training.round import SampleFunction
from charter.types import Group


def online_run(
    entry: Entry,
    options: RolloutOptions,
    prompts: Sequence[Group],
    policy: Policy,
    base: Path,
    functions: Functions,
) -> OnlineRun:
    """The rollouts of one run.

    Raises:
        DataError: the prompts lack a column that a reward reads.
    """
    rewards = rewards_of(options, base, functions)
    check_prompts(rewards, options, prompts)
    critic_model = getattr(options, "critic_model", None)
    return OnlineRun(
        entry,
        options,
        prompts,
        rewards,
        play=_player(options, policy, base),
        critic_from=None if critic_model is None else load(beside(base, critic_model)),
        beside=_pretraining(options, policy, base),
    )


def online_hooks(run: OnlineRun, held_out: Sequence[Group], policy: Policy) -> list[Hook]:
    """Held-out reward beside the proxy, then the watchdog, which reads it."""
    options = run.options
    hooks: list[Hook] = []
    if held_out:
        hooks.append(HeldOutReward(policy, held_out, run.rewards, options))
    if options.watchdog != "off":
        # An environment's reward is of a game that was played: there is none for planted text.
        probe = None if run.play else GarbageProbe(reward_scorer(run.rewards), run.prompts)
        hooks.append(Watchdog(garbage=probe, pause=options.watchdog == "pause"))
    return hooks


def _player(options: RolloutOptions, policy: Policy, base: Path) -> SampleFunction | None:
    if options.environment is None:
        return None
    return player(open_environment(options.environment, base), policy.template, options.max_turns)


def _pretraining(options: RolloutOptions, policy: Policy, base: Path) -> LoadedData | None:
    """Text that PPO-ptx trains on beside its rollouts."""
    if not isinstance(options, PPOPtxOptions):
        return None
    loaded = load_groups(beside(base, options.ptx_data), "sft")
    groups = rendered(loaded, policy, options).groups
    return replace(loaded, groups=tuple(replace(group, part="pretrain") for group in groups))
