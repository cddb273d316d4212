"""Looks at a policy while it trains: held-out completions, their scores, and the KL to the base model."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

from charter.engines.base import Sampling
from charter.engines.local import LocalEngine
from charter.engines.sample import sample_prompts
from charter.evaluation.health.fluency import distinct, finished, kl_of_each, nll_under, words
from charter.feedback.rewards import Rewards, open_rewards
from charter.feedback.rewards.base import SampleReward
from charter.feedback.rewards.builtin import require
from charter.models.pairing import Reference
from charter.models.policy import Policy
from charter.training.hooks import NOTHING, HookResult
from charter.types import Group, Judgement, Sample

Scores = list[list[float | None]]
"""For each prompt the scores of its completions; None = missing."""


class Judges(Protocol):
    """Rewards completions."""

    def judge(self, groups: Sequence[Group]) -> list[list[Judgement]]:
        """Everything said about each group's samples."""
        ...

    def combined(self, groups: Sequence[Group]) -> list[list[float]]:
        """One reward for each sample of judged groups; NaN = missing."""
        ...


def afinn() -> Rewards:
    """The sum of the valences of a completion's words, -5 to 5 each (Nielsen 2011, 1103.2903).

    Raises:
        EnvironmentFault: the package is not installed.
    """
    require("afinn")
    from afinn import Afinn

    score = Afinn(language="en").score

    def valence(sample: Sample, group: Group) -> float:
        return float(score(sample.completion.text))

    return Rewards([SampleReward("afinn", valence)])


def scorers_of(task: str, reward: str) -> dict[str, Rewards]:
    """What completions are scored by: what is trained on, and for sentiment another lexicon."""
    if task:
        return {"reward": open_rewards(["reasoning-gym"])}
    return {"reward": open_rewards([reward]), "held_out": afinn()}


def scored(scorers: Mapping[str, Judges], groups: Sequence[Group]) -> dict[str, Scores]:
    """The scores of all completions by each scorer."""
    found = {}
    for name, rewards in scorers.items():
        said = rewards.judge(groups)
        judged = [replace(g, judgements=tuple(new)) for g, new in zip(groups, said, strict=True)]
        found[name] = [
            [None if math.isnan(value) else round(value, 5) for value in values]
            for values in rewards.combined(judged)
        ]
    return found


def said(groups: Sequence[Group]) -> dict[str, list[list[str]]]:
    """The completions' texts, kept so that another scorer can read them later."""
    return {"texts": [[sample.completion.text for sample in group.samples] for group in groups]}


class Trajectory:
    """A hook that measures every so many steps, with the same random numbers each time.

    Args:
        prompts: held-out, rendered.
        scorers: by name.
        every: optimizer steps between measurements; the last step is always measured.
        tokens: most of a completion.
        seed: of what is sampled.
        at_end: completions of each prompt at the last step; one before.
        kl_before_end: measure the KL at every point, not only the last.
    """

    name = "trajectory"

    def __init__(
        self,
        prompts: Sequence[Group],
        scorers: Mapping[str, Judges],
        *,
        every: int,
        tokens: int,
        seed: int,
        at_end: int,
        kl_before_end: bool = True,
    ) -> None:
        self.prompts, self.scorers, self.every = prompts, scorers, every
        self.sampling = Sampling(temperature=1.0, max_completion_length=tokens, seed=seed)
        self.at_end, self.kl_before_end = at_end, kl_before_end
        self.points: list[dict[str, Any]] = []
        self.end: dict[str, float] = {}
        self.seconds = 0.0
        self._engine: LocalEngine | None = None

    def before(self, policy: Policy) -> None:
        """Measure the policy that is to be trained: its KL is 0."""
        began = time.monotonic()
        groups = sample_prompts(_engine(policy), self.prompts, 1, self.sampling)
        self.points.append({"step": 0, "kl": 0.0, **said(groups), "scores": scored(self.scorers, groups)})
        self.seconds += time.monotonic() - began

    def after_step(self, policy: Policy, step: int, last: bool, metrics: Mapping[str, float]) -> HookResult:
        """See :class:`charter.training.hooks.Hook`."""
        if step % self.every and not last:
            return NOTHING
        began = time.monotonic()
        was_training = policy.model.training
        policy.model.eval()
        try:
            self._measure(policy, step, last)
        finally:
            policy.model.train(was_training)
            self.seconds += time.monotonic() - began
        return NOTHING

    def state(self) -> Any:
        """Past measurements."""
        return {"points": self.points, "seconds": self.seconds}

    def restore(self, state: Any) -> None:
        """Take back past measurements."""
        self.points, self.seconds = list(state["points"]), state["seconds"]

    def _measure(self, policy: Policy, step: int, last: bool) -> None:
        if self._engine is None:
            self._engine = _engine(policy)
        self._engine.load_weights(policy, step)
        groups = sample_prompts(self._engine, self.prompts, self.at_end if last else 1, self.sampling)
        point: dict[str, Any] = {
            "step": step,
            "kl": None,
            **said(groups),
            "scores": scored(self.scorers, groups),
        }
        base = Reference(None)  # the policy without its adapter
        if last or self.kl_before_end:
            each = iter(kl_of_each(policy, base, groups))
            kls = [[round(next(each), 4) for _ in group.samples] for group in groups]
            point |= {"kl": statistics.fmean(value for values in kls for value in values), "kls": kls}
        self.points.append(point)
        if last:
            self.end = {
                "words": words(groups),
                "finished": finished(groups),
                "distinct": distinct(groups),
                "nll_base": nll_under(policy, base, groups),
            }


def _engine(policy: Policy) -> LocalEngine:
    return LocalEngine(policy.model, policy.tokenizer, compute_dtype=policy.compute_dtype)
