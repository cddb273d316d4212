"""Judge every completion under every principle."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from charter.evaluation.judges.answerer import lineage_family
from charter.evaluation.judges.judging import adjudicate
from charter.evaluation.keep import Keep
from charter.pipeline.stage import Context
from charter.pipeline.stage_options import JudgeStage
from charter.pipeline.stages.given import given_of
from charter.pipeline.stages.sample import FILE as SAMPLES
from charter.records import read_groups, write_groups
from charter.rundir import write_json
from charter.types import Group, Judgement

FILE = "judgements.jsonl"


def run(context: Context, options: JudgeStage) -> dict[str, Any]:
    """See :class:`charter.pipeline.stage.StageRunner`."""
    groups = read_groups(context.folders["sample"] / SAMPLES)
    law = context.constitution()
    given = given_of(context.recipe, options, law, keep=Keep(context.directory))
    family = lineage_family(context.recipe.head.model)
    adjudication = adjudicate(law, given.judge, labels=given.labels, family=family)
    found = adjudication.judged(groups)
    write_groups(context.directory / FILE, found)
    if adjudication.card is not None:
        write_json(context.directory / "judge_card.json", adjudication.card.to_json())
    for number, card in enumerate(adjudication.members, start=1):
        write_json(context.directory / f"judge_card.{number}.json", card.to_json())
    passed: Counter[str] = Counter()
    measured: Counter[str] = Counter()
    verdicts: Counter[str] = Counter()
    said = [j for before, after in zip(groups, found, strict=True) for j in _new(before, after)]
    for judgement in said:
        verdicts[judgement.verdict] += 1
        if judgement.value is not None:
            measured[judgement.principle] += 1
            passed[judgement.principle] += judgement.value >= 0.5
    rates = {p: {"n": n, "passed": passed[p], "rate": round(passed[p] / n, 4)} for p, n in measured.items()}
    total = sum(verdicts.values())
    return context.finish(
        {
            "principles": rates,
            "verdicts": dict(verdicts),
            "line": f"{total} judgements: "
            + ", ".join(f"{n} {v.replace('_', ' ')}" for v, n in verdicts.items()),
        }
    )


def _new(before: Group, after: Group) -> Sequence[Judgement]:
    return after.judgements[len(before.judgements) :]
