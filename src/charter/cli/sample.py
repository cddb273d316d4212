"""``charter sample MODEL``: completions as JSON lines."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from charter.cli.model_name import known_model


def sample_command(
    model: Annotated[
        str, typer.Argument(help="Known name, hub id, folder or run directory.", callback=known_model)
    ],
    prompts: Annotated[Path | None, typer.Option("--prompts", help="File of prompts.")] = None,
    prompt: Annotated[list[str] | None, typer.Option("--prompt", help="A prompt; may be repeated.")] = None,
    output: Annotated[
        Path | None, typer.Option("--output", help="File to write; standard output by default.")
    ] = None,
    num_generations: Annotated[int, typer.Option(min=1, help="Completions per prompt.")] = 1,
    temperature: Annotated[float, typer.Option(min=0.0, help="0 = greedy.")] = 1.0,
    top_p: Annotated[float, typer.Option(help="Nucleus.")] = 1.0,
    top_k: Annotated[int, typer.Option(min=0, help="0 = all.")] = 0,
    max_completion_length: Annotated[int, typer.Option(min=1, help="Most tokens.")] = 256,
    seed: int = 0,
) -> None:
    """Sample completions of prompts."""
    from charter.config import validate
    from charter.engines.base import Sampling
    from charter.errors import UserError
    from charter.pipeline.given_prompts import read_prompts

    if (prompts is None) == (not prompt):
        raise UserError("give either --prompts FILE or --prompt TEXT")
    options = {
        "temperature": temperature,
        "top_p": top_p,
        "top_k": top_k,
        "max_completion_length": max_completion_length,
        "seed": seed,
    }
    validate(Sampling, options, where="charter sample")
    asked = str(prompts) if prompts is not None else list(prompt or ())
    read_prompts(asked)
    from charter import api
    from charter.records import group_to_json, write_groups

    groups = api.sample(model, asked, num_generations=num_generations, **options)
    if output is not None:
        write_groups(output, groups)
        print(f"{sum(len(g.samples) for g in groups)} completions written to {output}", file=sys.stderr)
        return
    for group in groups:
        if sys.stdout.isatty():
            for sample in group.samples:
                print(f"\n> {sample.context.text}\n{sample.completion.text}")
        else:
            print(json.dumps(group_to_json(group), ensure_ascii=False))
