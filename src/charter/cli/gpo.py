"""``charter gpo``: what a group of people would prefer, from a few of its answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from charter.cli.model_name import known_model

if TYPE_CHECKING:
    from charter.evaluation.pluralism.few_shot import FewShotRow
    from charter.evaluation.pluralism.measure import Measured

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

_SURVEY = "Rows of question, options, group, counts (or shares)."


@app.command("train")
def train_command(
    survey: Annotated[Path, typer.Option("--survey", help=_SURVEY)],
    output: Annotated[Path, typer.Option("--output", help="Folder; a stopped training goes on there.")],
    model: Annotated[
        str, typer.Option("--model", help="Reads questions and options.", callback=known_model)
    ] = "smollm2-135m",
    held_out: Annotated[
        list[str] | None,
        typer.Option("--held-out", help="A group that is kept for the test; may be repeated."),
    ] = None,
    steps: Annotated[int, typer.Option(min=1, help="Optimizer steps.")] = 3000,
    learning_rate: Annotated[float, typer.Option(help="Peak, of Adam.")] = 1e-3,
    width: Annotated[int, typer.Option(min=1, help="Of the transformer.")] = 128,
    layers: Annotated[int, typer.Option(min=1, help="Of the transformer.")] = 6,
    depth: Annotated[float, typer.Option(help="Share of the model's layers that read.")] = 0.4,
    seed: Annotated[int, typer.Option(help="Of first weights and of what is drawn.")] = 0,
    bf16: Annotated[bool, typer.Option(help="Compute the model in bfloat16.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON in place of a table.")] = False,
) -> None:
    """Learn over groups; test on those held out, beside baselines."""
    from charter.data.survey import read_survey, split_groups
    from charter.feedback.gpo.folder import CHECKPOINT, FEATURES, check_folder, save_gpo
    from charter.feedback.gpo.train import GPOTraining, train_network
    from charter.feedback.judging.distilled.features import Reading
    from charter.models.gpo import GPOShape

    training = GPOTraining(steps=steps, learning_rate=learning_rate, seed=seed)
    reading = Reading(depth=depth)
    GPOShape(features=1, width=width, layers=layers)  # mistakes are found before a model loads
    people = read_survey(survey)
    train, test = (people, None) if not held_out else split_groups(people, held_out)
    check_folder(output)
    from charter.feedback.gpo.features import Embedder
    from charter.feedback.gpo.predictor import GPO
    from charter.models.load import load

    output.mkdir(parents=True, exist_ok=True)
    embedder = Embedder(load(model, bf16=bf16), reading, output / FEATURES)
    features = embedder.questions(people.questions)
    shape = GPOShape(next(iter(features.values())).shape[1], width=width, layers=layers)
    network, losses = train_network(train, features, shape, training, output / CHECKPOINT)
    gpo = GPO(network, reading, model, embedder.digest, train.groups)
    said: dict[str, Any] = {"survey": str(survey), "steps": steps, "last_loss": losses[-1]}
    rows: list[FewShotRow] = []
    if test is not None:
        from charter.evaluation.pluralism.few_shot import few_shot
        from charter.feedback.gpo.baselines import baselines, of_gpo

        most = min(len(test.asked(group)) for group in test.groups) - 1
        sizes = [size for size in (0, 2, 5, 10, 20) if size <= most]
        predictors = {"gpo": of_gpo(gpo, features), **baselines(train, features)}
        rows = few_shot(predictors, test, sizes, seed=seed)
        said["held_out"] = [row.to_json() for row in rows]
    save_gpo(gpo, output, said)
    if as_json:
        print(json.dumps(said, indent=2, ensure_ascii=False))
    elif rows:
        _print(rows)


@app.command("predict")
def predict_command(
    folder: Annotated[Path, typer.Argument(help="What charter gpo train wrote.")],
    examples: Annotated[Path, typer.Option("--examples", help=f"What groups answered. {_SURVEY}")],
    questions: Annotated[Path, typer.Option("--questions", help="Rows of question and options.")],
    model: Annotated[
        str | None,
        typer.Option("--model", help="By default, the one it learned with.", callback=known_model),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", help="File; by default they are printed.")
    ] = None,
    bf16: Annotated[bool, typer.Option(help="Compute the model in bfloat16, as it was for training.")] = True,
) -> None:
    """Predict each group's shares of each option, with standard deviations."""
    from charter.data.survey import read_questions, read_survey
    from charter.feedback.gpo.folder import load_gpo
    from charter.rundir import write_jsonl

    people, asked = read_survey(examples), read_questions(questions)
    gpo = load_gpo(folder)
    from charter.feedback.gpo.features import Embedder
    from charter.models.load import load

    embedder = Embedder(load(model or gpo.model, bf16=bf16), gpo.reading)
    gpo.check_model(embedder.digest)
    features = embedder.questions([*people.questions, *asked])
    rows = []
    for group in people.groups:
        context = dict(people.shares[group])
        targets = [one for one in asked if one.text not in context]
        if not targets:
            continue
        found = gpo.predict(features, context, [one.text for one in targets])
        rows += [
            {
                "group": group,
                "question": one.text,
                "options": list(one.options),
                "shares": [round(float(share), 6) for share in predicted.shares],
                "std": [round(float(std), 6) for std in predicted.std],
                "known": len(context),
            }
            for one, predicted in zip(targets, found, strict=True)
        ]
    if output is not None:
        write_jsonl(output, rows)
    else:
        for row in rows:
            print(json.dumps(row, ensure_ascii=False))


def _print(rows: list[FewShotRow]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("known answers", "predictor", "distance [95%]", "worst group [95%]")
    for row in sorted(rows, key=lambda one: (one.known, one.js.value or 0.0)):
        name, value = row.worst
        table.add_row(str(row.known), row.predictor, _cell(row.js), f"{name} {_cell(value)}")
    Console().print(table)


def _cell(one: Measured) -> str:
    interval = "" if one.interval is None else f" [{one.interval.lo:.3f}, {one.interval.hi:.3f}]"
    return f"{one.value:.3f}{interval}"
