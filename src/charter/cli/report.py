"""``charter report``: the page of a run, again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def report_command(
    run: Annotated[Path, typer.Argument(help="Run directory, with its report.json.", show_default=False)],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Where to write the page [RUN/report.html].")
    ] = None,
    open_page: Annotated[bool, typer.Option("--open/--no-open", help="Show it in the browser.")] = False,
) -> None:
    """Draw a run's page again. One self-contained HTML file, from RUN/report.json.

    What other commands found is taken in where it lies beside it: consistency.json, tax.json, probes.json,
    round_trip.json and people.json.
    """
    from charter.reporting import write_report

    page = write_report(run, output)
    typer.echo(str(page))
    if open_page:
        import webbrowser

        webbrowser.open(page.resolve().as_uri())
