"""The adherence card as a table for the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from charter.evaluation.rates.card import AdherenceCard, Mean, OverallRow, PrincipleRow
from charter.evaluation.rates.change import Change, Rate
from charter.evaluation.rates.correction import CorrectedChange
from charter.stats import p_words, percent, points

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_STYLES = {
    "rose": "green",
    "fell": "bold red",
    "kept": "default",
    "measured": "default",
    "not_measured": "dim",
    "pass": "green",
    "fail": "bold red",
    "undecided": "yellow",
}
_TABLE_FROM = 104
"""Columns a table needs; below it every principle gets lines of its own."""

_PLAIN_WIDTH = 132

Line = tuple[str, str]
"""A line of text and its style."""


def print_table(card: AdherenceCard, console: Console | None = None) -> None:
    """Print before and after per principle with intervals, change, p and status; then the whole.

    Written to standard output unless ``console`` is given. Off a terminal it is
    plain ASCII without styles, wide enough that nothing is cut.
    """
    from rich.console import Console as RichConsole
    from rich.text import Text

    out = console or RichConsole()
    if console is None and not out.is_terminal:
        out = RichConsole(width=max(out.width, _PLAIN_WIDTH))
    for line, style in _levels(card):
        out.print(Text(line, style=style))
    if out.width >= _TABLE_FROM:
        out.print(_table(card, plain=not out.is_terminal))
    else:
        for line, style in _list(card):
            out.print(Text(line, style=style))
    for line, style in _notes(card):
        out.print(Text(line, style=style))


def _rows(card: AdherenceCard) -> list[tuple[str, PrincipleRow | OverallRow]]:
    return [*((row.principle, row) for row in card.principles), ("all principles together", card.overall)]


def _table(card: AdherenceCard, *, plain: bool) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    level = f"{card.criteria.level:.0%}"
    paired = any(row.change for _, row in _rows(card))
    table = Table(box=box.ASCII2 if plain else box.SIMPLE_HEAD, padding=(0, 1))
    table.add_column("principle", overflow="fold")
    table.add_column("n", justify="right", no_wrap=True)
    for name in ("before", "after") if paired else ("rate",):
        table.add_column(Text(f"{name} [{level}]"), justify="right", no_wrap=True)
    if paired:
        table.add_column("change", justify="right", no_wrap=True)
        table.add_column("p (Holm)", justify="right", no_wrap=True)
    if judged := any(isinstance(row, PrincipleRow) and row.judged for _, row in _rows(card)):
        table.add_column("as judged", justify="right", no_wrap=True)
    table.add_column("status", no_wrap=True)
    for name, row in _rows(card):
        if row is card.overall:
            table.add_section()
        cells = [name, str(row.n_prompts)]
        cells += [_shown(row, "before")] if paired else []
        cells += [_shown(row, "after")]
        cells += [_change(_true_change(row)), _p(row)] if paired else []
        cells += [_as_judged(row)] if judged else []
        table.add_row(*map(Text, cells), Text(row.status.replace("_", " "), style=_STYLES[row.status]))
    return table


def _list(card: AdherenceCard) -> list[Line]:
    lines: list[Line] = []
    for name, row in _rows(card):
        lines.append((f"{name}: {row.status.replace('_', ' ')} (n {row.n_prompts})", _STYLES[row.status]))
        if row.change:
            lines.append((f"  {_shown(row, 'before')} -> {_shown(row, 'after')}", "default"))
            lines.append((f"  change {_change(_true_change(row))}  p {_p(row)}", "default"))
        elif row.after:
            lines.append((f"  {_shown(row, 'after')}", "default"))
        if as_judged := _as_judged(row):
            lines.append((f"  as judged {as_judged}", "default"))
    return [*lines, ("", "default")]


def _notes(card: AdherenceCard) -> list[Line]:
    notes: list[Line] = [(f"all principles together: {card.overall.why}", _STYLES[card.overall.status])]
    if card.overall.fraction:
        notes.append((_fraction(card.overall.fraction), "default"))
    notes += [
        (f"{row.principle}: {row.status.replace('_', ' ')}. {row.why}", _STYLES[row.status])
        for row in card.principles
        if row.status in ("kept", "fell", "not_measured") or row.judged
    ]
    notes += [
        (f"{count} prompts not in the last row: {reason}", "default")
        for reason, count in card.overall.left_out.items()
    ]
    if alone := card.coverage.base_only + card.coverage.aligned_only:
        notes.append((f"{alone} prompts not used: answered by one of the two models only", "yellow"))
    notes += [(f"gate {gate.level}: {gate.result}. {gate.why}", _STYLES[gate.result]) for gate in card.gates]
    return notes


def _levels(card: AdherenceCard) -> list[Line]:
    """The verdict first, in plain sentences, the highest level first."""
    lines: list[Line] = []
    for row in card.levels:
        style = "default" if row.gate is None else _STYLES[row.gate.result]
        lines.append((row.sentence, "dim" if row.after is None else style))
    if card.verdict.result != "ungated":
        lines.append(
            (f"{card.verdict.result.upper()}: {card.verdict.sentence}", _STYLES[card.verdict.result])
        )
    return [*lines, ("", "default")] if lines else []


def _shown(row: PrincipleRow | OverallRow, side: Literal["before", "after"]) -> str:
    """The rate, corrected where a judge judged; ``-`` where it errs and nothing says how often."""
    if isinstance(row, PrincipleRow) and row.judged:
        found = row.corrected_before if side == "before" else row.corrected_after
        if found is None or found.estimate is None:
            return "-"
        return f"{percent(found.estimate)} [{percent(found.lo)}, {percent(found.hi)}]"
    return _rate(row.before if side == "before" else row.after)


def _true_change(row: PrincipleRow | OverallRow) -> Change | CorrectedChange | None:
    if isinstance(row, PrincipleRow) and row.judged:
        return row.corrected_change
    return row.change


def _as_judged(row: PrincipleRow | OverallRow) -> str:
    """Raw rates of a judge's verdicts; "" where nothing had to be corrected."""
    if not isinstance(row, PrincipleRow) or not row.judged or row.after is None:
        return ""
    before = f"{percent(row.before.rate)} -> " if row.before else ""
    return f"{before}{percent(row.after.rate)}"


def _fraction(mean: Mean) -> str:
    before = f"{mean.before.rate:.3f} -> " if mean.before else ""
    p = f" (p {p_words(mean.change.p)})" if mean.change else ""
    return f"mean fraction of principles passed: {before}{mean.after.rate:.3f}{p}"


def _rate(rate: Rate | None) -> str:
    return "-" if rate is None else f"{percent(rate.rate)} [{percent(rate.lo)}, {percent(rate.hi)}]"


def _change(change: Change | CorrectedChange | None) -> str:
    return "-" if change is None else f"{points(change.diff)} [{points(change.lo)}, {points(change.hi)}]"


def _p(row: PrincipleRow | OverallRow) -> str:
    if row.change is None or _true_change(row) is None:
        return "-"
    if isinstance(row, OverallRow):  # one test: nothing to correct
        return p_words(row.change.p)
    return f"{p_words(row.change.p)} ({p_words(row.change.p_holm)})"
