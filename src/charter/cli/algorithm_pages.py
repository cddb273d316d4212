"""What ``charter algorithms`` prints: the catalogue, one algorithm's page, or several side by side."""

from __future__ import annotations

import json as json_format
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from charter.catalogue import ENTRIES, Entry, lookup
from charter.catalogue.entry import option_json
from charter.catalogue.from_trl import TRAINERS, trainers_of, trl_fields
from charter.catalogue.measured import measured
from charter.cli.algorithm_words import (
    HEADINGS,
    aspects,
    differing_options,
    in_words,
    option_groups,
    paper,
)
from charter.errors import ConfigError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_PIPE_WIDTH = 100
"""Columns when the output is a file or a pipe."""
_WIDEST_TYPE = 14
"""A longer list of choices goes into the meaning, or it would take the meaning's room."""


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
        print(json_format.dumps([entry_json(entry) for entry in entries], indent=2))
        return
    console = _console()
    if not chosen:
        _print_all(console)
    elif len(chosen) == 1:
        _print_page(console, chosen[0])
    else:
        _print_comparison(console, chosen)


def entry_json(entry: Entry) -> dict[str, Any]:
    """The entry as plain data, with the TRL trainers that do the same and what was measured here."""
    found = measured(entry.name)
    return entry.to_json() | {
        "trl": [_config(name) for name in trainers_of(entry.name)],
        "measured": None if found is None else asdict(found),
    }


def _chosen(names: list[str]) -> tuple[Entry, ...]:
    if names[:1] != ["compare"]:
        if len(names) > 1:
            raise ConfigError("one name at a time", fix="charter algorithms compare " + " ".join(names))
        return tuple(lookup(name) for name in names)
    entries = tuple({name: lookup(name) for name in names[1:]}.values())
    if len(entries) < 2:
        raise ConfigError("nothing to compare", fix="name two algorithms, as in: compare sft dpo")
    return entries


def _console() -> Console:
    from rich.console import Console

    console = Console(markup=False, highlight=False)
    return console if console.is_terminal else Console(markup=False, highlight=False, width=_PIPE_WIDTH)


def _table(*columns: str, lines: bool = False) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_lines=lines)
    for column in columns:
        # A name broken over two lines cannot be copied.
        table.add_column(column, overflow="fold", no_wrap=column in ("name", "option"))
    return table


def _print_all(console: Console) -> None:
    families = list(dict.fromkeys(entry.family for entry in ENTRIES.values()))
    for family in families:
        console.print(HEADINGS[family], style="bold")
        table = _table("name", "what it is", "data", "in memory", "paper")
        for entry in ENTRIES.values():
            if entry.family == family:
                table.add_row(
                    entry.name, entry.title, entry.data, ", ".join(entry.models), paper(entry.paper)
                )
        console.print(table)
    console.print("charter algorithms NAME shows one; charter algorithms compare A B puts them side by side;")
    console.print("charter advise DATA says which fit a data file")


# -- one algorithm ---------------------------------------------------------------------------


def _print_page(console: Console, entry: Entry) -> None:
    console.print(f"{entry.name}: {entry.title}", style="bold")
    console.print()
    facts = _table("", "")
    facts.show_header = False
    for label, text in _facts(entry).items():
        facts.add_row(label, text)
    console.print(facts)
    for title, names in option_groups(entry).items():
        _print_options(console, title, entry, names)
    _print_trl(console, entry)


def _facts(entry: Entry) -> dict[str, str]:
    settings = ", ".join(f"{name} {in_words(value)}" for name, value in entry.paper_settings.items())
    terms = " + ".join(_term(term.objective, term.weight) for term in entry.terms)
    return {
        **aspects(entry),
        "reads": entry.reads().text.replace("`", ""),
        "code": terms,
        **({} if entry.rollouts is None else {"credit": entry.rollouts.credit}),
        "preset: paper": settings or "nothing of its own",
        "paper": paper(entry.paper),
    }


def _print_options(console: Console, title: str, entry: Entry, names: Sequence[str]) -> None:
    console.print(title, style="bold")
    table = _table("option", "type", "default", "TRL", "meaning")
    for name in names:
        option = option_json(entry.options, name)
        kind, meaning = option["type"], option["meaning"]
        if len(kind) > _WIDEST_TYPE:
            kind, meaning = "choice", f"{meaning} One of: {kind.replace(' | ', ', ')}."
        default = "must be given" if option["required"] else in_words(option["default"])
        table.add_row(name, kind, default, _in_trl(entry, name), meaning)
    console.print(table)


def _in_trl(entry: Entry, name: str) -> str:
    """Whether TRL has the option by this name, and with this default."""
    row = trl_fields(entry.name).get(name)
    if row is None or row.status != "same":
        return "-"
    stands = [ENTRIES[TRAINERS[trainer].algorithm] for trainer in trainers_of(entry.name)]
    mine = entry.options.model_fields[name].default
    equal = all(other.options.model_fields[name].default == mine for other in stands)
    return "same" if equal and not row.default else "other default"


def _print_trl(console: Console, entry: Entry) -> None:
    fields = trl_fields(entry.name).values()
    trainers = trainers_of(entry.name)
    console.print("TRL's names", style="bold")
    if trainers:
        console.print("trainer: " + ", ".join(_config(name) for name in trainers))
    same = [f.name for f in fields if f.status == "same" and f.name in entry.options.model_fields]
    renamed = [f"{field.name} is {field.to}" for field in fields if field.status == "renamed"]
    refused = [field for field in fields if field.status == "refused"]
    console.print("the same here: " + ", ".join(same))
    console.print("renamed: " + ", ".join(renamed))
    only_here = [f for f in refused if len(f.trainers) < len(TRAINERS) and set(f.trainers) & set(trainers)]
    if only_here:
        table = _table("option", "refused because")
        for field in only_here:
            table.add_row(field.name, field.note)
        console.print(table)
    others = len(refused) - len(only_here)
    console.print(f"{others} more are refused, each with its reason: docs/from-trl.md")


def _config(trainer: Any) -> str:
    return TRAINERS[trainer].title


# -- several ---------------------------------------------------------------------------------


def _print_comparison(console: Console, entries: Sequence[Entry]) -> None:
    table = _table("", *(entry.name for entry in entries))
    sides = [{"what it is": entry.title} | aspects(entry) for entry in entries]
    for label in sides[0]:
        table.add_row(label, *(side[label] for side in sides))
    for name in differing_options(entries):
        table.add_row(name, *(_default_in(entry, name) for entry in entries))
    console.print(table)


def _default_in(entry: Entry, name: str) -> str:
    info = entry.options.model_fields.get(name)
    if info is not None and info.is_required():
        return "must be given"
    return "-" if info is None else in_words(info.default)


def _term(objective: str, weight: float | str) -> str:
    return objective if weight == 1 else f"{weight} x {objective}"
