"""``charter judge-card JUDGE --constitution FILE``: what a judge is worth, and what it may be used for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from charter.evaluation.judge_card.card import JudgeCard
    from charter.evaluation.judge_card.criterion import Criterion

_JUDGE = "The judge: a model, endpoint:MODEL@URL, rules, or longest (the baseline that reads nothing)."
_LABELS = "Rows that people labelled: principle, prompt, completion, label; rater and model where known."
_ANCHOR = "Verdicts on a frozen set of items: written where there is no such file, else compared with."
_OWN = "A name in the labels' model column that is the judge's own model or family."


def judge_card_command(
    judge: Annotated[str, typer.Argument(help=_JUDGE)],
    constitution: Annotated[Path, typer.Option("--constitution", help="The constitution file.")],
    labels: Annotated[Path | None, typer.Option("--labels", help=_LABELS)] = None,
    principle: Annotated[
        list[str] | None,
        typer.Option("--principle", help="Only this one; by default those that rules do not settle."),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Principles that rules settle as well.")] = False,
    form: Annotated[str | None, typer.Option("--form", help="How a model is asked.")] = None,
    anchor: Annotated[Path | None, typer.Option("--anchor", help=_ANCHOR)] = None,
    own_model: Annotated[list[str] | None, typer.Option("--own-model", help=_OWN)] = None,
    output: Annotated[Path | None, typer.Option("--output", help="File for the card as JSON.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON in place of a table.")] = False,
) -> None:
    """Examine a judge. Exit code 0: usable for every principle; 1: refused for one; 6: undecided."""
    from charter.constitution import Constitution
    from charter.errors import ConfigError
    from charter.evaluation.judge_card.drift import Anchor
    from charter.evaluation.judge_card.examine import examine
    from charter.evaluation.judge_card.labels import read_labels
    from charter.evaluation.judge_card.subjects import open_subject
    from charter.rundir import write_json

    rules = Constitution.load(constitution)
    if every and principle:
        raise ConfigError("--all and --principle exclude each other", where="--all")
    only = [one.id for one in rules.active if one.type != "definition"] if every else principle or ()
    people = read_labels(labels, rules) if labels else None
    then = Anchor.read(anchor) if anchor is not None and anchor.exists() else None
    subject = open_subject(judge, form=form or rules.judge.executor, own_models=own_model or ())
    card = examine(subject, rules, labels=people, only=only, anchor=then)
    if anchor is not None and then is None:
        Anchor(card.judge, card.anchors).write(anchor)
    if output is not None:
        write_json(output, card.to_json())
    if as_json:
        print(json.dumps(card.to_json(), indent=2, ensure_ascii=False))
    else:
        _print(card)
    if card.exit_code:
        raise typer.Exit(card.exit_code)


def _print(card: JudgeCard) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    console = console if console.is_terminal else Console(width=max(console.width, 132))
    table = Table(
        "principle", "may be used", "pairs in order", "passes good", "fails bad", "labels", box=None
    )
    for one in card.principles:
        errors = one.errors
        table.add_row(
            one.principle,
            one.use,
            _number(one.criterion("pairs")),
            _share(errors.sensitivity if errors else None),
            _share(errors.specificity if errors else None),
            str(errors.labels) if errors else "0",
        )
    console.print(table)
    for line in lines(card):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def lines(card: JudgeCard) -> list[str]:
    """Every criterion in a sentence, those of the judge as a whole first."""
    told = ["", "over all principles:"]
    told += [_line(one) for one in card.wide]
    for principle in card.principles:
        told += ["", f"{principle.principle}: {principle.use}"]
        told += [_line(one) for one in principle.criteria]
        if principle.kappa is not None and principle.kappa.value is not None:
            kappa = principle.kappa
            told.append(
                f"  kappa with people: {kappa.value:.2f} ({kappa.interval.lo:.2f} to {kappa.interval.hi:.2f})"
            )
        if principle.alt_test is not None:
            told.append(f"  stand-in for a person: {_alt(principle.alt_test.passed, principle.alt_test.why)}")
        told += [f"  {count} verdicts missing: {why}" for why, count in principle.missing.items()]
    told += [f"{count} left out: {why}" for why, count in card.left_out.items()]
    return told


def _line(one: Criterion) -> str:
    return f"  {one.result.replace('_', ' ')}: {one.name}: {one.why}"


def _number(one: Criterion) -> str:
    if one.value is None or one.interval is None:
        return "not measured"
    return f"{one.value:.0%} of {one.n} ({one.interval.lo:.0%} to {one.interval.hi:.0%})"


def _share(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.0%}"


def _alt(passed: bool | None, why: str) -> str:
    return f"undecided: {why}" if passed is None else "yes" if passed else "no"
