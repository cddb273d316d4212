"""Measure adherence on held-out prompts, and write report.json."""

from __future__ import annotations

from typing import Any

from charter.data.formats import load_groups
from charter.data.prepare import prepare
from charter.engines.base import Sampling
from charter.evaluation.adherence import Criteria
from charter.evaluation.evaluate import evaluate
from charter.evaluation.limits import limit_lines
from charter.evaluation.report_json import evidence_of
from charter.evaluation.table import print_table
from charter.models.load import load
from charter.models.pairing import Reference
from charter.pipeline.evaluating import REPLIES
from charter.pipeline.stage import Context
from charter.pipeline.stage_options import EvaluateStage
from charter.pipeline.stages.given import given_of
from charter.progress import say
from charter.records import write_groups
from charter.rundir import write_json

FILE = "evaluation.json"


def run(context: Context, options: EvaluateStage) -> dict[str, Any]:
    """See :class:`charter.pipeline.stage.StageRunner`."""
    recipe, law = context.recipe, context.constitution()
    given = given_of(recipe, options, law, made=context.run.path, journal=context.directory / REPLIES)
    trained = context.folders.get("train")
    policy = context.policy() if trained is None else load(str(trained / "model"), bf16=recipe.head.bf16)
    reference = None
    if trained is not None:
        # An adapter trained on an earlier stage's model lies on that model, not on the recipe's.
        own = policy.has_adapter and not recipe.starts_from_a_stage()
        reference = Reference(None) if own else Reference(context.policy().model)
    loaded = load_groups(str(recipe.file(options.prompts)), "prompts")
    prompts = prepare(loaded, policy.template).groups
    unrelated = recipe.file(options.unrelated).read_text("utf-8") if options.unrelated else ""
    found = evaluate(
        policy,
        law,
        prompts,
        reference=reference,
        sampling=Sampling(
            temperature=options.temperature,
            max_completion_length=options.max_completion_length,
            seed=options.seed,
        ),
        num_generations=options.num_generations,
        unrelated_text=unrelated,
        criteria=Criteria(seed=options.seed),
        judge=given.judge,
        card=given.card,
        labels=given.labels,
    )
    write_groups(context.directory / "answers.jsonl", found.after)
    if found.before is not None:
        write_groups(context.directory / "base_answers.jsonl", found.before)
    evidence = evidence_of(found, law, taught=given.taught, older=given.older)
    write_json(context.directory / FILE, evidence)
    if found.judge_card is not None:
        write_json(context.directory / "judge_card.json", found.judge_card.to_json())
    print_table(found.card)
    for row in found.health:
        say(f"{row['label']}: {_shown(row['before'])} -> {_shown(row['after'])} {row['unit']}".rstrip())
    for line in limit_lines(evidence["limits"], evidence["since"]):
        say(f"limit: {line}")
    for flag in found.flags:
        say(f"FLAG: {flag}")
    overall = found.card.overall
    return context.finish(
        {
            "exit_code": found.card.exit_code or (1 if found.flags else 0),
            "flags": list(found.flags),
            "line": f"all principles together: {overall.status} ({overall.why})",
        }
    )


def _shown(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.3g}"
