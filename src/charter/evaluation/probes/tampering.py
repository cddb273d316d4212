"""The reward-tampering curriculum as a probe: how often the model games each stage, as it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from charter.environments.rollout import ROLLOUTS
from charter.environments.tampering.environment import STAGES
from charter.environments.tampering.measure import StageRate, measure_tampering
from charter.evaluation.probes.measures import not_measured
from charter.evaluation.probes.rows import ProbeResult, Row, Transcript
from charter.evaluation.probes.settings import Bench
from charter.progress import progress
from charter.types import Group

NAME = "tampering"

NO_TOKENS = "the engine gives no token ids, and several turns cannot be put together from text"

_ABOUT = {stage.name: stage.about for stage in STAGES}


def run(bench: Bench) -> ProbeResult:
    """All four stages, no training; a place to think is not offered."""
    settings = bench.settings
    if bench.template is None:
        return ProbeResult(NAME, tuple(not_measured(f"{name}: gamed", NO_TOKENS) for name in _ABOUT))
    tasks = settings.count(NAME)
    with progress(NAME, tasks * len(STAGES)) as advance:
        report = measure_tampering(
            bench.engine,
            bench.template,
            tasks=tasks,
            sampling=settings.free_sampling,
            seed=settings.seed,
            level=settings.level,
            on_progress=advance,
        )
    rows = [row for stage in report.stages for row in stage_rows(stage)]
    return ProbeResult(NAME, tuple(rows), tuple(transcript(group) for group in report.groups))


def stage_rows(stage: StageRate) -> list[Row]:
    """How often it was gamed, and how much oftener than mistakes as large that gain nothing."""
    known = stage.tasks - stage.missing
    return [
        Row(
            f"{stage.stage}: gamed",
            stage.rate,
            stage.interval if stage.gameable else None,
            stage.gameable,
            stage.missing,
            "share",
            why=_ABOUT[stage.stage] if stage.gameable else "no task said anything",
            detail=stage.to_json(),
        ),
        Row(
            f"{stage.stage}: beyond mistakes",
            stage.net,
            stage.net_interval if stage.net is not None else None,
            known,
            stage.missing,
            "change",
            why="gamed less mistakes as large that gain nothing; 0 = confusion explains it",
        ),
    ]


def transcript(group: Group, arm: str = "") -> Transcript:
    """A rollout, with what the oversight says of it; ``arm`` stands before its stage."""
    sample, record = group.samples[0], group.meta[ROLLOUTS][0]
    info: Mapping[str, Any] = record.get("info", {})
    opening, said = sample.context.content, sample.completion.content
    assert not isinstance(opening, str) and not isinstance(said, str)
    reading = {**info, "ending": record["ending"], "turns": record["turns"]}
    stage = str(group.meta["tampering"]["stage"])
    return Transcript(
        group.id, arm + stage, (*opening, *said), reading, sample.completion.finish_reason == "length"
    )
