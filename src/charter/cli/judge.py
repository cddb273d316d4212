"""``charter judge SAMPLES --constitution FILE``: verdicts per principle."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer


def judge_command(
    samples: Annotated[Path, typer.Argument(help="Completions that `charter sample --output` wrote.")],
    constitution: Annotated[Path, typer.Option("--constitution", help="The constitution file.")],
    output: Annotated[Path | None, typer.Option("--output", help="File for the judged samples.")] = None,
) -> None:
    """Judge every completion under every principle that rules can check."""
    from rich.console import Console
    from rich.table import Table

    from charter.constitution import Constitution
    from charter.errors import UserError
    from charter.feedback.constitution import ConstitutionFeedback
    from charter.records import read_groups, write_groups
    from charter.stats import wilson

    if not samples.is_file():
        raise UserError("no such file", where=str(samples), fix="make one with `charter sample --output`")
    rules = Constitution.load(constitution)
    groups = read_groups(samples)
    said = ConstitutionFeedback(rules).judge(groups)
    if output is not None:
        write_groups(output, (g.with_judgements(*j) for g, j in zip(groups, said, strict=True)))
    judged = [j for js in said for j in js]
    table = Table("principle", "passed", "of", "rate", "95% interval", "no verdict", box=None)
    for principle in rules.active:
        mine = [j for j in judged if j.principle == principle.id]
        values = [j.value >= 0.5 for j in mine if j.value is not None]
        missing = Counter(j.verdict.replace("_", " ") for j in mine if j.value is None)
        shown = ", ".join(f"{n} {v}" for v, n in missing.items())
        if values:
            interval = wilson(sum(values), len(values))
            rate, bounds = f"{sum(values) / len(values):.0%}", f"{interval.lo:.0%} to {interval.hi:.0%}"
        else:
            rate, bounds = "not measured", ""
        table.add_row(principle.id, str(sum(values)), str(len(values)), rate, bounds, shown)
    Console().print(table)
