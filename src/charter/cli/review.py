"""``charter review RUN``: what a run waits for people to look at, and their word on it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from charter.errors import UserError

if TYPE_CHECKING:
    from charter.pipeline.reviews import Standing


def review_command(
    run: Annotated[Path, typer.Argument(help="The run directory.", show_default=False)],
    who: Annotated[str, typer.Option("--as", help="Your name, as the recipe names you.")] = "",
    approve: Annotated[bool, typer.Option("--approve", help="Sign off.")] = False,
    refuse: Annotated[bool, typer.Option("--refuse", help="Be against.")] = False,
    reason: Annotated[str, typer.Option("--reason", help="Why, for those who read the report.")] = "",
    stage: Annotated[
        str, typer.Option("--stage", help="Number of the review; the open one by default.")
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Sign off a run, or refuse, under your name. Alone it shows what the run waits for."""
    from charter.pipeline.reviews import all_asked, decide, standing

    if not run.is_dir():
        raise UserError("no such run directory", where=str(run), fix="`charter run` tells its path")
    if approve and refuse:
        raise UserError("--approve and --refuse at once", fix="give one of them")
    if not approve and not refuse:
        if who or reason:
            raise UserError("neither --approve nor --refuse is given", fix="say which")
        found = [standing(run, asked) for asked in all_asked(run)]
        if not found:
            raise UserError("no review is asked here", where=str(run), fix="`charter run` stops where one is")
    elif not who.strip():
        raise UserError("it is not said who reviews", fix="give --as NAME")
    else:
        found = [decide(run, who, "approve" if approve else "refuse", reason, stage)]
    if as_json:
        print(json.dumps([one.to_json() for one in found], indent=2, ensure_ascii=False))
        return
    for one in found:
        _print(run, one)


def _print(run: Path, found: Standing) -> None:
    asked = found.asked
    print(f"stage {asked.stage}: {found.state}, {len(found.approved)} of {asked.needs} approvals needed")
    for name, thing in asked.what.items():
        print(f"  {name}: {run / thing.file} (sha256 {thing.sha[:12]})")
    for review in (*found.approved, *found.refused):
        said = f": {review.reason}" if review.reason else ""
        print(f"  {review.who} {review.decision}d on {review.at}{said}")
    for review, why in found.void:
        print(f"  not counted: {review.who} {review.decision}d on {review.at}, {why}")
    if found.missing:
        print(f"  not heard: {', '.join(found.missing)}")
    if found.state == "approved":
        print("`charter run` with the same recipe goes on from here")
