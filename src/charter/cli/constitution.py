"""``charter constitution``: new ones; the sibling files hold the other commands."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Annotated

import typer

from charter.cli.constitution_amend import register as register_amending
from charter.cli.constitution_exchange import diff_command, export_command, import_command
from charter.cli.constitution_lint import lint_command
from charter.cli.constitution_recover import recover_command
from charter.cli.constitution_show import show_command
from charter.errors import Interrupted, UserError

app = typer.Typer(help="Check, show and write constitutions.", no_args_is_help=True)
app.command("lint")(lint_command)
app.command("show")(show_command)
app.command("diff")(diff_command)
app.command("import")(import_command)
app.command("export")(export_command)
app.command("recover")(recover_command)
register_amending(app)

File = Annotated[Path, typer.Argument(help="The constitution, NAME.constitution.md.", metavar="FILE")]


@app.command()
def new(
    file: File,
    minimal: Annotated[bool, typer.Option("--minimal", help="Ask nothing; write a small starter.")] = False,
    source: Annotated[
        str | None, typer.Option("--from", help="Ask nothing; copy a file, or one that comes with Charter.")
    ] = None,
) -> None:
    """Write a new constitution, one question at a time. Nothing is written before the last answer."""
    from charter.cli.constitution_interview import interview
    from charter.constitution import Constitution
    from charter.constitution.draft import STARTER, render
    from charter.constitution.parse import name_from
    from charter.rundir import write_text

    if not file.suffix:
        file = file.with_name(f"{file.name}.constitution.md")
    _can_create(file)
    name = name_from(str(file))
    if source is not None:
        if minimal:
            raise UserError("--minimal and --from exclude each other", fix="give one of them")
        text = _renamed(source, name)
    else:
        try:
            name, principles = (name, list(STARTER)) if minimal else interview(name)
        except (typer.Abort, KeyboardInterrupt):
            raise Interrupted("stopped; nothing was written") from None
        text = render(name, principles)
    Constitution.from_text(text, file)
    _can_create(file)
    write_text(file, text)
    typer.echo(f"wrote {file}")
    lint_command(file)


def _renamed(source: str, name: str) -> str:
    """The text of ``source`` with ``name`` as its name; files without front matter keep none."""
    from charter.constitution import Constitution

    constitution = Constitution.load(source)
    text = Path(constitution.path).read_text(encoding="utf-8")
    if not constitution.has_front_matter:
        return text
    head, end, rest = text.partition("\n---")
    return re.sub(r"(?m)^name:.*$", f"name: {json.dumps(name)}", head, count=1) + end + rest


def _can_create(file: Path) -> None:
    if file.exists():
        raise UserError("the file exists already", where=str(file), fix="choose another name, or edit it")
    if not file.parent.is_dir():
        raise UserError("no such directory", where=str(file.parent), fix="make it first")
    if not os.access(file.parent, os.W_OK):
        raise UserError("the directory cannot be written", where=str(file.parent), fix="choose another one")
