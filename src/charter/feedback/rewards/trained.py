"""Rewards from models that were trained to judge: by critiques, steps, verdicts or comparisons."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from charter.feedback.rewards.base import Reward
from charter.feedback.rewards.models import ModelReward
from charter.feedback.rewards.outcome import Missing, error, judgement, not_applicable
from charter.feedback.trained.checkpoints import Named
from charter.progress import say
from charter.types import Group, Judgement, Sample, SampleTarget

if TYPE_CHECKING:
    from charter.feedback.trained.opening import TrainedJudge
    from charter.feedback.trained.process import ProcessJudge
    from charter.models.policy import Policy


@dataclass
class TrainedReward(Reward):
    """What a trained judge says of each answer, in its own tokens; it is loaded when it is first asked.

    Attributes:
        name: see :class:`Reward`.
        asked: the judge, with its options.
        load: loads it; None = :func:`charter.models.load.load`.
    """

    name: str
    asked: Named
    load: Callable[[str], Policy] | None = None
    _judge: TrainedJudge | None = field(default=None, repr=False)

    def judge(self, groups: Sequence[Group]) -> list[list[Judgement]]:
        """See :class:`Reward`; an empty answer is an error, and one alone cannot be compared."""
        kept = [[i for i, sample in enumerate(g.samples) if sample.completion.text.strip()] for g in groups]
        asked = [
            replace(group, samples=tuple(_bare(group.samples[i]) for i in at), judgements=())
            for group, at in zip(groups, kept, strict=True)
            if at
        ]
        answered = iter(self._loaded().judge(asked) if asked else [])
        found = []
        for group, at in zip(groups, kept, strict=True):
            said = _of_samples(next(answered)) if at else {}
            mine = {place: said.get(index) for index, place in enumerate(at)}
            found.append([self._reward(index, index in mine, mine.get(index)) for index in _places(group)])
        return found

    def _reward(self, index: int, read: bool, said: Judgement | None) -> Judgement:
        judge = "judge" if said is None else said.judge
        if not read:
            return judgement(self.name, judge, index, error("empty completion"))
        if said is None:
            return judgement(self.name, judge, index, not_applicable("no other answer to compare with"))
        if said.value is None:
            return judgement(self.name, judge, index, Missing(said.verdict, said.reason or said.verdict))
        if not math.isfinite(said.value):
            return judgement(self.name, judge, index, error("not finite", str(said.value)))
        return judgement(self.name, judge, index, said.value, said.reason)

    def _loaded(self) -> TrainedJudge:
        if self._judge is None:
            from charter.feedback.trained.opening import opened

            self._judge = opened(self.asked, self.load)
        return self._judge


def _places(group: Group) -> range:
    return range(len(group.samples))


def _of_samples(said: Sequence[Judgement]) -> dict[int, Judgement]:
    """What was said of whole answers, by their number."""
    return {one.target.sample: one for one in said if isinstance(one.target, SampleTarget)}


def _bare(sample: Sample) -> Sample:
    """Without the tokens of the model that wrote it."""
    context, completion = sample.context, sample.completion
    return replace(
        sample,
        context=replace(context, token_ids=()),
        completion=replace(completion, token_ids=(), trained=(), logps=()),
    )


def said_by(
    asked: Named, groups: Sequence[Group], load: Callable[[str], Policy] | None = None
) -> list[list[Judgement]]:
    """Everything a trained judge says of groups, whoever sampled them: of answers, of steps, of pairs.

    Args:
        asked: the judge, with its options.
        groups: with or without token ids.
        load: loads it; None = :func:`charter.models.load.load`.
    """
    from charter.feedback.trained.opening import opened
    from charter.feedback.trained.process import ProcessJudge
    from charter.feedback.trained.reward import RewardFeedback

    judge = opened(asked, load)
    if isinstance(judge, RewardFeedback):
        return ModelReward("", asked, load, judge).judge(groups)
    if isinstance(judge, ProcessJudge):
        return _with_steps(judge, groups)
    return judge.judge([_without_ids(group) for group in groups])


def _with_steps(judge: ProcessJudge, groups: Sequence[Group]) -> list[list[Judgement]]:
    """Steps have a place in an answer's own tokens; in those of another model they have none."""
    decode = judge.policy.tokenizer.decode
    foreign = [any(not _reads(decode, sample) for sample in group.samples) for group in groups]
    asked = [
        _without_ids(group) if other else replace(group, judgements=())
        for group, other in zip(groups, foreign, strict=True)
    ]
    if any(foreign):
        say(
            f"{sum(foreign)} of {len(groups)} prompts have answers in another model's tokens: "
            "those are judged whole, without a judgement of each step"
        )
    return [
        [one for one in said if not other or isinstance(one.target, SampleTarget)]
        for said, other in zip(judge.judge(asked), foreign, strict=True)
    ]


def _reads(decode: Callable[..., str], sample: Sample) -> bool:
    """Whether the answer has no tokens, or tokens that mean its text here."""
    ids = sample.completion.token_ids
    return not ids or decode(list(ids), skip_special_tokens=True) == sample.completion.text


def _without_ids(group: Group) -> Group:
    return replace(group, samples=tuple(map(_bare, group.samples)), judgements=())
