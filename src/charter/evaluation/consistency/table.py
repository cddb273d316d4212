"""The consistency table in a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from charter.evaluation.consistency.agreement import Agreed
from charter.evaluation.consistency.consistency import Consistency
from charter.stats import Interval, p_words, percent


def print_consistency(found: Consistency) -> None:
    """Print the four corners, the diagnosis of each principle, and what judges owe to their own model."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    plain = not console.is_terminal
    if plain:
        console = Console(width=max(132, 22 + 30 * len(found.corners)))
    style = box.ASCII2 if plain else box.SIMPLE_HEAD
    table = Table(
        box=style, title="agreement of corners over all principles: share, kappa", title_justify="left"
    )
    table.add_column("")
    for corner in found.corners[1:]:
        table.add_column(Text(_named(found, corner)), overflow="fold")
    for at, row in enumerate(found.corners[:-1]):
        cells = [
            "" if place < at + 1 else pair_words(found.pair(row, c)) for place, c in enumerate(found.corners)
        ]
        table.add_row(Text(_named(found, row)), *cells[1:])
    console.print(table)
    causes = Table("principle", "finding", "what to do", "why", box=style)
    for one in found.principles:
        for said in one.diagnosis:
            who = f"{said.cause} ({said.who})" if said.who else said.cause
            causes.add_row(Text(one.principle), Text(who), Text(said.action), Text(said.why))
    console.print(causes)
    for line in lines(found):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def pair_words(pair: Agreed | None) -> str:
    """Raw agreement and kappa with intervals."""
    if pair is None or pair.agree is None:
        return "no answer in common"
    raw = f"{percent(pair.agree)} of {pair.n} {_shares(pair.agree_interval)}"
    if pair.kappa is None:
        return f"{raw}, no kappa"
    return f"{raw}, {pair.kappa:.2f} [{pair.kappa_interval.lo:.2f}, {pair.kappa_interval.hi:.2f}]"


def lines(found: Consistency) -> Iterator[str]:
    """Everything else, one line each."""
    if found.three_way is not None:
        one = found.three_way
        yield (
            f"three-way consistency: {one.judge} passes {percent(one.rate)} of its own answers "
            f"{_shares(one.interval)} ({one.n} answers, {one.principles} principles)"
        )
    else:
        yield "three-way consistency: not measured, no judge is the policy itself"
    for judge in found.scores.own:
        mark = "favours its own model" if judge.favours else "own model"
        yield (
            f"{judge.judge}: {mark} {judge.model}: {100 * judge.own:+.0f} points above other judges, "
            f"{100 * judge.others:+.0f} on other models, interaction {100 * judge.interaction:+.0f} "
            f"[{100 * judge.interval.lo:+.0f}, {100 * judge.interval.hi:+.0f}], "
            f"corrected p {p_words(judge.p_holm)}"
        )
    for flip in found.flips:
        if not flip.principle:
            yield (
                f"{flip.judge}: {percent(flip.rate)} of {flip.pairs} pairs flip with the order "
                f"[{percent(flip.interval.lo)}, {percent(flip.interval.hi)}]"
            )
    if found.scores.left_out:
        yield f"{found.scores.left_out} answers lack the verdict of a judge: not in the scores of models"
    for reason, count in found.left_out.items():
        yield f"{count} verdicts not used: {reason}"


def _shares(interval: Interval) -> str:
    return f"[{percent(interval.lo)}, {percent(interval.hi)}]"


def _named(found: Consistency, corner: str) -> str:
    return f"{corner} (self)" if corner == found.self_judge else corner
