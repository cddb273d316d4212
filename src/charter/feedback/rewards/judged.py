"""Rewards from language models that judge by a constitution: ``judge:MODEL:CONSTITUTION[:key=value,...]``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, model_validator

from charter.config import Config, validate
from charter.constitution import Constitution
from charter.errors import ConfigError
from charter.feedback.judging.feedback import ModelJudge
from charter.feedback.judging.forms import FormName
from charter.feedback.judging.open_judge import open_judge
from charter.feedback.judging.pairwise import TIE
from charter.feedback.rewards.base import Reward
from charter.feedback.rewards.combine import by_level, share_passed
from charter.feedback.rewards.outcome import Missing, Said, judgement
from charter.feedback.rewards.parsed import JUDGE, Parsed
from charter.types import Group, Judgement, PairTarget, SampleTarget

if TYPE_CHECKING:
    from charter.models.policy import Policy


class JudgeOptions(Config):
    """How a model judges, and how verdicts become one reward."""

    form: FormName | None = None
    """In place of the executor in the constitution's front matter."""
    method: Literal["auto", "options", "words"] = "auto"
    """Log-probs of the verdicts, or replies."""
    seeds: int | None = Field(None, ge=1)
    """Replies to each question; unset = as the constitution says."""
    order: Literal["both", "given"] | None = None
    """Form ``pairwise``: orders that are asked; unset = as the constitution says."""
    rules_first: bool = True
    """Principles that have rules are judged by them."""
    graded: bool = False
    """Form ``rubric``: the rating counts, not pass and fail."""
    combine: Literal["weighted", "lexicographic"] = "weighted"
    """The share of applicable principles passed by weight, or level by level."""
    slack: float | None = Field(None, gt=0, le=1)
    """Lexicographic: shares of a level this close are nearly equal (0.1)."""

    @model_validator(mode="after")
    def _has_effect(self) -> JudgeOptions:
        if self.slack is not None and self.combine != "lexicographic":
            raise ValueError("slack has no effect without combine=lexicographic")
        if self.graded and self.form not in (None, "rubric"):
            raise ValueError(f"graded has no effect with the form {self.form}: it gives no ratings")
        if self.order is not None and self.form not in (None, "pairwise"):
            raise ValueError(f"order has no effect with the form {self.form}: it compares nothing")
        return self


@dataclass(frozen=True)
class JudgeReward(Reward):
    """How far an answer keeps to a constitution, as a model judges it.

    Every principle's own judgement is kept beside the reward's. With a pairwise judge an answer's
    standing on a principle is the share of comparisons it wins, ties counted half.

    Attributes:
        name: see :class:`charter.feedback.rewards.base.Reward`.
        feedback: judges.
        slack: None = the share of applicable principles passed, by weight; else the levels are combined
            lexicographically, see :func:`charter.feedback.rewards.combine.lexicographic`.
    """

    name: str
    feedback: ModelJudge
    slack: float | None = None

    def judge(self, groups: Sequence[Group]) -> list[list[Judgement]]:
        """See :class:`charter.feedback.rewards.base.Reward`."""
        said = self.feedback.judge(groups)
        return [[*self._rewards(group, ones), *ones] for group, ones in zip(groups, said, strict=True)]

    def _rewards(self, group: Group, said: Sequence[Judgement]) -> list[Judgement]:
        found = []
        for index in range(len(group.samples)):
            mine = [one for one in said if one.target == SampleTarget(index)] + standings(said, index)
            failed = ", ".join(one.principle for one in mine if one.value == 0.0)
            reason = f"fails {failed}" if failed else ""
            found.append(judgement(self.name, self.feedback.name, index, self._combined(mine), reason))
        return found

    def _combined(self, mine: Sequence[Judgement]) -> Said:
        if not mine or all(one.verdict == "not_measured" for one in mine):
            return Missing("error", "not measured", mine[0].reason if mine else "no principle was judged")
        if self.slack is None:
            return share_passed(mine)
        constitution = self.feedback.constitution
        levels = {principle.id: constitution.rank(principle) for principle in constitution.active}
        return by_level(mine, levels, self.slack)


def standings(said: Sequence[Judgement], sample: int) -> list[Judgement]:
    """For each principle that pairs were compared under, how often ``sample`` won; ties count half.

    Comparisons that were not decided are left out; where none was, the first says why.
    """
    of: dict[str, list[Judgement]] = {}
    for one in said:
        if isinstance(one.target, PairTarget) and sample in (one.target.better, one.target.worse):
            of.setdefault(one.principle, []).append(one)
    return [_standing(ones, sample) for ones in of.values()]


def _standing(ones: Sequence[Judgement], sample: int) -> Judgement:
    won = [score for one in ones if (score := _score(one, sample)) is not None]
    first = ones[0]
    return Judgement(
        SampleTarget(sample),
        value=fmean(won) if won else None,
        verdict="judged" if won else first.verdict,
        principle=first.principle,
        principle_sha=first.principle_sha,
        judge=first.judge,
        reason="" if won else first.reason,
        weight=first.weight,
    )


def _score(one: Judgement, sample: int) -> float | None:
    assert isinstance(one.target, PairTarget)
    if one.value is not None:
        return float(one.target.better == sample)
    return 0.5 if one.verdict == "abstained" and one.reason.startswith(f"{TIE}:") else None


def judge_of(parsed: Parsed, base: Path, load_model: Callable[[str], Policy] | None = None) -> ModelJudge:
    """The judge that ``judge:MODEL:CONSTITUTION`` names; nothing is loaded.

    Raises:
        ConfigError: another shape, an unknown option, a judge that cannot be asked so.
        ConstitutionError: the constitution is wrong.
        UserError: no such model.
    """
    model, colon, file = parsed.target.removeprefix(JUDGE).rpartition(":")
    if not colon or not model or not file:
        raise ConfigError(
            "a judge needs a model and a constitution",
            where=parsed.spec,
            fix="write judge:MODEL:CONSTITUTION",
        )
    options = options_of(parsed)
    constitution = Constitution.load(base / Path(file).expanduser())
    changed = {"seeds": options.seeds, "order": options.order}
    settings: dict[str, Any] = {"rules_first": options.rules_first, "graded": options.graded}
    return open_judge(
        model,
        constitution,
        form=options.form,
        method=options.method,
        overrides={name: value for name, value in changed.items() if value is not None},
        base=base,
        load_model=load_model,
        **settings,
    )


def options_of(parsed: Parsed) -> JudgeOptions:
    """The options of a judge's spec.

    Raises:
        ConfigError: an unknown one, or a value it cannot have.
    """
    return validate(JudgeOptions, dict(parsed.options), where=parsed.spec)


def judge_reward(parsed: Parsed, name: str, feedback: ModelJudge) -> JudgeReward:
    """The reward of that name."""
    options = options_of(parsed)
    slack = None if options.combine == "weighted" else options.slack or 0.1
    return JudgeReward(name, feedback, slack)
