"""``charter constitution``: lint, show and write constitutions; the sibling files hold the rest."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from charter.cli.constitution_amend import register as register_amending
from charter.cli.constitution_exchange import diff_command, export_command, import_command, training_texts
from charter.cli.constitution_recover import recover_command
from charter.errors import ConstitutionError, Interrupted, UserError

if TYPE_CHECKING:
    from charter.constitution import Constitution, Principle
    from charter.constitution.findings import Finding

app = typer.Typer(help="Check, show and write constitutions.", no_args_is_help=True)
app.command("diff")(diff_command)
app.command("import")(import_command)
app.command("export")(export_command)
app.command("recover")(recover_command)
register_amending(app)

File = Annotated[Path, typer.Argument(help="The constitution, NAME.constitution.md.", metavar="FILE")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Train = Annotated[
    list[Path] | None,
    typer.Option("--train", help="Training data that no test may stand in; may be given more than once."),
]


@app.command()
def lint(file: File, as_json: AsJson = False, train: Train = None) -> None:
    """Find what is wrong, unmeasured or unclear. Exit 0: no errors; 1: errors."""
    findings = _findings(file, train or [])
    errors = sum(finding.level == "error" for finding in findings)
    counts = {"errors": errors, "warnings": len(findings) - errors}
    if as_json:
        found = [finding.to_dict() for finding in findings]
        typer.echo(json.dumps({"path": str(file), **counts, "findings": found}, indent=2, ensure_ascii=False))
    else:
        for finding in findings:
            typer.echo(_line(finding))
        typer.echo(f"{file}: {_count(errors, 'error')}, {_count(counts['warnings'], 'warning')}")
    if errors:
        raise typer.Exit(1)


@app.command()
def show(file: File, as_json: AsJson = False) -> None:
    """Show levels, principles, and how each is measured."""
    from charter.constitution import Constitution

    constitution = Constitution.load(file)
    if as_json:
        typer.echo(constitution.to_json())
        return
    from rich.console import Console

    console = Console()
    console.print(_head(constitution), markup=False, highlight=False, soft_wrap=True)
    console.print(_table(constitution))
    for principle in sorted(constitution.active, key=constitution.rank):
        told = f"{principle.id}: {_measured_by(principle)}"
        console.print(told, markup=False, highlight=False, soft_wrap=True)


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
    lint(file)


# -- lint and show ------------------------------------------------------------


def _findings(file: Path, train: list[Path]) -> list[Finding]:
    from charter.constitution import Constitution
    from charter.constitution.constitution import read_text
    from charter.constitution.findings import Finding
    from charter.constitution.lint import lint as lint_text
    from charter.constitution.lint_training import lint_training
    from charter.constitutions import located
    from charter.feedback.lint_rules import lint_rules

    file = Path(located(file))
    text = read_text(file)
    try:
        constitution = Constitution.from_text(text, file)
    except ConstitutionError as error:
        return [Finding("error", "unreadable", "", error.where or str(file), error.what, error.fix or "")]
    found = lint_text(constitution) + lint_rules(constitution)
    found += lint_training(constitution, training_texts(train)) if train else []
    return sorted(found, key=lambda finding: int(finding.where.rpartition(":")[2]))


def _line(finding: Finding) -> str:
    about = f"{finding.principle}: " if finding.principle else ""
    fix = f"\n  fix: {finding.fix}" if finding.fix else ""
    return f"{finding.where}: {finding.level}: {about}{finding.message} [{finding.code}]{fix}"


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"


def _head(constitution: Constitution) -> str:
    licence = f", {constitution.licence}" if constitution.licence else ""
    per_level = {level: sum(p.level == level for p in constitution.active) for level in constitution.levels}
    levels = " > ".join(f"{level} ({number})" for level, number in per_level.items())
    return (
        f"{constitution.name} {constitution.version}{licence}\n"
        f"sha {constitution.sha[:12]}, {_count(len(constitution.active), 'principle')}\n"
        f"levels: {levels}"
    )


def _table(constitution: Constitution) -> Any:
    from rich.table import Table
    from rich.text import Text

    table = Table(pad_edge=False)
    for column in ("principle", "level", "weight", "measured by"):
        table.add_column(column, overflow="fold")
    for column in ("good", "bad", "tests"):
        table.add_column(column, justify="right")
    for principle in sorted(constitution.principles, key=constitution.rank):
        table.add_row(*(Text(cell) for cell in _row(principle)))
    return table


def _row(principle: Principle) -> tuple[str, ...]:
    status = "" if principle.active else " (retired)"
    hard = ", hard" if principle.hard else ""
    counts = (len(principle.answers("good")), len(principle.answers("bad")), len(principle.tests))
    return (
        principle.id + status,
        principle.level or "none",
        f"{principle.weight:g}{hard}",
        principle.measured_by,
        *map(str, counts),
    )


def _measured_by(principle: Principle) -> str:
    if principle.rules is not None:
        return principle.rules.describe()
    if principle.rubric is not None:
        return "by a judge with the rubric"
    return "by nothing yet: it has neither rules nor a rubric"


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
