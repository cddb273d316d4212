"""``charter evaluate MODEL --constitution FILE``: adherence with intervals, usable as a gate."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from charter.evaluation.planning import EvaluationPlan

_JUDGE = "Judges what rules leave open: a model's name or folder, or endpoint:MODEL@URL."
_CARD = "The judge's card (charter judge-card --output); without one the judge is examined first."
_LABELS = "Rows that people labelled (principle, prompt, completion, label): they calibrate the judge."
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
    judge: Annotated[str | None, typer.Option("--judge", help=_JUDGE)] = None,
    card: Annotated[Path | None, typer.Option("--card", help=_CARD)] = None,
    labels: Annotated[Path | None, typer.Option("--labels", help=_LABELS)] = None,
    plan: Annotated[bool, typer.Option("--plan", help=_PLAN)] = False,
    since: Annotated[Path | None, typer.Option("--since", help=_SINCE)] = None,
    run: Annotated[Path | None, typer.Option("--run", help=_RUN)] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Directory for report.json, report.html and the answers.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Of sampled answers, bootstrap and draws.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was found as JSON.")] = False,
) -> None:
    """Measure adherence. Exit code 0: gates pass, 1: a gate failed or the model is flagged, 6: undecided."""
    from charter.constitution import Constitution
    from charter.data.formats import load_groups

    rules = Constitution.load(constitution)
    if prompts is not None:
        load_groups(str(prompts), "prompts")
    from charter.pipeline.evaluating import in_question, open_given, plan_of

    rules = in_question(rules, principle or (), changed_from)
    # All of it is checked before the model loads; it is opened again where it is used.
    given = open_given(
        rules, judge=judge, card=card, labels=labels, since=since, run=run or _own(model), policy=model
    )
    if plan:
        paired = against is not None or system_prompt is not None or in_context is not None or _adapter(model)
        told = plan_of(rules, given, prompts, num_generations=num_generations, paired=paired)
        _print_plan(told, as_json)
        return
    from charter import api
    from charter.evaluation.limits import limit_lines
    from charter.evaluation.report_json import evidence_of
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
        judge=judge,
        card=card,
        labels=labels,
        since=since,
        run=run or _own(model),
        out=out,
        seed=seed,
    )
    evidence = evidence_of(found, rules, taught=given.taught, older=given.older)
    if as_json:
        print(json.dumps(evidence, indent=2))
    else:
        print_table(found.card)
        for row in found.health:
            before = "" if row["before"] is None else f"{row['before']:.3g} -> "
            print(f"{row['label']}: {before}{row['after']:.3g} {row['unit']}".rstrip())
        for line in limit_lines(evidence["limits"], evidence["since"]):
            print(f"limit: {line}")
        if out is not None:
            print(f"report: {out / 'report.html'}")
    for flag in found.flags:
        print(f"FLAG: {flag}", file=sys.stderr)
    raise typer.Exit(found.card.exit_code or (1 if found.flags else 0))


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
