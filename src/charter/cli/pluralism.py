"""``charter pluralism MODEL --survey FILE``: whose opinions a model gives."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from charter.cli.model_name import known_model

if TYPE_CHECKING:
    from charter.data.survey import Survey

_STEER = "Names the group in the prompt; {group} is its name. By default: Answer as this group ... would."


def pluralism_command(
    model: Annotated[
        str,
        typer.Argument(help="Known name, hub id, folder, run directory or endpoint.", callback=known_model),
    ],
    survey: Annotated[Path, typer.Option("--survey", help="Rows of question, options, group, counts.")],
    method: Annotated[
        str, typer.Option("--method", help="logprobs (of each letter) or sampling.")
    ] = "logprobs",
    n: Annotated[int, typer.Option("--n", min=2, help="Replies to each question, with sampling.")] = 20,
    steer: Annotated[str | None, typer.Option("--steer", help=_STEER)] = None,
    no_steer: Annotated[bool, typer.Option("--no-steer", help="Only ask without naming a group.")] = False,
    group: Annotated[list[str] | None, typer.Option("--group", help="Only these; may be repeated.")] = None,
    seed: Annotated[int, typer.Option(help="Of what is sampled.")] = 0,
    output: Annotated[
        Path | None, typer.Option("--output", help="Folder for pluralism.json; a stopped run goes on there.")
    ] = None,
    plan: Annotated[
        bool, typer.Option("--plan", help="Only say what it would take; no model loads.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON in place of a table.")] = False,
) -> None:
    """Distance of a model's answers from each group's. With and without naming it; worst group first."""
    from charter.data.survey import read_survey
    from charter.errors import ConfigError
    from charter.evaluation.pluralism.wording import STEER, check_steer

    if no_steer and steer is not None:
        raise ConfigError("--no-steer and --steer: give one of them")
    prompt = None if no_steer else check_steer(STEER if steer is None else steer)
    people = read_survey(survey)
    if group:
        people = people.only(dict.fromkeys(group))
    if plan:
        _print_plan(people, prompt, method, n)
        return
    from charter.evaluation.pluralism.asking import METHODS, SurveyTaker
    from charter.evaluation.pluralism.measure import measure_pluralism
    from charter.feedback.judging.open_judge import open_model
    from charter.rundir import write_json

    if method not in METHODS:
        raise ConfigError(f"method is one of {', '.join(METHODS)}, not {method!r}", where="--method")
    journal = None
    if output is not None:
        output.mkdir(parents=True, exist_ok=True)
        journal = output / "answers.jsonl"
    taker = SurveyTaker(open_model(model), method, n=n, seed=seed, journal=journal)
    found = measure_pluralism(taker, people, prompt)
    said = {"model": model, "survey": str(survey), "method": method, "steer": prompt, **found.to_json()}
    if output is not None:
        write_json(output / "pluralism.json", said)
    if as_json:
        print(json.dumps(said, indent=2, ensure_ascii=False))
    else:
        from charter.evaluation.pluralism.table import print_pluralism

        print_pluralism(found)


def _print_plan(people: Survey, prompt: str | None, method: str, n: int) -> None:
    from charter.evaluation.pluralism.measure import asked_of

    asked = sum(len(of) for of in asked_of(people, prompt).values())
    print(f"{len(people.questions)} questions, {len(people.groups)} groups: {asked} questions to the model")
    what = f"{n // 2} replies each" if method == "sampling" else "each scored once"
    print(f"in both orders of the options: {2 * asked} prompts, {what}")
