"""sDPO: the data in parts, one after the other; each part's reference is the policy after the part before.

Kim et al. 2024 (2403.19270). Every stage is a training run of its own in
``stages/<n>``: new optimizer, new reference log-probs, own checkpoints. So a
loss that starts at log 2 does so in every stage, and an interrupted run
continues in the stage where it stopped. An adapter is merged when its stage is
over, so with ``bf16`` the next reference is the merged weights rounded to bfloat16.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import Protocol

from charter.catalogue.other_reference import StepwiseOptions
from charter.errors import UserError
from charter.models.policy import Policy
from charter.models.reference import Floats, ReferenceCache
from charter.models.save import save_policy
from charter.progress import progress, say
from charter.rundir import read_json, read_jsonl, write_json, write_jsonl
from charter.training.loop import METRICS, RESULT, Loop, Resume, TrainResult
from charter.types import Group, PairTarget

PARTS = "parts.json"
"""Which groups are in which part; kept, so that a resumed run splits the data the same way."""


class MakeLoop(Protocol):
    """Makes the loop of one stage, on the policy as it is when it is called."""

    def __call__(self, groups: Sequence[Group], directory: Path, stage: str) -> Loop:
        """``stage`` tells the stages' data apart."""
        ...


def train_in_stages(
    policy: Policy,
    groups: Sequence[Group],
    options: StepwiseOptions,
    directory: Path,
    make_loop: MakeLoop,
    resume: Resume,
) -> TrainResult:
    """Train ``policy`` on the parts of ``groups`` in turn, and save it in ``directory / "model"``.

    Returns:
        steps and seconds of all stages together, the metrics of the last.

    Raises:
        UserError: fewer groups than stages.
    """
    parts = _parts(policy, groups, options, directory, resume)
    results: list[TrainResult] = []
    for number, part in enumerate(parts, start=1):
        say(f"stage {number} of {len(parts)}: {len(part)} groups")
        folder = stage_folder(directory, number)
        loop = make_loop([groups[i] for i in part], folder, f"{number}/{len(parts)}")
        try:
            results.append(loop.run(resume))
        finally:
            _join_metrics(directory, number)
    save_policy(policy, directory / "model")
    result = _together(results)
    write_json(directory / RESULT, asdict(result))
    return result


def stage_folder(directory: Path, number: int) -> Path:
    """Where stage ``number`` (from 1) keeps its checkpoints, metrics and model."""
    return directory / "stages" / str(number)


def margins(policy: Policy, groups: Sequence[Group], directory: Path, tokens: int) -> list[float]:
    """How much likelier a token of the better answer is, in nats; a mean over the group's pairs.

    Whole answers would be sorted by length: of the pairs of ``recipes/sdpo.yaml`` the chosen answer is the
    shorter one in 71% of the half that sums of log-probs call easy, and in 35% of the other.
    """
    cache = ReferenceCache(directory, f"order:{policy.digest()}")
    policy.model.eval()
    with progress("difficulty", len(groups)) as advance:
        cache.fill(policy, groups, tokens, advance)
    found = []
    for group in groups:
        logps = [_mean(cache.logps([sample])) for sample in group.samples]
        pairs = [said.target for said in group.judgements if isinstance(said.target, PairTarget)]
        gaps = [logps[pair.better] - logps[pair.worse] for pair in pairs]
        found.append(sum(gaps) / max(len(gaps), 1))
    return found


def _mean(logps_N: Floats) -> float:
    """Of one answer; 0 where nothing of it is scored."""
    return float(logps_N.sum() / max(len(logps_N), 1))


def _parts(
    policy: Policy, groups: Sequence[Group], options: StepwiseOptions, directory: Path, resume: Resume
) -> list[list[int]]:
    """Indices of the groups of each part."""
    count = options.num_stages
    if len(groups) < count:
        raise UserError(f"{len(groups)} groups cannot be split into {count} stages", where="num_stages")
    if options.stage_order == "given":
        return _split(list(range(len(groups))), count)
    stored = (read_json(directory / PARTS) or {}) if resume == "auto" else {}
    identity = [policy.digest(), count, [group.id for group in groups]]
    if stored.get("identity") != identity:
        found = margins(policy, groups, directory, options.tokens_per_microbatch)
        order = sorted(range(len(groups)), key=lambda i: -found[i])
        stored = {"identity": identity, "parts": _split(order, count)}
        write_json(directory / PARTS, stored)
    parts: list[list[int]] = stored["parts"]
    return parts


def _split(order: list[int], count: int) -> list[list[int]]:
    """``order`` in ``count`` runs, whose lengths differ by at most one."""
    ends = [len(order) * number // count for number in range(count + 1)]
    return [order[a:b] for a, b in pairwise(ends)]


def _join_metrics(directory: Path, stages: int) -> None:
    """One curve of all stages so far: steps counted through, each row with its stage."""
    rows: list[dict[str, float]] = []
    for number in range(1, stages + 1):
        before = int(rows[-1]["step"]) if rows else 0
        found = read_jsonl(stage_folder(directory, number) / METRICS)
        rows += [{**row, "step": row["step"] + before, "stage": number} for row in found]
    write_jsonl(directory / METRICS, rows)


def _together(results: Sequence[TrainResult]) -> TrainResult:
    reasons = [f"stage {number}: {result.stopped_by}" for number, result in enumerate(results, start=1)]
    same = {result.stopped_by for result in results}
    return TrainResult(
        steps=sum(result.steps for result in results),
        planned=sum(result.planned for result in results),
        stopped_by=same.pop() if len(same) == 1 else "; ".join(reasons),
        seconds=sum(result.seconds for result in results),
        last=results[-1].last,
    )
