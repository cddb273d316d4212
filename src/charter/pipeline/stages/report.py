"""Gather what the stages found into report.json, and draw report.html from it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from charter.evaluation.overoptimisation.run import HELDOUT, curves_of_run, watched_metrics
from charter.evaluation.report_json import EVIDENCE, constitution_json
from charter.pipeline.attempts import told
from charter.pipeline.reviews import reviews_of
from charter.pipeline.stage import Context
from charter.pipeline.stage_options import ReportStage
from charter.pipeline.stages.evaluate import FILE as EVALUATION
from charter.reporting import parse_report, write_report
from charter.rundir import now, read_jsonl, write_json


def run(context: Context, options: ReportStage) -> dict[str, Any]:
    """See :class:`charter.pipeline.stage.StageRunner`."""
    evaluation = json.loads((context.folders["evaluate"] / EVALUATION).read_text("utf-8"))
    report = {
        "schema": 1,
        "title": options.title or f"Adherence of {context.recipe.head.name}",
        "created": now(),
        "constitution": constitution_json(context.constitution()),
        "models": _models(context),
        "adherence": evaluation["adherence"],
        "health": evaluation["health"],
        "flags": evaluation["flags"],
        "examples": evaluation["examples"],
        **{name: evaluation[name] for name in EVIDENCE if name in evaluation},
        "reviews": reviews_of(context.run.path),
        "data": _data(context, evaluation["prompts"]),
        "training": _training(context),
        "stages": _stages(context),
        "command": f"charter run {context.recipe.path}",
        **{k: context.run.manifest().get(k) for k in ("machine", "versions")},
        "seed": next((s.seed for _, s in context.recipe.stages if hasattr(s, "seed")), None),
        "manifest": context.run.manifest(),
    }
    parse_report(report, where="report.json")  # what is wrong is found here, not by a reader
    write_json(context.run.report_json, report)
    write_report(context.run.path)
    return context.finish({"line": f"{context.run.report_html}"})


def _stages(context: Context) -> list[dict[str, Any]]:
    """Every stage before this one, each with its own time and result."""
    found = []
    for number, done in enumerate(context.before, start=1):
        kind, options = context.recipe.stages[number - 1]
        name = getattr(options, "name", None)
        several = told(done)
        found.append(
            {
                "number": number,
                "name": f"{kind} {name}" if name else kind,
                "seconds": done["seconds"],
                "summary": f"{done['line']} ({several})" if several else done["line"],
                "skipped": bool(done.get("skipped")),
            }
        )
    return found


def _models(context: Context) -> dict[str, Any]:
    base = {"name": context.recipe.head.model}
    trained = context.results.get("train")
    if trained is None:
        return {"aligned": base}
    aligned = {
        "name": f"{context.recipe.head.model} + {trained['algorithm']}",
        "path": "model",
        "algorithm": trained["algorithm"],
    }
    return {"base": base, "aligned": aligned}


def _data(context: Context, heldout: int) -> dict[str, Any]:
    sampled, pairs = context.results.get("sample"), context.results.get("compare")
    trained = context.results.get("train")
    return {
        "prompts": {"train": sampled and sampled["prompts"], "heldout": heldout},
        "samples": sampled and sampled["samples"],
        "pairs": pairs and {"total": pairs["pairs"], "per_principle": pairs["per_principle"]},
        "dropped": trained["rows"]["dropped"] if trained else {},
    }


def _training(context: Context) -> dict[str, Any] | None:
    trained = context.results.get("train")
    if trained is None:
        return None
    return {
        "algorithm": trained["algorithm"],
        "steps": trained["steps"],
        "stopped_by": trained["stopped_by"],
        "options": trained["options"],
        "kl_limit": trained["options"].get("max_kl"),
        "curves": _curves(context.folders["train"] / "metrics.jsonl"),
        "overoptimisation": _overoptimisation(context.folders["train"], trained.get("watched_rewards")),
    }


def _overoptimisation(folder: Path, watched: list[str] | None) -> list[dict[str, Any]]:
    """Held-out rewards over the run: those only watched, and the trained ones on held-out prompts."""
    found = curves_of_run(folder, [*watched_metrics(watched), HELDOUT])
    return [one.to_json() for one in found]


def _curves(path: Path) -> dict[str, Any]:
    """Training curves of a metrics.jsonl, as the report draws them."""
    rows = read_jsonl(path)
    names = ("loss", "rewards/margins", "rewards/accuracies", "learning_rate")
    found: dict[str, Any] = {"step": [row["step"] for row in rows]}
    found |= {name: [row.get(name) for row in rows] for name in names if any(name in row for row in rows)}
    found["kl"] = [[row["step"], row["kl"]] for row in rows if "kl" in row]
    return found
