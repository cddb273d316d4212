"""``charter advise DATA``: which methods fit, with reasons."""

from __future__ import annotations

import json as json_format
from typing import TYPE_CHECKING, Annotated

import typer

from charter.cli.model_name import known_model

if TYPE_CHECKING:
    from charter.data.advise import Advised


def advise_command(
    data: Annotated[str, typer.Argument(help="Training data: a file, a hub id, or reasoning-gym:TASK.")],
    model: Annotated[
        str | None,
        typer.Option(
            "--model", help="Compare the chosen answers with this model's own.", callback=known_model
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Recommend algorithms for a data file. Says what in it they follow from."""
    from charter.data.advise import advise
    from charter.data.facts import facts_of
    from charter.data.formats import load_groups
    from charter.environments.tasks import is_task_spec, load_prompts
    from charter.errors import UserError

    loaded = load_prompts(data) if is_task_spec(data) else load_groups(data, "any")
    facts = facts_of(loaded)
    if model is not None:
        if loaded.kind not in ("preference", "ranked"):
            raise UserError(f"--model has no effect on {loaded.kind!r} data", fix="leave it out")
        from charter.evaluation.health.own_answers import with_own_answers
        from charter.models.load import load

        facts = with_own_answers(facts, loaded, load(model))
    found = advise(facts)
    if json:
        print(json_format.dumps(found.to_json(), indent=2))
    else:
        _print(found)


def _print(found: Advised) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(markup=False, highlight=False)
    for line in found.seen:
        console.print(line)
    for line in found.first:
        console.print(f"first: {line}")
    table = Table("", "method", "why", "command", box=None, padding=(0, 2, 0, 0))
    for number, advice in enumerate(found.advice, start=1):
        table.add_row(str(number), advice.algorithm, advice.why, advice.command(found.facts.name))
    if found.advice:
        console.print(table)
        names = " ".join(advice.algorithm for advice in found.advice[:3])
        console.print(f"side by side: charter algorithms compare {names}")
