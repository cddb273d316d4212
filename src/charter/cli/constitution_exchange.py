"""``charter constitution diff, import, export``: a constitution's life outside its file."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from charter.errors import UserError

if TYPE_CHECKING:
    from charter.constitution.exchange import Remark

_SHOWN = 10

Output = Annotated[Path | None, typer.Option("--output", "-o", help="Write here; else to standard output.")]
Force = Annotated[bool, typer.Option("--force", help="Overwrite the output.")]


def diff_command(
    old: Annotated[Path, typer.Argument(help="The version before.", metavar="OLD")],
    new: Annotated[Path, typer.Argument(help="The version after.", metavar="NEW")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Exit 1 unless the version says it.")] = False,
) -> None:
    """Compare two versions: what changed, which tests to run again, which version is due."""
    from charter.cli.constitution_diff import lines_of
    from charter.constitution import Constitution
    from charter.constitution.diff import diff

    found = diff(Constitution.load(old), Constitution.load(new))
    if as_json:
        typer.echo(json.dumps(found.to_dict(), indent=2, ensure_ascii=False))
    else:
        for line in lines_of(found):
            typer.echo(line)
    if check and not found.version_ok:
        raise typer.Exit(1)


def import_command(
    source: Annotated[Path, typer.Argument(help="The file to read.", metavar="SOURCE")],
    format: Annotated[str, typer.Option("--format", help="Its format; else by what it looks like.")] = "",
    output: Output = None,
    force: Force = False,
    name: Annotated[str, typer.Option("--name", help="Name of the constitution; else from the file.")] = "",
    licence: Annotated[str, typer.Option("--licence", help="SPDX name of the text's licence.")] = "",
    level: Annotated[
        str, typer.Option("--level", help="Level of authority, where the format knows none.")
    ] = "user",
    examples: Annotated[
        int, typer.Option("--examples", min=0, help="Most examples per principle, of annotated pairs.")
    ] = 8,
    tests: Annotated[
        Path | None, typer.Option("--tests", help="Folder of prompts that goes with a Model Spec.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON what came of it.")] = False,
) -> None:
    """Make a constitution of a file from elsewhere, and say what could not come along.

    Formats: model-spec, speceval, hf-constitutions, principle-list, annotated-pairs,
    open-character, plain-list.
    """
    from charter.constitution.exchange import ImportOptions, import_file

    if as_json and output is None:
        raise UserError(
            "--json says what came of it where the constitution goes", where="--json", fix="add --output FILE"
        )
    can_write(output, force)
    options = ImportOptions(name, licence, level, examples, str(tests) if tests else "")
    found = import_file(source, format, options)
    write(output, found.text)
    if as_json:
        typer.echo(json.dumps({"path": str(output), **found.to_dict()}, indent=2, ensure_ascii=False))
        return
    told = [f"read {source} as {found.format}", *_counted(found.counts)]
    told += _remarks("not carried over", found.left_out) + _remarks("written otherwise", found.altered)
    if output:
        told.append(f"wrote {output}; see what it still lacks: charter constitution lint {output}")
    for line in told:
        typer.echo(line, err=output is None)


def export_command(
    file: Annotated[Path, typer.Argument(help="The constitution, NAME.constitution.md.", metavar="FILE")],
    to: Annotated[str, typer.Option("--to", help="The format.")],
    output: Output = None,
    force: Force = False,
) -> None:
    """Write a constitution for other tools.

    Formats: system-prompt, critiques, rubric, preferences, annotated-pairs, inspect.
    """
    from charter.constitution import Constitution
    from charter.constitution.exchange import export

    can_write(output, force)
    found = export(Constitution.load(file), to)
    write(output, found.text)
    told = [*_counted(found.counts), *_remarks("not carried over", found.left_out)]
    if output:
        told.append(f"wrote {output}")
    for line in told:
        typer.echo(line, err=output is None)


def training_texts(files: Sequence[Path]) -> Iterator[tuple[str, str]]:
    """(where, text) of every turn and text in training data."""
    from charter.data.formats import load_groups

    for file in files:
        for group in load_groups(str(file)).groups:
            for sample in group.samples:
                for content in (sample.context.content, sample.completion.content):
                    if isinstance(content, str):
                        yield group.source, content
                    else:
                        yield from ((group.source, turn.content) for turn in content)


# -- output -------------------------------------------------------------------


def _counted(counts: Mapping[str, int]) -> list[str]:
    width = max((len(str(number)) for number in counts.values()), default=1)
    return [f"  {number:>{width}} {what}" for what, number in counts.items()]


def _remarks(title: str, remarks: Sequence[Remark]) -> list[str]:
    """Remarks of one wording together, each with the places it is about."""
    if not remarks:
        return []
    places: dict[str, list[str]] = {}
    for remark in remarks:
        places.setdefault(remark.what, []).append(remark.where)
    lines = [f"{title}: {len(remarks)}"]
    for what, count in Counter({what: len(where) for what, where in places.items()}).most_common():
        shown = ", ".join(places[what][:_SHOWN])
        more = f", and {count - _SHOWN} more" if count > _SHOWN else ""
        lines.append(f"  {count} x {what} ({shown}{more})")
    return lines


def can_write(output: Path | None, force: bool) -> None:
    """Refuse an output that could not be written, before anything is read."""
    if output is None:
        return
    if output.is_dir():
        raise UserError("is a directory", where=str(output), fix="name a file in it")
    if output.exists() and not force:
        raise UserError("the file exists already", where=str(output), fix="choose another name, or --force")
    if not output.parent.is_dir():
        raise UserError("no such directory", where=str(output.parent), fix="make it first")
    if not os.access(output.parent, os.W_OK):
        raise UserError("the directory cannot be written", where=str(output.parent), fix="choose another one")


def write(output: Path | None, text: str) -> None:
    """To the file, or to standard output."""
    from charter.rundir import write_text

    if output is None:
        typer.echo(text, nl=False)
    else:
        write_text(output, text)
