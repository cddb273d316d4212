"""``charter init``: a folder to start from."""

from __future__ import annotations

import shlex
from importlib import resources
from pathlib import Path
from typing import Annotated

import typer

from charter.errors import EnvironmentFault, UserError
from charter.rundir import write_text


def init_command(
    directory: Annotated[Path, typer.Argument(help="Where to write the starter files.")] = Path(),
) -> None:
    """Write a constitution, prompts and a recipe to start from."""
    write_starter(directory)
    typer.echo(_next_steps(directory))


def write_starter(directory: Path) -> list[Path]:
    """Write the starter files; nothing is written when one of them is there already.

    Raises:
        UserError: a file of one of the names exists, or ``directory`` is a file.
        EnvironmentFault: the directory cannot be written.
    """
    files = {directory / name: text for name, text in starter_files().items()}
    if taken := [path.name for path in files if path.exists()]:
        raise UserError(
            f"already there, and not overwritten: {', '.join(taken)}",
            where=str(directory),
            fix="choose another directory: charter init NAME",
        )
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise UserError("this is a file", where=str(directory), fix="name a directory") from None
    except OSError as error:
        raise EnvironmentFault(f"cannot be made: {error.strerror or error}", where=str(directory)) from None
    for path, text in files.items():
        write_text(path, text)
    return list(files)


def starter_files() -> dict[str, str]:
    """Content of each starter file by name."""
    shipped = [entry for entry in (resources.files("charter.cli") / "starter").iterdir() if entry.is_file()]
    return {entry.name: entry.read_text(encoding="utf-8") for entry in sorted(shipped, key=lambda e: e.name)}


def _next_steps(directory: Path) -> str:
    here = directory == Path()
    lines = [f"wrote {', '.join(starter_files())} to {'this directory' if here else directory}", "next:"]
    if not here:
        lines.append(f"  cd {shlex.quote(str(directory))}")
    lines.append("  charter constitution lint house.constitution.md   # after every change")
    lines += [
        "  charter check recipe.yaml                         # every mistake findable in seconds",
        "  charter run recipe.yaml                           # sample, judge, train, evaluate, report",
    ]
    return "\n".join(lines)
