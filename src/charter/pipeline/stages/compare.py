"""Make preference pairs from judgements."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from charter.feedback.pairs.compare import compare, to_rows
from charter.feedback.recovering.round_trip import round_trip
from charter.pipeline.stage import Context
from charter.pipeline.stage_options import CompareStage
from charter.pipeline.stages.judge import FILE as JUDGEMENTS
from charter.progress import say
from charter.records import read_groups, write_groups
from charter.rundir import write_json, write_jsonl
from charter.types import Group

FILE = "pairs.jsonl"
"""Plain preference rows, for any trainer and for people."""

ROUND_TRIP = "round_trip.json"
"""What the pairs were found to reward; the report shows it."""

GROUPS = "groups.jsonl"
"""The same pairs with the token ids that were sampled: what the next stage trains on."""


def run(context: Context, options: CompareStage) -> dict[str, Any]:
    """See :class:`charter.pipeline.stage.StageRunner`."""
    groups = read_groups(context.folders["judge"] / JUDGEMENTS)
    found = compare(
        groups,
        weights=options.weights or None,
        quota=options.quota or None,
        **options.model_dump(exclude={"weights", "quota"}),
    )
    write_groups(context.directory / GROUPS, found.groups)
    write_jsonl(context.directory / FILE, to_rows(found))
    _tell_what_they_reward(context, found.groups)
    counts = found.counts.to_dict()
    without = counts["prompts_without_pair"]
    line = f"{counts['pairs']} pairs, {counts['quota_pairs']} of them by quota; {without} prompts gave none"
    return context.finish({**counts, "line": line})


def _tell_what_they_reward(context: Context, pairs: Sequence[Group]) -> None:
    """Before anything is trained: which principles the pairs follow, and what they reward unsaid."""
    if not pairs:
        return
    trip = round_trip(pairs, context.constitution())
    write_json(context.run.path / ROUND_TRIP, trip.to_json())
    for line in trip.warning.splitlines():
        say(f"pairs: {line}")
