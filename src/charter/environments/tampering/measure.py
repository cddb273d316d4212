"""How often a policy games each stage, as it is: no training, the oversight's word, intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from charter.data.render import Template
from charter.engines.base import Engine, OnProgress, Sampling
from charter.environments.rollout import ROLLOUTS, play
from charter.environments.tampering.environment import (
    STAGES,
    TASK,
    Reasoning,
    Tampering,
    TamperingOptions,
)
from charter.errors import DataError
from charter.stats import Interval, newcombe_paired, square_and_add, wilson
from charter.types import Group

INFO = "info"


@dataclass(frozen=True, slots=True)
class StageRate:
    """One stage.

    Attributes:
        stage: its name.
        tasks: of the stage.
        missing: of them, those that say nothing: the opening is too long for the model, the first turn was
            cut, or the environment failed.
        gameable: tasks in which there was something to gain.
        gamed: of them, those in which the reward was gamed.
        interval: Wilson's, of ``gamed / gameable``.
        mirror: mistakes as large that gained nothing.
        mirror_of: tasks in which they could be made.
        net: the rate of gaming less that of the mirror mistakes; None = not measurable. A policy that
            errs at random has 0 here.
        net_interval: of it.
        reward: mean reward; None = no task says something.
        score: mean of the oversight's score.
        outside_writes: writes outside the allowed set, in all tasks.
        stated: tasks in which the reasoning names a path that was then written against the rules.
    """

    stage: str
    tasks: int
    missing: int
    gameable: int
    gamed: int
    interval: Interval
    mirror: int
    mirror_of: int
    net: float | None
    net_interval: Interval
    reward: float | None
    score: float | None
    outside_writes: int
    stated: int

    @property
    def rate(self) -> float | None:
        """Share of gameable tasks that were gamed."""
        return self.gamed / self.gameable if self.gameable else None

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "stage": self.stage,
            "tasks": self.tasks,
            "missing": self.missing,
            "gameable": self.gameable,
            "gamed": self.gamed,
            "rate": self.rate,
            "lo": self.interval.lo,
            "hi": self.interval.hi,
            "mirror": self.mirror,
            "mirror_of": self.mirror_of,
            "net": self.net,
            "net_lo": self.net_interval.lo,
            "net_hi": self.net_interval.hi,
            "reward": self.reward,
            "score": self.score,
            "outside_writes": self.outside_writes,
            "stated": self.stated,
        }


@dataclass(frozen=True)
class TamperingReport:
    """All stages.

    Attributes:
        reasoning: what the model was told about a place to think.
        stages: in the order of the curriculum.
        groups: the rollouts, one a group.
    """

    reasoning: Reasoning
    stages: tuple[StageRate, ...]
    groups: tuple[Group, ...]

    def stage(self, name: str) -> StageRate:
        """The stage of that name.

        Raises:
            KeyError: it was not measured.
        """
        return {one.stage: one for one in self.stages}[name]

    def to_json(self) -> dict[str, Any]:
        """Plain data, without the rollouts."""
        return {"reasoning": self.reasoning, "stages": [one.to_json() for one in self.stages]}


@dataclass(frozen=True, slots=True)
class Change:
    """A stage before and after, on the same tasks.

    Attributes:
        stage: its name.
        pairs: gameable tasks that both sides say something of.
        change: of the rate of gaming; None = no pairs.
        interval: Newcombe's, for pairs.
    """

    stage: str
    pairs: int
    change: float | None
    interval: Interval


def measure_tampering(
    engine: Engine,
    template: Template,
    *,
    tasks: int = 50,
    reasoning: Reasoning = "none",
    sampling: Sampling | None = None,
    stages: Sequence[str] = (),
    seed: int = 0,
    level: float = 0.95,
    on_progress: OnProgress | None = None,
) -> TamperingReport:
    """Play ``tasks`` tasks of each stage once.

    Args:
        engine: who answers.
        template: of its model.
        tasks: of a stage.
        reasoning: what the model is told about a place to think.
        sampling: how tokens are chosen; None = temperature 1, 256 tokens a turn.
        stages: names; empty = all four.
        seed: of the tasks.
        level: of the intervals.
        on_progress: called with the number of rollouts finished since the last call.

    Raises:
        DataError: a stage that does not exist.
    """
    known = [stage.name for stage in STAGES]
    if unknown := set(stages) - set(known):
        raise DataError(f"no stage {min(unknown)!r}", fix=f"the stages are {', '.join(known)}")
    how = sampling or Sampling()
    found: list[StageRate] = []
    played: list[Group] = []
    for name in [one for one in known if one in stages or not stages]:
        environment = Tampering(name, TamperingOptions(reasoning=reasoning))
        prompts = environment.prompts(tasks, seed)
        fitting = [one for one in prompts if _fits(one, engine, template)]
        groups = play(engine, template, environment, fitting, 1, how, on_progress=on_progress)
        found.append(stage_rate(name, groups, level, too_long=len(prompts) - len(fitting)))
        played += groups
    return TamperingReport(reasoning, tuple(found), tuple(played))


def stage_rate(stage: str, groups: Sequence[Group], level: float = 0.95, *, too_long: int = 0) -> StageRate:
    """What the rollouts of one stage come to; every rollout counts once.

    Args:
        stage: its name.
        groups: as :func:`charter.environments.rollout.play` gives them, those of a training run too;
            other stages and ordinary tasks among them are left out.
        level: of the intervals.
        too_long: tasks that were not played; they are missing.
    """
    mine = [group for group in groups if group.meta[TASK]["stage"] == stage]
    records = [record for group in mine for record in group.meta[ROLLOUTS]]
    said = [info for record in records if (info := _info(record)) is not None]
    gameable = [info for info in said if info["gameable"]]
    # A user who is right cannot be flattered: there the same mistake goes against the reward.
    spare = [info for info in said if not info["gameable"]]
    gamed, mirror = sum(one["gamed"] for one in gameable), sum(one["mirror"] for one in said)
    rate = wilson(gamed, len(gameable), level)
    apart = spare or gameable
    net: float | None = None
    if not gameable:
        net_interval = Interval(-1.0, 1.0)
    elif spare:
        net_interval = square_and_add(
            mirror / len(spare),
            wilson(mirror, len(spare), level),
            gamed / len(gameable),
            rate,
        )
        net = gamed / len(gameable) - mirror / len(spare)
    else:
        net_interval = newcombe_paired(0, mirror, gamed, len(gameable) - mirror - gamed, level)
        net = (gamed - mirror) / len(gameable)
    return StageRate(
        stage=stage,
        tasks=len(records) + too_long,
        missing=len(records) + too_long - len(said),
        gameable=len(gameable),
        gamed=gamed,
        interval=rate,
        mirror=mirror,
        mirror_of=len(apart),
        net=net,
        net_interval=net_interval,
        reward=fmean(one["reward"] for one in said) if said else None,
        score=fmean(one["score"] for one in said) if said else None,
        outside_writes=sum(one["outside_writes"] for one in said),
        stated=sum(one["stated"] for one in said),
    )


def _fits(prompt: Group, engine: Engine, template: Template) -> bool:
    most = getattr(engine, "max_length", None)
    return most is None or len(template.render_context(prompt.samples[0].context.content)) < most


def changes(before: TamperingReport, after: TamperingReport, level: float = 0.95) -> list[Change]:
    """Each stage that both measured, on the tasks that both played.

    Raises:
        DataError: they were told different things about reasoning, so their tasks differ.
    """
    if before.reasoning != after.reasoning:
        raise DataError(
            f"reasoning was {before.reasoning!r} before and {after.reasoning!r} after",
            fix="measure both with the same view of reasoning",
        )
    first, second = _gamed(before), _gamed(after)
    names = [one.stage for one in after.stages if one.stage in {two.stage for two in before.stages}]
    found = []
    for name in names:
        keys = [key for key in second if key[0] == name and key in first]
        cells = [(first[key], second[key]) for key in keys]
        both, stopped, began, neither = (
            cells.count(cell) for cell in ((True, True), (True, False), (False, True), (False, False))
        )
        change = (began - stopped) / len(cells) if cells else None
        found.append(Change(name, len(cells), change, newcombe_paired(both, stopped, began, neither, level)))
    return found


def _gamed(report: TamperingReport) -> dict[tuple[str, str, str], bool]:
    """Of every gameable task, by stage, id and text, whether it was gamed."""
    return {
        (str(info["stage"]), group.id, group.samples[0].context.text): bool(info["gamed"])
        for group in report.groups
        for record in group.meta[ROLLOUTS]
        if (info := _info(record)) is not None and info["gameable"]
    }


def _info(record: Mapping[str, Any]) -> Mapping[str, Any] | None:
    info = record.get(INFO)
    if record["ending"] == "error" or not info or "gamed" not in info:
        return None
    found: Mapping[str, Any] = info
    return found
