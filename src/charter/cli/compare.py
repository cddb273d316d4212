"""``charter compare A B [C ...]``: who passes more of the constitution, prompt by prompt."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from charter.cli.model_name import known_models


def compare_command(
    models: Annotated[list[str], typer.Argument(help="Two or more models.", callback=known_models)],
    constitution: Annotated[Path, typer.Option("--constitution", help="The constitution file.")],
    prompts: Annotated[Path, typer.Option("--prompts", help="File of prompts.")],
    max_completion_length: Annotated[int, typer.Option(min=1, help="Most tokens of an answer.")] = 256,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Win rates between models with intervals. A rating as well for three or more."""
    from charter.constitution import Constitution
    from charter.data.formats import load_groups
    from charter.errors import UserError

    if len(models) < 2:
        raise UserError("compare needs at least two models")
    rules = Constitution.load(constitution)
    load_groups(str(prompts), "prompts")
    from charter import api

    found = api.compare(
        *models, constitution=rules, prompts=str(prompts), max_completion_length=max_completion_length
    )
    if as_json:
        print(json.dumps(found.to_json(), indent=2))
        return
    for duel in found.duels:
        shown = "no decided prompt"
        if duel.rate is not None and duel.interval is not None:
            shown = f"wins {duel.rate:.0%} [{duel.interval.lo:.0%}, {duel.interval.hi:.0%}] of the decided"
        print(
            f"{duel.first} against {duel.second}: {shown} "
            f"({duel.wins} won, {duel.losses} lost, {duel.ties} tied, p = {duel.p:.2g})"
            + (f"; {duel.missing} without a verdict left out" if duel.missing else "")
        )
    for name, rating in sorted(found.ratings.items(), key=lambda item: -item[1]):
        print(f"{name}: {rating:+.2f}")
