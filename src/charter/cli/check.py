"""``charter check RECIPE|DATA``: every mistake that can be found without a model, in seconds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from charter.cli.check_memory import plans_for, plans_json, print_plans, recipe_plans


def check_command(
    path: Annotated[str, typer.Argument(help="A recipe (.yaml), or data.")],
    eval_data: Annotated[str | None, typer.Option("--eval", help="Evaluation data, for overlap.")] = None,
    model: Annotated[
        str | None, typer.Option("--model", help="Count tokens with this model's tokenizer.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check a recipe or a data file. Exit code 1 when something is wrong with the data."""
    if Path(path).suffix in (".yaml", ".yml"):
        _check_recipe(path, as_json, idle=eval_data is not None or model is not None)
        return
    from charter.cli.check_data import print_check
    from charter.data.check import check_data

    found = check_data(path, eval_data, _tokenizer(model))
    plans = () if model is None else plans_for(model)
    if as_json:
        print(json.dumps({**found.to_json(), "memory": plans_json(plans)}, indent=2))
    else:
        print_check(found)
        if model is not None:
            print_plans(f"memory to train {model}", plans, choice=False)
    raise typer.Exit(0 if found.ok else 1)


def _check_recipe(path: str, as_json: bool, idle: bool) -> None:
    from charter.errors import UserError
    from charter.pipeline.preflight import preflight
    from charter.pipeline.recipe import Recipe

    if idle:
        raise UserError("--eval and --model have no effect on a recipe")
    recipe = Recipe.load(path)
    found = preflight(recipe)
    plans = recipe_plans(recipe)
    if as_json:
        memory = {stage: plans_json(of_stage) for stage, of_stage in plans.items()}
        print(json.dumps({**found, "memory": memory}, indent=2))
        return
    for what, count in found.items():
        print(f"{what}: {count}")
    for stage, of_stage in plans.items():
        print_plans(stage, of_stage)
    print("ok")


def _tokenizer(model: str | None) -> object | None:
    if model is None:
        return None
    from transformers import AutoTokenizer

    from charter.models.hub import resolve

    tokenizer: object = AutoTokenizer.from_pretrained(str(resolve(model)), trust_remote_code=False)
    return tokenizer
