"""The tax in a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from charter.evaluation.rates.change import Rate
from charter.evaluation.tax.rows import TaxRow
from charter.evaluation.tax.tax import Tax
from charter.stats import p_words, percent, points

_STYLES = {"fell": "bold red", "suspect": "yellow", "rose": "green", "floor": "dim", "not_measured": "dim"}


def print_tax(found: Tax) -> None:
    """Print a row for each task, then length and perplexity."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    plain = not console.is_terminal
    console = Console(width=max(console.width, 132)) if plain else console
    table = Table(box=box.ASCII2 if plain else box.SIMPLE_HEAD, title=f"{found.model} against {found.base}")
    table.add_column("task", overflow="fold")
    for name in ("n", "before [95%]", "after [95%]", "change", "p (Holm)"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("status", no_wrap=True)
    for row in found.rows:
        if row.task == "all":
            table.add_section()
        table.add_row(
            *map(Text, _cells(row)), Text(row.status.replace("_", " "), style=_STYLES.get(row.status, ""))
        )
    console.print(table)
    for line in lines(found):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def lines(found: Tax) -> Iterator[str]:
    """What stands beside the table."""
    for row in found.rows:
        yield f"{_named(row)}: {row.why}" + (f"; {row.missing} items not checked" if row.missing else "")
    for one in found.shifts:
        tested = "" if one.lo is None else f" [{one.lo:+.1f}, {one.hi:+.1f}], p {p_words(one.p or 0.0)}"
        name = "words of an answer" if one.measure == "words" else "perplexity on unrelated text"
        yield f"{name}: {one.before:.1f} -> {one.after:.1f} ({one.diff:+.1f}{tested})"
    for task, (before, after) in found.truncated.items():
        if max(before, after) > 0.1:
            yield f"{task}: {percent(before)} of answers cut by the limit before, {percent(after)} after"


def _cells(row: TaxRow) -> list[str]:
    change = row.change
    shown = "" if change is None else f"{points(change.diff)} [{points(change.lo)}, {points(change.hi)}]"
    p = "" if change is None else p_words(change.p_holm)
    return [_named(row), str(row.n), _rate(row.before), _rate(row.after), shown, p]


def _named(row: TaxRow) -> str:
    return row.task if row.k == 1 else f"{row.task}, pass@{row.k}"


def _rate(rate: Rate | None) -> str:
    return (
        "not measured" if rate is None else f"{percent(rate.rate)} [{percent(rate.lo)}, {percent(rate.hi)}]"
    )
