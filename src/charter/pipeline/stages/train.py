"""Train on the pairs that were made, or on a data file."""

from __future__ import annotations

from typing import Any

from charter.catalogue import lookup
from charter.pipeline.recipe import Recipe
from charter.pipeline.revising import FILES, To
from charter.pipeline.stage import Context
from charter.pipeline.stage_models import filled, source
from charter.pipeline.stage_options import TrainStage
from charter.pipeline.stages.compare import GROUPS
from charter.pipeline.training import TrainRequest, train


def run(context: Context, options: TrainStage) -> dict[str, Any]:
    """See :class:`charter.pipeline.stage.StageRunner`."""
    recipe = context.recipe
    online = lookup(options.algorithm).rollouts is not None
    made = options.data is None and not online and "revise" not in context.folders
    result = train(
        TrainRequest(
            algorithm=options.algorithm,
            options=filled(recipe.options[context.number], context.folders),
            data=str(context.folders["compare"] / GROUPS) if made else _data(context, options),
            sampled=made,
            eval_data=_source(recipe, options.eval_data),
            base=recipe.path.parent,
            objective=options.objective and str(recipe.file(options.objective)),
        ),
        context.policy(options.model and source(options.model, context.folders)),
        context.directory,
    )
    return context.finish(result)


def _data(context: Context, options: TrainStage) -> str | None:
    """The data that is named, or the revised answers in the form the algorithm reads."""
    entry = lookup(options.algorithm)
    if options.data is None and entry.rollouts is None:
        form: To = "preference" if entry.data == "preference" else "sft"
        return str(context.folders["revise"] / FILES[form])
    return _source(context.recipe, options.data)


def _source(recipe: Recipe, name: str | None) -> str | None:
    return None if name is None else recipe.source(name)
