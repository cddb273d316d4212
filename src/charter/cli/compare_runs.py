"""``charter compare-runs A B [C ...]``: evaluated checkpoints side by side, from their files alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

_RUNS = "Run directories, or folders with evaluation.json; NAME=DIR names one, DIR:base is its base model."
_AXIS = "all, principle ids joined by +, level:NAME, tag:NAME, or a health measure (-kl: less is better)."


def compare_runs_command(
    runs: Annotated[list[str], typer.Argument(help=_RUNS, show_default=False)],
    x: Annotated[str | None, typer.Option("--x", help=f"Across: {_AXIS}")] = None,
    y: Annotated[str | None, typer.Option("--y", help="Up: likewise.")] = None,
    constitution: Annotated[
        Path | None, typer.Option("--constitution", help="Has the tags for tag:NAME.")
    ] = None,
    any_sampling: Annotated[
        bool, typer.Option("--any-sampling", help="Compare also answers that were sampled differently.")
    ] = False,
    min_prompts: Annotated[int, typer.Option(min=1, help="Fewest shared prompts for a claimed rise.")] = 40,
    seed: Annotated[int, typer.Option(help="Of bootstrap and permutation.")] = 0,
    html: Annotated[Path | None, typer.Option("--html", help="File for one self-contained page.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON in place of tables.")] = False,
) -> None:
    """Compare evaluated checkpoints. Principles, win rates, ratings, and the helpful-harmless front."""
    from charter.constitution import Constitution
    from charter.evaluation.rates.card import Criteria
    from charter.evaluation.side_by_side.checkpoint import HOW, read_checkpoints
    from charter.evaluation.side_by_side.compare import side_by_side
    from charter.evaluation.side_by_side.page import write_page
    from charter.evaluation.side_by_side.table import print_side_by_side
    from charter.pipeline.stage_options import EvaluateStage

    law = None if constitution is None else Constitution.load(constitution)
    defaults = {name: float(EvaluateStage.model_fields[name].default) for name in HOW}
    found = side_by_side(
        read_checkpoints(runs, sampling_defaults=defaults),
        x=x,
        y=y,
        tags={} if law is None else {one.id: one.tags for one in law.active},
        criteria=Criteria(min_prompts=min_prompts, seed=seed),
        any_sampling=any_sampling,
    )
    if html is not None:
        write_page(html, found)
    if as_json:
        print(json.dumps(found.to_json(), indent=2, ensure_ascii=False))
    else:
        print_side_by_side(found)
        if html is not None:
            print(f"page: {html}")
