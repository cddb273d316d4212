"""What a stage names besides prompts (a judge, its card, labels), opened and checked before a model loads."""

from __future__ import annotations

from pathlib import Path

from charter.constitution import Constitution
from charter.evaluation.keep import Keep
from charter.pipeline.evaluating import Given, open_given
from charter.pipeline.recipe import Recipe
from charter.pipeline.stage_options import EvaluateStage, JudgeStage


def given_of(
    recipe: Recipe,
    options: JudgeStage | EvaluateStage,
    constitution: Constitution,
    *,
    made: Path | None = None,
    keep: Keep | None = None,
) -> Given:
    """The stage's judge, card and labels; of an evaluation also the older report and the training data.

    Args:
        recipe: paths are relative to it.
        options: of the stage.
        constitution: the recipe's.
        made: the run directory, for the data its stages made; None = not looked for.
        keep: where replies and verdicts are kept; None = nowhere.
    """
    since = run = None
    drawn = False
    if isinstance(options, EvaluateStage):
        since = None if options.since is None else recipe.file(options.since)
        run = made if options.run is None else recipe.file(options.run)
        drawn = options.labels_random
    return open_given(
        constitution,
        judge=options.judges or None,
        card=tuple(recipe.file(one) for one in options.cards) or None,
        labels=None if options.labels is None else recipe.file(options.labels),
        labels_random=drawn,
        since=since,
        run=run,
        policy=recipe.model_source(),
        base=recipe.path.parent,
        keep=keep,
    )
