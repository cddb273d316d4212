"""Runs probes one after the other; what is finished is kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from charter import interrupt
from charter.data.render import Template
from charter.engines.base import Engine
from charter.evaluation.probes.registry import Probe, chosen
from charter.evaluation.probes.rows import ProbeResult
from charter.evaluation.probes.settings import Bench, ProbeSettings
from charter.feedback.rewards import Rewards
from charter.progress import say
from charter.rundir import now, read_json, sha256_json, write_json
from charter.types import Group

FORMAT = "charter.probes/1"
JSON = "probes.json"
"""Name of the report's file in a folder."""


@dataclass(frozen=True)
class ProbeReport:
    """What the probes found.

    Attributes:
        model: its name.
        rewards: names of those that were probed.
        heldout: names of those held out.
        settings: how they were run.
        results: in the order in which they were run.
    """

    model: str
    rewards: tuple[str, ...]
    heldout: tuple[str, ...]
    settings: ProbeSettings
    results: tuple[ProbeResult, ...]

    def result(self, probe: str) -> ProbeResult:
        """Of one probe.

        Raises:
            KeyError: it was not run.
        """
        return {one.probe: one for one in self.results}[probe]

    def to_json(self, *, transcripts: bool = True) -> dict[str, Any]:
        """Plain data, as ``probes.json`` holds it.

        Args:
            transcripts: off = the numbers alone.
        """
        results = [one.to_json() for one in self.results]
        if not transcripts:
            results = [{k: v for k, v in one.items() if k != "transcripts"} for one in results]
        return {
            "format": FORMAT,
            "created": now(),
            "model": self.model,
            "rewards": list(self.rewards),
            "heldout": list(self.heldout),
            "settings": asdict(self.settings),
            "probes": results,
        }


def run_probes(
    engine: Engine,
    template: Template | None = None,
    *,
    probes: Sequence[str] | None = None,
    reward: Rewards | None = None,
    heldout: Rewards | None = None,
    prompts: Sequence[Group] = (),
    settings: ProbeSettings | None = None,
    model: str = "model",
    identity: Mapping[str, Any] | None = None,
    out: Path | None = None,
) -> ProbeReport:
    """Run probes on a model, and on rewards.

    Args:
        engine: the model.
        template: of it; None = an engine that reads words (an endpoint). The tampering probe needs one.
        probes: names of :data:`charter.evaluation.probes.registry.PROBES`; None = all that can be run.
        reward: rewards that are probed.
        heldout: rewards that say what the others are worth, for the best-of-n pre-flight.
        prompts: for what rewards choose among; empty = plain prompts of ours.
        settings: see :class:`ProbeSettings`.
        model: its name, for the report.
        identity: whatever else decides the answers (a hash of the weights, the reward's specs): a probe
            that ``out`` holds is not run again where this is the same.
        out: folder; each probe is written when it is finished, and the report at the end.

    Raises:
        ConfigError: an unknown probe, or one that needs a reward.
        Interrupted: the person asked to stop; with ``out``, finished probes are not run again.
    """
    wanted = chosen(probes, with_rewards=reward is not None)
    how = settings or ProbeSettings()
    bench = Bench(engine, template, how, reward, heldout, prompts)
    decided = {
        "model": model,
        "settings": asdict(how),
        "rewards": list(reward.names) if reward else [],
        "heldout": list(heldout.names) if heldout else [],
        "prompts": [repr(group.samples[0].context.content) for group in prompts],
        "identity": dict(identity or {}),
    }
    results = []
    with interrupt.graceful() as stop:
        for probe in wanted:
            stop.check("the probes were stopped", fix=_again(out))
            results.append(_one(probe, bench, sha256_json({**decided, "probe": probe.name}), out))
    report = ProbeReport(
        model, reward.names if reward else (), heldout.names if heldout else (), how, tuple(results)
    )
    if out is not None:
        write_json(out / JSON, report.to_json())
    return report


def _again(out: Path | None) -> str:
    kept = "give an output folder to keep what is finished"
    return kept if out is None else f"run it again: finished probes are kept in {out}"


def _one(probe: Probe, bench: Bench, sha: str, out: Path | None) -> ProbeResult:
    path = None if out is None else out / f"{probe.name}.json"
    kept = None if path is None else read_json(path)
    if kept is not None and kept.get("sha") == sha:
        say(f"{probe.name}: kept from an earlier run")
        return ProbeResult.from_json(kept["result"])
    before = bench.asker.missing.copy()
    found = probe.run(bench)
    lost = bench.asker.missing - before
    result = ProbeResult(found.probe, found.rows, found.transcripts, dict(lost) | dict(found.missing))
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, {"format": FORMAT, "sha": sha, "result": result.to_json()})
    return result
