"""``charter evaluate MODEL --constitution FILE``: adherence with intervals, usable as a gate."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer


def evaluate_command(
    model: Annotated[str, typer.Argument(help="Known name, hub id, folder or run directory.")],
    constitution: Annotated[Path, typer.Option("--constitution", help="The constitution file.")],
    prompts: Annotated[
        Path | None, typer.Option("--prompts", help="Held-out prompts; the constitution's tests by default.")
    ] = None,
    against: Annotated[str | None, typer.Option("--against", help="The model before alignment.")] = None,
    num_generations: Annotated[int, typer.Option(min=1, help="Answers per prompt.")] = 1,
    temperature: Annotated[float, typer.Option(min=0.0, help="0 = greedy.")] = 0.0,
    max_completion_length: Annotated[int, typer.Option(min=1, help="Most tokens of an answer.")] = 256,
    in_context: Annotated[
        str | None,
        typer.Option("--in-context", help="Ask after examples: urial, urial-plain, urial-chat or icdpo."),
    ] = None,
    demonstrations: Annotated[
        str | None, typer.Option("--demonstrations", help="Rows with answers, as examples.")
    ] = None,
    system_prompt: Annotated[
        str | None, typer.Option("--system-prompt", help="Ask under a constitution, a file or a text.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the card as JSON.")] = False,
) -> None:
    """Measure adherence. Exit code 0: gates pass, 1: a gate failed or the model is flagged, 6: undecided."""
    from charter.constitution import Constitution
    from charter.data.formats import load_groups

    rules = Constitution.load(constitution)
    if prompts is not None:
        load_groups(str(prompts), "prompts")
    from charter import api
    from charter.evaluation.table import print_table

    found = api.evaluate(
        model,
        rules,
        prompts=None if prompts is None else str(prompts),
        against=against,
        num_generations=num_generations,
        temperature=temperature,
        max_completion_length=max_completion_length,
        in_context=in_context,
        demonstrations=demonstrations,
        system_prompt=system_prompt,
    )
    if as_json:
        print(
            json.dumps(
                {"adherence": found.card.to_json(), "health": found.health, "flags": found.flags}, indent=2
            )
        )
    else:
        print_table(found.card)
        for row in found.health:
            before = "" if row["before"] is None else f"{row['before']:.3g} -> "
            print(f"{row['label']}: {before}{row['after']:.3g} {row['unit']}".rstrip())
    for flag in found.flags:
        print(f"FLAG: {flag}", file=sys.stderr)
    raise typer.Exit(found.card.exit_code or (1 if found.flags else 0))
