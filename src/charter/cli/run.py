"""``charter run RECIPE``: the staged pipeline."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def run_command(
    recipe: Annotated[Path, typer.Argument(help="The recipe, a YAML file.")],
    output_dir: Annotated[
        Path | None, typer.Option("--output-dir", help="Run directory; runs/NAME by default.")
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Forget what was done there before.")] = False,
) -> None:
    """Run a recipe's stages. Continues by itself where it was stopped."""
    from charter.pipeline.recipe import Recipe

    parsed = Recipe.load(recipe)
    from charter.pipeline.runner import run_recipe

    directory = output_dir or Path("runs") / parsed.head.name
    result = run_recipe(parsed, directory, fresh=fresh)
    print(f"run directory: {directory}")
    raise typer.Exit(result["exit_code"])
