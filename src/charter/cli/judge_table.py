"""What ``charter judge`` shows: rates by principle, decided pairs, and how the judge fared."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from charter.types import Judgement, PairTarget, SampleTarget

if TYPE_CHECKING:
    from rich.table import Table

    from charter.constitution import Constitution
    from charter.feedback.judging.feedback import ModelJudge


def samples_table(law: Constitution, judged: Sequence[Judgement]) -> Table:
    """Pass rates with their intervals."""
    from rich.table import Table

    table = Table("principle", "passed", "of", "rate", "95% interval", "no verdict", box=None)
    for id, row in _samples(law, judged).items():
        missing = ", ".join(f"{n} {v.replace('_', ' ')}" for v, n in row["missing"].items())
        rate = f"{row['rate']:.0%}" if row["n"] else "not measured"
        bounds = f"{row['lo']:.0%} to {row['hi']:.0%}" if row["n"] else ""
        table.add_row(id, str(row["passed"]), str(row["n"]), rate, bounds, missing)
    return table


def pairs_table(law: Constitution, judged: Sequence[Judgement]) -> Table:
    """How many pairs were decided, and why the others were not."""
    from rich.table import Table

    table = Table("principle", "pairs", "decided", "ties", "orders disagree", "other", box=None)
    for id, row in _pairs(law, judged).items():
        table.add_row(id, *(str(row[key]) for key in ("pairs", "decided", "ties", "disagree", "other")))
    return table


def summary(law: Constitution, judged: Sequence[Judgement], model: ModelJudge | None) -> dict[str, Any]:
    """The same as plain data."""
    found: dict[str, Any] = {
        "judge": "rules" if model is None else model.name,
        "principles": _samples(law, judged),
    }
    if model is not None:
        found["tally"] = {**asdict(model.tally), "garbage_share": model.tally.garbage_share}
        found["unknown_family"] = model.unknown_family
        if model.pairwise:
            found["pairs"] = _pairs(law, judged)
    return found


def tally_lines(model: ModelJudge, *, carded: bool) -> list[str]:
    """What the judge was asked, what came back, and how far it may be believed."""
    tally = model.tally
    share = tally.garbage_share
    unread = "" if share is None else f", {tally.garbage} unreadable ({share:.0%})"
    lines = [
        f"{model.name}: {tally.questions} questions, {tally.replies} replies{unread}, "
        f"{tally.failed} never came"
    ]
    if tally.cached:
        lines.append(f"{tally.cached} replies were there already")
    if tally.tokens_in:
        cost = f", cost {tally.cost:.4f}" if tally.cost else ""
        lines.append(f"{tally.tokens_in} tokens read, {tally.tokens_out} written{cost}")
    if model.unknown_family and model.panel.self_family == "forbid":
        lines.append(
            f"{model.unknown_family} answers do not say which model wrote them, so no judge was kept from "
            "them; --answerer-family says it"
        )
    if not carded:
        lines.append("No card says how often this judge is right: do not report its rates as measured.")
    return lines


def _samples(law: Constitution, judged: Sequence[Judgement]) -> dict[str, dict[str, Any]]:
    from charter.stats import wilson

    found = {}
    for principle in law.active:
        mine = [j for j in judged if j.principle == principle.id and isinstance(j.target, SampleTarget)]
        values = [j.value >= 0.5 for j in mine if j.value is not None]
        row: dict[str, Any] = {"passed": sum(values), "n": len(values), "rate": None, "lo": None, "hi": None}
        if values:
            interval = wilson(sum(values), len(values))
            row |= {"rate": sum(values) / len(values), "lo": interval.lo, "hi": interval.hi}
        row["missing"] = dict(Counter(j.verdict for j in mine if j.value is None))
        found[principle.id] = row
    return found


def _pairs(law: Constitution, judged: Sequence[Judgement]) -> dict[str, dict[str, int]]:
    from charter.feedback.judging.pairwise import TIE

    found = {}
    for principle in law.active:
        mine = [j for j in judged if j.principle == principle.id and isinstance(j.target, PairTarget)]
        if not mine:
            continue
        undecided = [j for j in mine if j.value is None]
        ties = sum(j.verdict == "abstained" and j.reason.startswith(f"{TIE}:") for j in undecided)
        disagree = sum(j.verdict == "abstained" and "orders disagree" in j.reason for j in undecided)
        found[principle.id] = {
            "pairs": len(mine),
            "decided": len(mine) - len(undecided),
            "ties": ties,
            "disagree": disagree,
            "other": len(undecided) - ties - disagree,
        }
    return found
