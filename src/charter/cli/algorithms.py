"""``charter algorithms``: the catalogue, one algorithm's page, or several side by side."""

from __future__ import annotations

import json as json_format
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from charter.catalogue import ENTRIES, Entry, TrainOptions, lookup
from charter.catalogue.entry import option_json
from charter.catalogue.from_trl import trl_fields
from charter.errors import ConfigError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_PIPE_WIDTH = 100
"""Columns when the output is a file or a pipe."""
_WIDEST_TYPE = 14
"""A longer list of choices goes into the meaning, or it would take the meaning's room."""


def command(
    names: Annotated[
        list[str] | None, typer.Argument(help="One name, or `compare` and several; all when left out.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the entries as JSON.")] = False,
) -> None:
    """List the algorithms, explain one, or compare several."""
    algorithms_command(names, json)


def algorithms_command(names: Sequence[str] | None = None, json: bool = False) -> None:
    """Print the catalogue, an algorithm's page, or ``compare A B ...`` side by side.

    Args:
        names: what was typed: nothing, one name, or ``compare`` and names.
        json: print entries as JSON instead: all of them, or those named.

    Raises:
        ConfigError: no algorithm of that name, with the nearest; nothing to compare.
    """
    chosen = _chosen(list(names or ()))
    if json:
        entries = chosen or tuple(ENTRIES.values())
        print(json_format.dumps([entry.to_json() for entry in entries], indent=2))
        return
    console = _console()
    if not chosen:
        _print_all(console)
    elif len(chosen) == 1:
        _print_page(console, chosen[0])
    else:
        _print_comparison(console, chosen)


def _chosen(names: list[str]) -> tuple[Entry, ...]:
    if names[:1] != ["compare"]:
        if len(names) > 1:
            raise ConfigError("one name at a time", fix="charter algorithms compare " + " ".join(names))
        return tuple(lookup(name) for name in names)
    entries = tuple(dict.fromkeys(lookup(name) for name in names[1:]))
    if len(entries) < 2:
        raise ConfigError("nothing to compare", fix="name two algorithms, as in: compare sft dpo")
    return entries


def _console() -> Console:
    from rich.console import Console

    console = Console(markup=False, highlight=False)
    return console if console.is_terminal else Console(markup=False, highlight=False, width=_PIPE_WIDTH)


def _table(*columns: str) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        # A name broken over two lines cannot be copied.
        table.add_column(column, overflow="fold", no_wrap=column in ("name", "option"))
    return table


def _print_all(console: Console) -> None:
    table = _table("name", "what it is", "family", "data", "models in memory", "paper")
    for entry in ENTRIES.values():
        table.add_row(
            entry.name, entry.title, entry.family, entry.data, ", ".join(entry.models), _paper(entry.paper)
        )
    console.print(table)
    console.print("charter algorithms NAME shows one; charter algorithms compare A B puts them side by side")


def _print_page(console: Console, entry: Entry) -> None:
    console.print(f"{entry.name}: {entry.title}", style="bold")
    console.print()
    facts = _table("", "")
    facts.show_header = False
    for label, text in _facts(entry).items():
        facts.add_row(label, text)
    console.print(facts)
    own = entry.own_options()
    common = [name for name in entry.options.model_fields if name not in own]
    if own:
        _print_options(console, f"Options of {entry.name}", entry, own)
    _print_options(console, "Options every algorithm has", entry, common)
    _print_trl(console, entry)


def _print_options(console: Console, title: str, entry: Entry, names: Sequence[str]) -> None:
    console.print(title, style="bold")
    table = _table("option", "type", "default", "meaning")
    for name in names:
        option = option_json(entry.options, name)
        kind, meaning = option["type"], option["meaning"]
        if len(kind) > _WIDEST_TYPE:
            kind, meaning = "choice", f"{meaning} One of: {kind.replace(' | ', ', ')}."
        table.add_row(name, kind, _shown(option["default"]), meaning)
    console.print(table)


def _print_trl(console: Console, entry: Entry) -> None:
    fields = trl_fields(entry.name).values()
    if not fields:
        return
    console.print("TRL's names", style="bold")
    same = [field.name for field in fields if field.status == "same"]
    renamed = [f"{field.name} is {field.to}" for field in fields if field.status == "renamed"]
    refused = [field for field in fields if field.status == "refused"]
    console.print("the same here: " + ", ".join(same))
    console.print("renamed: " + ", ".join(renamed))
    only_here = [f for f in refused if f.algorithms == (entry.name,)]
    if only_here:
        table = _table("option", "refused because")
        for field in only_here:
            table.add_row(field.name, field.note)
        console.print(table)
    others = len(refused) - len(only_here)
    console.print(f"{others} more are refused, each with its reason: docs/from-trl.md")


def _print_comparison(console: Console, entries: Sequence[Entry]) -> None:
    table = _table("", *(entry.name for entry in entries))
    facts = [{"what it is": entry.title} | _facts(entry) for entry in entries]
    for label in facts[0]:
        table.add_row(label, *(fact[label] for fact in facts))
    for name in _differing_options(entries):
        table.add_row(name, *(_default_in(entry, name) for entry in entries))
    console.print(table)


def _facts(entry: Entry) -> dict[str, str]:
    return {
        "family": entry.family,
        "data": entry.data,
        "loss": " + ".join(_term(term.objective, term.weight) for term in entry.terms),
        "reference": entry.reference,
        "models in memory": ", ".join(entry.models),
        "best for": entry.best_for,
        "watch out": entry.watch,
        "paper": _paper(entry.paper),
    }


def _differing_options(entries: Sequence[Entry]) -> list[str]:
    """Options some entry lacks or that have another default: the common ones first."""
    names = dict.fromkeys([*TrainOptions.model_fields, *(n for e in entries for n in e.options.model_fields)])
    return [name for name in names if len({_default_in(entry, name) for entry in entries}) > 1]


def _default_in(entry: Entry, name: str) -> str:
    info = entry.options.model_fields.get(name)
    return "-" if info is None else _shown(info.default)


def _term(objective: str, weight: float | str) -> str:
    return objective if weight == 1 else f"{weight} x {objective}"


def _paper(paper: str) -> str:
    return f"arXiv:{paper}" if paper[:4].isdigit() else paper


def _shown(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ", ".join(str(item) for item in value) or "empty"
    return str(value)
