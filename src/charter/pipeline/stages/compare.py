"""Make preference pairs from judgements."""

from __future__ import annotations

from typing import Any

from charter.feedback.compare import compare, to_rows
from charter.pipeline.recipe import CompareStage
from charter.pipeline.stage import Context
from charter.pipeline.stages.judge import FILE as JUDGEMENTS
from charter.records import read_groups, write_groups
from charter.rundir import write_jsonl

FILE = "pairs.jsonl"
"""Plain preference rows, for any trainer and for people."""

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
    counts = found.counts.to_dict()
    without = counts["prompts_without_pair"]
    line = f"{counts['pairs']} pairs, {counts['quota_pairs']} of them by quota; {without} prompts gave none"
    return context.finish({**counts, "line": line})
