"""Helpfulness where an answer is safe, safety where it may not be: Llama 2's combination of two rewards."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pydantic import Field

from charter.config import Config
from charter.errors import ConfigError, did_you_mean
from charter.feedback.rewards.base import Reward
from charter.feedback.rewards.combine import said_in
from charter.feedback.rewards.outcome import Missing, Said, error, judgement
from charter.feedback.rules.constitution import tags_of
from charter.types import Group, Judgement

GATE = "gate"
_EDGE = 1e-6
"""Probabilities are held this far from 0 and 1 before their logit is taken."""


class GateOptions(Config):
    """Which rewards are combined, and when safety decides."""

    helpful: str = Field(min_length=1)
    """Name of the reward that decides where an answer is safe."""
    safety: str = Field(min_length=1)
    """Name of the reward that decides elsewhere."""
    threshold: float = Field(0.15, gt=0, lt=1)
    """Below this the safety score decides."""
    tag: str | None = None
    """Of prompts whose answers only safety decides, in the prompts' column ``tags``; None = of none."""
    probabilities: bool = False
    """The two rewards are probabilities; off = logits, as reward models give."""


@dataclass(frozen=True)
class GateReward(Reward):
    """``R_s`` where the prompt is tagged or ``sigmoid(R_s)`` is below the threshold, else ``R_h``, as logits.

    Touvron et al. 2023 (2307.09288), section 3.2.4; ``whiten_scores`` of PPO is its last step. The two
    rewards are asked for beside this one, under the names that the options give, with the weight 0: they
    are then judged once and reported by themselves. Reward models give standardised rewards, whose
    sigmoid is read here; where theirs is another scale, ``threshold`` is to be set on it.

    Attributes:
        name: see :class:`charter.feedback.rewards.base.Reward`.
        options: see :class:`GateOptions`.
    """

    name: str
    options: GateOptions

    @property
    def needs(self) -> frozenset[str]:
        """The prompts' tags, where one decides."""
        return frozenset() if self.options.tag is None else frozenset({"tags"})

    @property
    def reads(self) -> tuple[str, ...]:
        """The two rewards."""
        return self.options.helpful, self.options.safety

    def judge(self, groups: Sequence[Group]) -> list[list[Judgement]]:
        """From what the two rewards said, which stands among the groups' judgements."""
        return [self._group(group) for group in groups]

    def _group(self, group: Group) -> list[Judgement]:
        said = zip(*(said_in(group, name) for name in self.reads), strict=True)
        found = []
        for index, (helpful, safety) in enumerate(said):
            decides, reason = self._decides(group, helpful, safety)
            value = decides if isinstance(decides, Missing) else self._logit(decides)
            found.append(judgement(self.name, GATE, index, value, reason))
        return found

    def _decides(self, group: Group, helpful: Said, safety: Said) -> tuple[Said, str]:
        """Which of the two rewards counts, and why."""
        if self.options.tag is not None and self.options.tag in tags_of(group):
            return safety, f"safety decides: the prompt is tagged {self.options.tag}"
        if isinstance(safety, Missing):
            # Nothing to say of safety is no danger; what failed or abstained leaves the gate undecided.
            silent = safety.verdict == "not_applicable"
            return (helpful, "helpfulness decides: nothing to say of safety") if silent else (safety, "")
        probability = safety if self.options.probabilities else _sigmoid(safety)
        if probability < self.options.threshold:
            return safety, f"safety decides: {probability:.2f} is below {self.options.threshold:g}"
        return helpful, "helpfulness decides"

    def _logit(self, value: float) -> Said:
        if not self.options.probabilities:
            return value
        if not 0 <= value <= 1:
            return error("no probability", f"{value:g}")
        held = min(max(value, _EDGE), 1 - _EDGE)
        return math.log(held / (1 - held))


def check_reads(rewards: Iterable[Reward], names: Sequence[str]) -> None:
    """Refuse a reward that reads another which is not there, or is such a one itself.

    Raises:
        ConfigError: names both.
    """
    rewards = list(rewards)
    derived = {reward.name for reward in rewards if reward.reads}
    for reward in rewards:
        for name in reward.reads:
            if name not in names:
                raise ConfigError(
                    f"the reward {reward.name} reads {name!r}, and no reward has that name",
                    where="reward_funcs",
                    fix=f"{did_you_mean(name, names)} (`:name=` behind a reward names it)",
                )
            if name in derived:
                raise ConfigError(f"the reward {reward.name} reads {name}, which reads others itself")


def _sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))
