"""Measure adherence on held-out prompts, and write report.json."""

from __future__ import annotations

from typing import Any

from charter.data.formats import load_groups
from charter.data.prepare import prepare
from charter.engines.base import Sampling
from charter.evaluation.evaluate import evaluate
from charter.evaluation.keep import Keep
from charter.evaluation.limits import limit_lines
from charter.evaluation.rates.adherence import Criteria
from charter.evaluation.rates.table import print_table
from charter.models.load import load
from charter.models.pairing import Reference
from charter.models.save import BASE
from charter.pipeline.evaluation_files import EVALUATION, write_found
from charter.pipeline.stage import Context
from charter.pipeline.stage_options import EvaluateStage
from charter.pipeline.stages.given import given_of
from charter.progress import say

FILE = EVALUATION


def run(context: Context, options: EvaluateStage) -> dict[str, Any]:
    """See :class:`charter.pipeline.stage.StageRunner`."""
    recipe, law = context.recipe, context.constitution()
    keep = Keep(context.directory)
    given = given_of(recipe, options, law, made=context.run.path, keep=keep)
    trained = context.folders.get("train")
    policy = context.policy() if trained is None else load(str(trained / "model"), bf16=recipe.head.bf16)
    reference = None
    if trained is not None:
        # An adapter trained on an earlier stage's model, or by a method that merges one on the way, lies on
        # that model, not on the recipe's.
        under = recipe.starts_from_a_stage() or (trained / "model" / BASE).exists()
        own = policy.has_adapter and not under
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
        labels=given.labels,
        keep=keep,
    )
    evidence = write_found(context.directory, found, law, given)
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
            "exit_code": found.exit_code,
            "flags": list(found.flags),
            "line": f"all principles together: {overall.status} ({overall.why})",
        }
    )


def _shown(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.3g}"
