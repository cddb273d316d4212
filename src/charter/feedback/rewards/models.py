"""Rewards from constitutions and from trained reward models."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from charter.constitution import Constitution
from charter.errors import ConfigError
from charter.feedback.rewards.base import Reward
from charter.feedback.rewards.combine import by_level, share_passed
from charter.feedback.rewards.outcome import Said, error, judgement
from charter.feedback.rules.constitution import ConstitutionFeedback
from charter.feedback.trained.checkpoints import Named
from charter.types import Completion, Group, Judgement, Sample, SampleTarget

if TYPE_CHECKING:
    from charter.data.render import Template
    from charter.feedback.trained.reward import RewardFeedback
    from charter.models.policy import Policy


@dataclass(frozen=True)
class ConstitutionReward(Reward):
    """How far an answer keeps to a constitution, by the principles that rules check.

    Every principle's own judgement is kept beside the reward's.

    Attributes:
        name: see :class:`Reward`.
        feedback: judges.
        slack: None = the share of applicable principles passed, by weight; else the levels are
            combined lexicographically, see :func:`charter.feedback.rewards.combine.lexicographic`.
    """

    name: str
    feedback: ConstitutionFeedback
    slack: float | None = None

    def judge(self, groups: Sequence[Group]) -> list[list[Judgement]]:
        """See :class:`Reward`."""
        said = self.feedback.judge(groups)
        return [[*self._rewards(group, ones), *ones] for group, ones in zip(groups, said, strict=True)]

    def _rewards(self, group: Group, said: Sequence[Judgement]) -> list[Judgement]:
        found = []
        for index in range(len(group.samples)):
            mine = [one for one in said if one.target == SampleTarget(index)]
            failed = ", ".join(one.principle for one in mine if one.value == 0.0)
            reason = f"fails {failed}" if failed else ""
            found.append(judgement(self.name, "constitution", index, self._combined(mine), reason))
        return found

    def _combined(self, mine: Sequence[Judgement]) -> Said:
        if self.slack is None:
            return share_passed(mine)
        constitution: Constitution = self.feedback.constitution
        levels = {principle.id: constitution.rank(principle) for principle in constitution.active}
        return by_level(mine, levels, self.slack)


@dataclass
class ModelReward(Reward):
    """The normalised reward of trained reward models, which are loaded when they are first asked.

    Attributes:
        name: see :class:`Reward`.
        asked: one model, or several as one, with their options.
        load: loads them; None = :func:`charter.models.load.load`.
    """

    name: str
    asked: Named
    load: Callable[[str], Policy] | None = None
    _feedback: RewardFeedback | None = field(default=None, repr=False)

    def judge(self, groups: Sequence[Group]) -> list[list[Judgement]]:
        """See :class:`Reward`; an answer without any token cannot be rewarded, and is an error."""
        feedback = self._loaded()
        template = feedback.policies[0].template
        readable = [
            {i: own for i, one in enumerate(group.samples) if (own := _rendered(one, template))}
            for group in groups
        ]
        asked = [
            replace(group, samples=tuple(made.values()), judgements=())
            for group, made in zip(groups, readable, strict=True)
            if made
        ]
        answered = iter(feedback.judge(asked))
        found = []
        for group, made in zip(groups, readable, strict=True):
            said = dict(zip(made, next(answered), strict=True)) if made else {}
            found.append([self._judgement(index, said.get(index)) for index in range(len(group.samples))])
        return found

    def _judgement(self, index: int, said: Judgement | None) -> Judgement:
        if said is None:
            return judgement(self.name, "reward", index, error("empty completion"))
        value = said.value
        assert value is not None
        if not math.isfinite(value):
            return judgement(self.name, said.judge, index, error("not finite", str(value)))
        return judgement(self.name, said.judge, index, value, said.reason)

    def _loaded(self) -> RewardFeedback:
        if self._feedback is None:
            from charter.feedback.trained.opening import opened
            from charter.feedback.trained.reward import RewardFeedback

            found = opened(self.asked, self.load)
            if not isinstance(found, RewardFeedback):  # it was fetched only now, and says what it is
                raise ConfigError(
                    "this model is a judge, and was not on this machine when its name was read",
                    where=self.asked.where,
                    fix="start again: it is here now",
                )
            self._feedback = found
        return self._feedback


def _rendered(sample: Sample, template: Template) -> Sample | None:
    """The sample in the reward model's own tokens; None where there is nothing to read.

    Ids stay where the reward model would write the prompt with the same ones. Otherwise the text is
    written again; an answer that was cut off must not look finished, so its end-of-turn is taken off.
    """
    context, completion = sample.context, sample.completion
    if completion.token_ids and template.render_context(context.content) == context.token_ids:
        return sample
    if not completion.text.strip():
        return None
    bare = replace(
        sample,
        context=replace(context, token_ids=()),
        completion=replace(completion, token_ids=(), trained=(), logps=()),
    )
    (written,) = template.render(Group((bare,))).samples
    if completion.finish_reason != "length":
        return written
    return replace(written, completion=_without_end(written.completion, template))


def _without_end(completion: Completion, template: Template) -> Completion:
    from charter.data.render import end_of_turn_ids

    ends = set(end_of_turn_ids(template.tokenizer))
    last = next((i for i in reversed(range(len(completion.token_ids))) if completion.token_ids[i] in ends), 0)
    if not last:
        return completion
    return replace(completion, token_ids=completion.token_ids[:last], trained=completion.trained[:last])
