"""``charter evaluate MODEL --constitution FILE``: adherence with intervals, usable as a gate."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from charter.cli.model_name import known_models

if TYPE_CHECKING:
    from charter.evaluation.rates.planning import EvaluationPlan
    from charter.pipeline.measuring import Ready

_JUDGE = (
    "Judges what rules leave open: a model's name or folder, or endpoint:MODEL@URL. Repeat it for a panel."
)
_CARD = "A judge's card (charter judge-card --output); repeat it. A judge without one is examined first."
_LABELS = "Rows that people labelled (principle, prompt, completion, label): they calibrate the judge."
_RANDOM = "The labelled answers were drawn at random from each model's: their labels alone correct its rate."
_PLAN = "Only tell what could be shown, and how many prompts gates would take; runs nothing."
_SINCE = "An older report.json: tells which tests were removed or reworded since."
_RUN = "The run directory, or the data file, the model was trained with: for attribution and leaked tests."


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
    principle: Annotated[
        list[str] | None,
        typer.Option("--principle", help="Only this one; repeat it. Gates are not judged."),
    ] = None,
    changed_from: Annotated[
        Path | None, typer.Option("--changed-from", help="An older version: only what changed since.")
    ] = None,
    judge: Annotated[list[str] | None, typer.Option("--judge", help=_JUDGE)] = None,
    card: Annotated[list[Path] | None, typer.Option("--card", help=_CARD)] = None,
    labels: Annotated[Path | None, typer.Option("--labels", help=_LABELS)] = None,
    labels_random: Annotated[bool, typer.Option("--labels-random", help=_RANDOM)] = False,
    plan: Annotated[bool, typer.Option("--plan", help=_PLAN)] = False,
    since: Annotated[Path | None, typer.Option("--since", help=_SINCE)] = None,
    run: Annotated[Path | None, typer.Option("--run", help=_RUN)] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Directory for the report and the answers, written as they come."),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Of sampled answers, bootstrap and draws.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was found as JSON.")] = False,
) -> None:
    """Measure adherence. Exit code 0: gates pass, 1: a gate failed or the model is flagged, 6: undecided."""
    from charter.constitution import Constitution

    law = Constitution.load(constitution)
    if not plan:  # which may be made before the model is
        known_models([model] if against is None else [model, against])
    from charter.pipeline.evaluate_options import EvaluateOptions
    from charter.pipeline.kept_place import kept_place
    from charter.pipeline.measuring import ready_for

    options = EvaluateOptions(
        prompts=prompts,
        against=against,
        num_generations=num_generations,
        temperature=temperature,
        max_completion_length=max_completion_length,
        seed=seed,
        in_context=in_context,
        demonstrations=demonstrations,
        system_prompt=system_prompt,
        principles=tuple(principle or ()),
        changed_from=changed_from,
        judge=tuple(judge) if judge else None,
        card=tuple(card) if card else None,
        labels=labels,
        labels_random=labels_random,
        since=since,
        run=run or _own(model),
        out=out,
        keep=kept_place(model, law.name) if out is None else None,
    )
    ready = ready_for(model, law, options)  # every mistake is found before the model loads
    if plan:
        _print_plan(ready.plan(adapter=_adapter(model)), as_json)
        return
    _say_place(ready)
    raise typer.Exit(_measured(model, ready, as_json))


def _measured(model: str, ready: Ready, as_json: bool) -> int:
    """Measure, print, and return the exit code."""
    from charter import api
    from charter.evaluation.limits import limit_lines
    from charter.evaluation.rates.table import print_table
    from charter.evaluation.report_json import evidence_of
    from charter.pipeline.measuring import measure

    out = ready.options.out
    found = measure(api.load(model), ready)
    evidence = evidence_of(found, ready.law, taught=ready.given.taught, older=ready.given.older)
    if as_json:
        print(json.dumps(evidence, indent=2))
    else:
        print_table(found.card)
        for row in found.health:
            before = "" if row["before"] is None else f"{row['before']:.3g} -> "
            after = "not measured" if row["after"] is None else f"{row['after']:.3g} {row['unit']}"
            print(f"{row['label']}: {before}{after}".rstrip())
        for line in limit_lines(evidence["limits"], evidence["since"]):
            print(f"limit: {line}")
        if out is not None:
            print(f"report: {Path(out) / 'report.html'}")
    for flag in found.flags:
        print(f"FLAG: {flag}", file=sys.stderr)
    return found.exit_code


def _say_place(ready: Ready) -> None:
    """Where answers and verdicts are kept while there is no ``--out``."""
    from charter.progress import say

    if ready.keep is None:
        say("nowhere to keep answers: a stopped evaluation starts from the beginning (give --out)")
    elif ready.options.out is None:
        say(f"answers and verdicts are kept in {ready.keep.folder}: stopped, the same command goes on")


def _own(model: str) -> Path | None:
    """A run directory holds the data it was trained with."""
    path = Path(model).expanduser()
    return path if (path / "manifest.json").is_file() else None


def _adapter(model: str) -> bool:
    """An adapter is measured against its base by itself."""
    path = Path(model).expanduser()
    return any((folder / "adapter_config.json").is_file() for folder in (path, path / "model"))


def _print_plan(plan: EvaluationPlan, as_json: bool) -> None:
    if as_json:
        print(json.dumps(plan.to_json(), indent=2))
        return
    from rich.console import Console
    from rich.table import Table

    console = Console()
    console = console if console.is_terminal else Console(width=max(console.width, 132))
    table = Table(
        "principle",
        "level",
        "judged by",
        "tests",
        "prompts",
        "rate within",
        "least claimable change",
        box=None,
    )
    for row in plan.principles:
        table.add_row(
            row.principle,
            row.level or "-",
            "rules" if row.evidence == "exact" else row.evidence,
            str(row.tests),
            str(row.prompts),
            "-" if row.half_width is None else f"+-{100 * row.half_width:.0f} points",
            "-" if row.detectable is None else f"{100 * row.detectable:.0f} points",
        )
    console.print(table)
    told = [f"{row.principle}: {row.evidence}: {row.why}" for row in plan.principles if row.why]
    told += [
        f"{row.principle}: too few prompts for a claim"
        for row in plan.principles
        if row.half_width and not row.claimable
    ]
    told += [f"gate {gate.level} {100 * gate.bound:g}%: {gate.why}" for gate in plan.gates]
    told.append(f"{plan.answers} answers will be sampled, {plan.verdicts} verdicts asked of the judge")
    for line in told:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
