"""``charter algorithms``: the catalogue, one algorithm's page, or several side by side."""

from __future__ import annotations

from typing import Annotated

import typer


def command(
    names: Annotated[
        list[str] | None, typer.Argument(help="One name, or `compare` and several; all when left out.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the entries as JSON.")] = False,
) -> None:
    """List the algorithms, explain one, or compare several."""
    # The catalogue takes a while to build, and ``charter --help`` does not need it.
    from charter.cli.algorithm_pages import algorithms_command

    algorithms_command(names, json)
