"""Judge every completion under every principle."""

from __future__ import annotations

from collections import Counter
from typing import Any

from charter.evaluation.evaluate import judged
from charter.feedback.constitution import ConstitutionFeedback
from charter.pipeline.recipe import JudgeStage
from charter.pipeline.stage import Context
from charter.pipeline.stages.sample import FILE as SAMPLES
from charter.records import read_groups, write_groups

FILE = "judgements.jsonl"


def run(context: Context, options: JudgeStage) -> dict[str, Any]:
    """See :class:`charter.pipeline.stage.StageRunner`."""
    groups = read_groups(context.folders["sample"] / SAMPLES)
    said = ConstitutionFeedback(context.constitution()).judge(groups)
    write_groups(context.directory / FILE, judged(groups, said))
    passed: Counter[str] = Counter()
    measured: Counter[str] = Counter()
    verdicts: Counter[str] = Counter()
    for judgement in (j for js in said for j in js):
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
