"""What a stage names besides prompts (a judge, its card, labels), opened and checked before a model loads."""

from __future__ import annotations

from pathlib import Path

from charter.constitution import Constitution
from charter.pipeline.evaluating import Given, open_given
from charter.pipeline.recipe import Recipe
from charter.pipeline.stage_options import EvaluateStage, JudgeStage


def given_of(
    recipe: Recipe,
    options: JudgeStage | EvaluateStage,
    constitution: Constitution,
    *,
    made: Path | None = None,
    journal: Path | None = None,
) -> Given:
    """The stage's judge, card and labels; of an evaluation also the older report and the training data.

    Args:
        recipe: paths are relative to it.
        options: of the stage.
        constitution: the recipe's.
        made: the run directory, for the data its stages made; None = not looked for.
        journal: file of an endpoint's replies.
    """
    since = run = None
    if isinstance(options, EvaluateStage):
        since = None if options.since is None else recipe.file(options.since)
        run = made if options.run is None else recipe.file(options.run)
    return open_given(
        constitution,
        judge=options.judge,
        card=None if options.card is None else recipe.file(options.card),
        labels=None if options.labels is None else recipe.file(options.labels),
        since=since,
        run=run,
        policy=recipe.model_source(),
        base=recipe.path.parent,
        journal=journal,
    )
