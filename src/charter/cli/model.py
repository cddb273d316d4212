"""``charter model``: fetch, list, find, export and mark models."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from charter.models import cache, hub
from charter.models.check import check_checkpoint
from charter.models.export import export
from charter.models.named import DEFAULT, NAMED

app = typer.Typer(no_args_is_help=True, help="Fetch, list, export and mark models.")


@app.command()
def pull(
    name: Annotated[str, typer.Argument(help="A named model, or a hub id owner/name.")] = DEFAULT,
) -> None:
    """Fetch a model into the cache, or verify the one that is there."""
    folder = hub.pull(name)
    check_checkpoint(folder)
    typer.echo(folder)


@app.command("list")
def list_models() -> None:
    """Models in the cache, with their size, and models Charter can fetch."""
    cached = {model.name: model for model in cache.listing()}
    for name in sorted({*cached, *NAMED}):
        model = cached.get(name)
        if model is None:
            typer.echo(f"{name}  not fetched yet: charter model pull {name}")
        elif model.damage:
            typer.echo(f"{name}  damaged: {model.damage}")
        else:
            typer.echo(f"{name}  {model.size / 1e6:.0f} MB  {model.path}")


@app.command()
def path(name: Annotated[str, typer.Argument(help="A model's name, folder or run directory.")]) -> None:
    """Print the folder of a model; it is fetched when missing."""
    typer.echo(hub.resolve(name))


@app.command("export")
def export_model(
    run: Annotated[str, typer.Argument(help="A run directory, a model folder, or a model's name.")],
    output: Annotated[Path, typer.Argument(help="A folder that does not exist yet.")],
    merge: Annotated[bool, typer.Option("--merge", help="Merge the adapter into its base model.")] = False,
) -> None:
    """Write a trained model for plain transformers and peft, then load it again and compare."""
    written = export(run, output, merge=merge)
    typer.echo(f"{written.kind} written to {written.path}")
    typer.echo(f"logits differ from the live model by at most {written.live_gap:.2g}")
    if written.base_gap is not None:
        typer.echo(f"logits differ from the base model by up to {written.base_gap:.2g}")
    if written.kind == "adapter":
        typer.echo(f"needs its base model: {written.base} (--merge writes one that does not)")


@app.command()
def mark(
    model: Annotated[str, typer.Argument(help="A model folder or a run directory.")],
    trained_with: Annotated[
        str, typer.Option("--trained-with", help="The algorithm: reward, cloud, process-reward, genrm ...")
    ],
    question: Annotated[str | None, typer.Option(help="What it was trained to be asked.")] = None,
    positive: Annotated[str | None, typer.Option(help="Its verdict on a right answer.")] = None,
    negative: Annotated[str | None, typer.Option(help="Its verdict on a wrong answer.")] = None,
    step_separator: Annotated[
        str | None, typer.Option("--step-separator", "--step_separator", help="Text between steps.")
    ] = None,
    reasons: Annotated[bool, typer.Option("--reasons", help="It gives reasons before its verdict.")] = False,
    open_form: Annotated[
        bool, typer.Option("--open", help="It learned from rows of `charter verdicts` alone.")
    ] = False,
) -> None:
    """Write down how a model was trained to judge, where its folder does not say so."""
    from charter.cli.model_mark import marked

    given = {
        "question": question,
        "positive": positive,
        "negative": negative,
        "step_separator": step_separator,
    }
    options = {name: value for name, value in given.items() if value is not None}
    typer.echo(marked(model, trained_with, options, reasons=reasons, open_form=open_form))
