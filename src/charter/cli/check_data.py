"""The tables of ``charter check DATA``."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from charter.data.check import DataCheck
from charter.data.findings import Severity

_STYLES: dict[Severity, str] = {"error": "bold red", "warning": "yellow", "info": "dim"}


def print_check(check: DataCheck) -> None:
    """Print counts, lengths and findings to standard output."""
    console = Console()
    console.print(Text(f"{check.name}: {check.groups} groups read as {check.kind!r}", style="bold"))
    console.print(_counts(check))
    if check.lengths:
        console.print(_lengths(check))
    if check.findings:
        console.print(_findings(check))
    verdict = "training would accept every row" if check.ok else "training would refuse some rows"
    console.print(Text(verdict, style="green" if check.ok else "bold red"))


def _counts(check: DataCheck) -> Table:
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_column(justify="right")
    table.add_column()
    for what, count in check.counts.items():
        table.add_row(str(count), Text(what))
    for kind, count in check.formats.items():
        table.add_row(str(count), Text(f"rows look like {kind!r}"))
    for role, count in check.roles.items():
        table.add_row(str(count), Text(f"{role} turns"))
    return table


def _lengths(check: DataCheck) -> Table:
    names = list(next(iter(check.lengths.values())))
    table = Table("length", *names, box=None, padding=(0, 2, 0, 0))
    for measure, values in check.lengths.items():
        table.add_row(measure, *(str(values[name]) for name in names))
    return table


def _findings(check: DataCheck) -> Table:
    table = Table("", "finding", "where", box=None, padding=(0, 2, 0, 0))
    for finding in check.findings:
        severity = Text(finding.severity, style=_STYLES[finding.severity])
        table.add_row(severity, Text(finding.message), Text("\n".join(finding.examples)))
    return table
