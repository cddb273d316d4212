"""Train on the pairs that were made, or on a data file."""

from __future__ import annotations

from typing import Any

from charter.pipeline.recipe import TrainStage
from charter.pipeline.stage import Context
from charter.pipeline.stages.compare import GROUPS
from charter.pipeline.training import TrainRequest, train


def run(context: Context, options: TrainStage) -> dict[str, Any]:
    """See :class:`charter.pipeline.stage.StageRunner`."""
    recipe = context.recipe
    made = options.data is None
    result = train(
        TrainRequest(
            algorithm=options.algorithm,
            options=recipe.options[context.number],
            data=str(context.folders["compare"] / GROUPS if made else recipe.file(str(options.data))),
            sampled=made,
            eval_data=None if options.eval_data is None else str(recipe.file(options.eval_data)),
            objective=options.objective and str(recipe.file(options.objective)),
        ),
        context.policy(),
        context.directory,
    )
    return context.finish(result)
