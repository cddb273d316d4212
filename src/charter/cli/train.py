"""``charter train ALGORITHM``: each algorithm's own options as flags, from the catalogue."""

from __future__ import annotations

import types
import typing
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import typer

from charter.cli.model_name import known_model
from charter.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    from charter.catalogue import Entry


_GLANCE = 16 * 2**20
"""Bytes; a larger file takes as long to read once more as the imports take."""


def train_command(context: typer.Context) -> None:
    """Train a model. `charter train ALGORITHM --help` lists what an algorithm takes."""
    TrainGroup().main(context.args, prog_name="charter train", standalone_mode=False)


class TrainGroup(click.Group):
    """One subcommand per algorithm of the catalogue."""

    def __init__(self) -> None:
        super().__init__(help="Train a model with one of the algorithms.", no_args_is_help=True)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of the algorithms."""
        from charter.catalogue import ENTRIES  # takes a while, and ``charter --help`` does not need it

        return list(ENTRIES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command:
        """The command of one algorithm."""
        from charter.catalogue import lookup

        return _command(lookup(cmd_name))


class _TrainCommand(click.Command):
    """Explains options of TRL that mean something else here."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except click.exceptions.NoSuchOption as error:
            from charter.catalogue.from_trl import explain_trl

            name = error.option_name.lstrip("-").replace("-", "_")
            known = [p.name for p in self.params if p.name]
            reason = explain_trl(name, self.name or "") or f"no such option; {did_you_mean(name, known)}"
            raise ConfigError(f"--{name}: {reason}") from None


def _command(entry: Entry) -> click.Command:
    fixed = [
        click.Option(
            ["--model"],
            default="smollm2-135m",
            show_default=True,
            help="Known name, hub id, or folder.",
            callback=lambda _, __, value: known_model(value),
        ),
        _data_option(entry),
        click.Option(["--eval-data", "--eval_data"], help="Evaluation data for eval_steps."),
        click.Option(
            ["--output-dir", "--output_dir"],
            help="Run directory; continued when it holds an interrupted run.",
        ),
        click.Option(
            ["--objective"], help="A loss of your own, mine.py:MyLoss, in place of the algorithm's."
        ),
        click.Option(
            ["--objective-option", "--objective_option"], multiple=True, help="An option of it, name=value."
        ),
        click.Option(["--resume"], type=click.Choice(["auto", "never"]), default="auto", show_default=True),
    ]
    own = [_option(entry, name) for name in (*entry.own_options(), *_shared(entry))]
    return _TrainCommand(
        entry.name,
        params=[*fixed, *own],
        callback=_callback(entry),
        help=f"{entry.title} ({entry.paper}).\n\nBest for: {entry.best_for}.\n\nWatch: {entry.watch}.",
        short_help=entry.title,
    )


def _data_option(entry: Entry) -> click.Option:
    if entry.rollouts is None:
        return click.Option(
            ["--data"], required=True, help=f"Training data ({entry.data}): a file or hub id."
        )
    return click.Option(
        ["--data"], help="Prompts: a file, a hub id, or reasoning-gym:TASK; none = what --environment makes."
    )


def _shared(entry: Entry) -> list[str]:
    own = set(entry.own_options())
    return [name for name in entry.options.model_fields if name not in own]


def _option(entry: Entry, name: str) -> click.Option:
    field = entry.options.model_fields[name]
    kind, multiple = _kind(field.annotation)
    dashed = name.replace("_", "-")
    if kind is bool:
        # The first may stand alone before the slash: a flag named twice makes click warn.
        other = f"--{name}/--no_{name}" if name != dashed else f" /--no_{name}"
        return click.Option(
            [f"--{dashed}/--no-{dashed}", other, name],
            default=None,
            help=f"{field.description} [{field.default}]",
        )
    shown = "must be given" if field.is_required() else field.default
    flags = sorted({f"--{name}", f"--{dashed}"}, reverse=True)
    return click.Option(
        [*flags, name],
        type=kind,
        multiple=multiple,
        default=None,
        help=f"{field.description} [{shown}]",
    )


def _kind(annotation: Any) -> tuple[Any, bool]:
    """Click type of a field, and whether it may be given several times."""
    arguments = typing.get_args(annotation)
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        return _kind(arguments[0])
    if origin in (typing.Union, types.UnionType):
        kinds = [_kind(a) for a in arguments if a is not type(None)]
        # One value or a list of them: the flag may be given several times.
        return next((kind for kind in kinds if kind[1]), kinds[0])
    if origin is typing.Literal:
        return click.Choice([str(a) for a in arguments]), False
    if origin is tuple:
        return _kind(arguments[0])[0], True
    return annotation, False


def _callback(entry: Entry) -> Callable[..., None]:
    def train(**values: Any) -> None:
        options = {k: v for k, v in values.items() if k in entry.options.model_fields and v not in (None, ())}
        options = {k: list(v) if isinstance(v, tuple) else v for k, v in options.items()}
        from charter.pipeline.recipe import train_options

        train_options(entry.name, options, f"charter train {entry.name}")
        for source in (values["data"], values["eval_data"]):
            if source is not None:
                _glance(source, entry)
        from charter import api

        run = api.train(
            entry.name,
            values["model"],
            values["data"],
            output_dir=values["output_dir"],
            eval_data=values["eval_data"],
            objective=values["objective"],
            objective_options=_pairs(values["objective_option"]),
            resume=values["resume"],
            **options,
        )
        print(f"{run.result['line']}\nmodel: {run.path / 'model'}")

    return train


def _glance(source: str, entry: Entry) -> None:
    """Name a mistake in a small file of rows before all that trains is imported, which takes seconds.

    Raises:
        DataError: no such file, or a mistake in it.
    """
    from charter.data.formats import load_groups
    from charter.data.read import is_hub_id
    from charter.environments.tasks import is_task_spec
    from charter.records import is_groups_file

    path = Path(source)
    if path.is_dir() or is_task_spec(source) or is_groups_file(source):
        return
    quick = path.stat().st_size <= _GLANCE if path.exists() else not is_hub_id(source)
    if quick:
        load_groups(source, "prompts" if entry.rollouts is not None else entry.data)


def _pairs(written: tuple[str, ...]) -> dict[str, Any]:
    """``name=value`` options, values as YAML reads them."""
    import yaml

    found: dict[str, Any] = {}
    for text in written:
        name, equals, value = text.partition("=")
        if not equals:
            raise ConfigError(f"--objective-option {text!r} must look like name=value")
        found[name.strip()] = yaml.safe_load(value)
    return found
