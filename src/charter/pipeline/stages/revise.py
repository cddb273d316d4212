"""Answer prompts, criticise and revise the answers: data for the train stages after it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from charter.feedback.revising.options import ReviseOptions
from charter.feedback.revising.rule_critic import RULES
from charter.models.load import load
from charter.models.policy import Policy
from charter.pipeline.revising import open_writer, read_answered, revise_into
from charter.pipeline.stage import Context
from charter.pipeline.stage_options import ReviseStage

CALLS = "calls-critic.jsonl"


def run(context: Context, options: ReviseStage) -> dict[str, Any]:
    """See :class:`charter.pipeline.stage.StageRunner`."""
    recipe = context.recipe

    def loaded(name: str) -> Policy:
        return load(name, bf16=recipe.head.bf16)

    answerer = open_writer(recipe.model_source(), load_model=loaded)
    critic = answerer
    by_rules = options.critic == RULES
    if options.critic is not None and not by_rules:
        # An endpoint's calls are written down one by one: a batch that is stopped is not paid for twice.
        calls = context.directory / CALLS
        critic = open_writer(options.critic, base=Path(recipe.path).parent, load_model=loaded, journal=calls)
    summary = revise_into(
        context.directory,
        read_answered(str(recipe.file(options.prompts))),
        context.constitution(),
        critic,
        answerer=answerer,
        options=ReviseOptions(**options.model_dump(exclude={"prompts", "critic", "only_better"})),
        by_rules=by_rules,
        only_better=options.only_better,
    )
    return context.finish(summary)
