"""``charter tax MODEL --against BASE``: what alignment cost in capability."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from charter.cli.model_name import known_models

_TASKS = (
    "Commas between: arithmetic, equations, spelling, letters, sorting, legs (all by default), or families."
)


def tax_command(
    model: Annotated[
        str, typer.Argument(help="The aligned model: known name, hub id, folder or run directory.")
    ],
    against: Annotated[str, typer.Option("--against", help="The model before alignment.")],
    tasks: Annotated[str | None, typer.Option("--tasks", help=_TASKS)] = None,
    n: Annotated[int, typer.Option("--n", min=1, help="Items of each task.")] = 100,
    num_generations: Annotated[int, typer.Option(min=1, help="Answers to each item.")] = 1,
    k: Annotated[list[int] | None, typer.Option("--k", min=1, help="pass@k; may be repeated.")] = None,
    temperature: Annotated[float, typer.Option(min=0.0, help="0 = greedy.")] = 0.0,
    max_completion_length: Annotated[int, typer.Option(min=1, help="Most tokens of an answer.")] = 96,
    unrelated: Annotated[Path | None, typer.Option("--unrelated", help="Prose for perplexity.")] = None,
    lm_eval: Annotated[
        str | None,
        typer.Option("--lm-eval", help="Tasks of the lm-evaluation-harness as well, commas between."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of items, answers, bootstrap and permutation.")] = 0,
    output: Annotated[
        Path | None,
        typer.Option("--output", help="Folder for tax.json and items; a stopped run goes on there."),
    ] = None,
    plan: Annotated[
        bool, typer.Option("--plan", help="Only say what it would take; no model loads.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON in place of a table.")] = False,
) -> None:
    """Capability before and after, paired item by item. Exit code 1 where a task fell."""
    from charter.engines.base import Sampling
    from charter.errors import UserError
    from charter.evaluation.tax.tasks import TASKS
    from charter.rundir import write_json

    names = list(TASKS) if tasks is None else [name.strip() for name in tasks.split(",") if name.strip()]
    harness = [name.strip() for name in (lm_eval or "").split(",") if name.strip()]
    if plan:
        _print_plan(names, n, num_generations, max_completion_length, seed)
        return
    known_models([model, against])
    text = ""
    if unrelated is not None:
        if not unrelated.is_file():
            raise UserError("no such file", where=str(unrelated))
        text = unrelated.read_text(encoding="utf-8")
    how = Sampling(temperature=temperature, max_completion_length=max_completion_length, seed=seed)
    if harness:
        from charter.evaluation.tax.lm_eval import check_installed

        check_installed()
    from charter.evaluation.tax.table import print_tax
    from charter.evaluation.tax.tax import alignment_tax

    found = alignment_tax(
        model,
        against,
        tasks=names,
        n=n,
        num_generations=num_generations,
        ks=sorted(set(k or [1])),
        sampling=how,
        unrelated_text=text,
        lm_eval=harness,
        output=output,
        seed=seed,
    )
    if output is not None:
        write_json(output / "tax.json", found.to_json())
    if as_json:
        print(json.dumps(found.to_json(), indent=2, ensure_ascii=False))
    else:
        print_tax(found)
    if found.exit_code:
        raise typer.Exit(found.exit_code)


def _print_plan(names: list[str], n: int, num_generations: int, length: int, seed: int) -> None:
    from charter.environments.tasks import load_prompts
    from charter.evaluation.tax.plan import plan_of
    from charter.evaluation.tax.tasks import task_specs

    prompts = {name: load_prompts(spec).groups for name, spec in task_specs(names, n, seed).items()}
    for line in plan_of(prompts, num_generations, length).lines():
        print(line)
