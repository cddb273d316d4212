"""Reward on prompts that are not trained on, beside the proxy, while a run goes on."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

from charter.catalogue.rollouts import RolloutOptions
from charter.engines.base import Sampling
from charter.engines.local import LocalEngine
from charter.engines.sample import sample_prompts
from charter.models.policy import Policy
from charter.training.hooks import NOTHING, HookResult
from charter.types import Group, Judgement

EVERY = 10
"""Optimizer steps between measurements where ``eval_steps`` does not say."""


class Judges(Protocol):
    """Rewards rollouts; see :class:`charter.training.round.Rewards`."""

    @property
    def names(self) -> Sequence[str]:
        """Names of the rewards."""
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


class HeldOutReward:
    """Mean reward of one sampled completion of each held-out prompt, and of several rewards each by its name.

    The same random numbers every time, so that two measurements differ by the policy alone.

    Args:
        policy: what is trained.
        prompts: rendered.
        rewards: the run's.
        options: of the run; sampled as its rollouts are.
    """

    name = "heldout_reward"

    def __init__(
        self, policy: Policy, prompts: Sequence[Group], rewards: Judges, options: RolloutOptions
    ) -> None:
        self.prompts, self.rewards = prompts, rewards
        self.every = options.eval_steps or EVERY
        self.sampling = Sampling(
            temperature=options.temperature,
            top_p=options.top_p,
            top_k=options.top_k,
            min_p=options.min_p,
            max_completion_length=options.max_completion_length,
            seed=options.seed + 1,
        )
        self._engine: LocalEngine | None = None

    def after_step(self, policy: Policy, step: int, last: bool, metrics: Mapping[str, float]) -> HookResult:
        """See :class:`charter.training.hooks.Hook`."""
        if step % self.every and not last:
            return NOTHING
        if self._engine is None:
            self._engine = LocalEngine(
                policy.model, policy.tokenizer, compute_dtype=policy.compute_dtype, version=step
            )
        self._engine.load_weights(policy, step)
        groups = sample_prompts(self._engine, self.prompts, 1, self.sampling)
        said = self.rewards.judge(groups)
        judged = [replace(g, judgements=(*g.judgements, *new)) for g, new in zip(groups, said, strict=True)]
        values = [v for (v,) in self.rewards.combined(judged) if not math.isnan(v)]
        if not values:
            return HookResult({"heldout_reward/missing": float(len(groups))})
        error = statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else math.nan
        found = {
            "heldout_reward": statistics.fmean(values),
            "heldout_reward_stderr": error,
            "heldout_reward/missing": float(len(groups) - len(values)),
        }
        return HookResult(found | self._by_name(judged))

    def _by_name(self, judged: Sequence[Group]) -> dict[str, float]:
        """The mean of each of several rewards; one alone is the whole."""
        if len(self.rewards.names) < 2:
            return {}
        columns = zip(*(row for (row,) in self.rewards.table(judged)), strict=True)
        found = {}
        for name, column in zip(self.rewards.names, columns, strict=True):
            if known := [value for value in column if not math.isnan(value)]:
                found[f"heldout_rewards/{name}/mean"] = statistics.fmean(known)
        return found

    def state(self) -> Any:
        """Nothing: every measurement is a function of the weights."""
        return None

    def restore(self, state: Any) -> None:
        """Nothing."""
