"""Side by side in a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from charter.evaluation.side_by_side.cells import SideCell
from charter.evaluation.side_by_side.compare import SideBySide
from charter.evaluation.side_by_side.pareto import Pareto
from charter.stats import p_words, percent, points

_MARKS = {"rose": " ^", "fell": " v", "kept": "", "first": "", "not_compared": " ?", "not_measured": ""}
_STYLES = {"rose": "green", "fell": "bold red", "not_compared": "yellow", "not_measured": "dim"}


def print_side_by_side(found: SideBySide) -> None:
    """Print the table, ratings, win rates, and what was not compared, to standard output."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    plain = not console.is_terminal
    if plain:
        console = Console(width=max(132, 34 + 26 * len(found.names)))
    style = box.ASCII2 if plain else box.SIMPLE_HEAD
    level = f"{found.criteria.level:.0%}"
    table = Table(
        box=style, title=f"share of prompts that keep to each principle [{level}]", title_justify="left"
    )
    table.add_column("principle", overflow="fold")
    for name in found.names:
        table.add_column(Text(name), justify="right", overflow="fold")
    for row in found.rows:
        cells = (row.cells[name] for name in found.names)
        table.add_row(
            Text(row.principle),
            *(Text(cell_words(cell), style=_STYLES.get(cell.status, "")) for cell in cells),
        )
    console.print(table)
    console.print(
        f"^ rose, v fell against {found.names[0]} on the shared prompts; ? not compared. "
        "Rates are not corrected for judge error.",
        markup=False,
        highlight=False,
    )
    if found.ratings.ratings:
        rated = Table("checkpoint", f"rating [{level}]", "rank", box=style)
        for one in found.ratings.ratings:
            rank = (
                f"{one.best_rank}"
                if one.best_rank == one.worst_rank
                else f"{one.best_rank} to {one.worst_rank}"
            )
            rated.add_row(Text(one.name), Text(f"{one.rating:+.2f} [{one.lo:+.2f}, {one.hi:+.2f}]"), rank)
        console.print(rated)
    console.print(_wins(found, style))
    for line in notes(found):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def cell_words(cell: SideCell) -> str:
    """A rate with its interval, the change, and a mark."""
    if cell.rate is None:
        return "not measured"
    rate = f"{percent(cell.rate.rate)} [{percent(cell.rate.lo)}, {percent(cell.rate.hi)}]"
    change = "" if cell.change is None else f" {points(cell.change.diff)}"
    return rate + change + _MARKS[cell.status]


def _wins(found: SideBySide, style: object) -> object:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=style, title="win rate of the row against the column", title_justify="left")  # type: ignore[arg-type]
    table.add_column("")
    for name in found.names:
        table.add_column(Text(name), justify="right", overflow="fold")
    for row in found.names:
        cells = []
        for column in found.names:
            pair = None if row == column else found.ratings.pair(row, column)
            cells.append("" if pair is None else "not compared" if pair.rate is None else percent(pair.rate))
        table.add_row(Text(row), *cells)
    return table


def notes(found: SideBySide) -> Iterator[str]:
    """What was claimed, what could not be compared, and why; one line each."""
    for row in found.rows:
        for name, cell in row.cells.items():
            if cell.status in ("rose", "fell") and cell.change is not None:
                moved = f"{cell.status} by {points(cell.change.diff)} points"
                yield f"{row.principle}: {name} {moved}: {cell.why}"
    for one in found.ratings.pairs:
        if one.p_holm is not None and one.p_holm < found.criteria.alpha:
            better, worse = (one.first, one.second) if (one.rate or 0) > 0.5 else (one.second, one.first)
            yield f"{better} beats {worse} (corrected p {p_words(one.p_holm)})"
    for name, said in found.notes.items():
        for note in said:
            yield f"{name}: {note}"
    for name, why in found.ratings.left_out.items():
        yield f"{name}: not rated: {why}"
    if found.pareto is None:
        yield "no helpful-harmless plot: the principles have one level; name two measures with --x and --y"
    else:
        yield from _front(found.pareto)


def _front(pareto: Pareto) -> Iterator[str]:
    on_it = [one.name for one in pareto.places if not one.dominated_by]
    if on_it:
        yield f"not beaten on both {pareto.x.label} and {pareto.y.label}: {', '.join(on_it)}"
    for one in pareto.places:
        if one.dominated_by:
            share = (
                ""
                if one.front_share is None
                else f" (on the front in {percent(one.front_share)} of resamples)"
            )
            yield f"{one.name} is beaten on both by {one.dominated_by}{share}"
    for name, why in pareto.left_out.items():
        yield f"not in the plot: {name}: {why}"
