"""``charter red-team CONSTITUTION --writer SPEC``: prompts that tempt a model to break a principle."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from charter.feedback.revising.red_team import RedTeam, RedTeamOptions

SHOWN = 10
"""Flagged prompts printed; all of them are in the summary."""


def red_team_command(
    constitution: Annotated[Path, typer.Argument(help="The constitution file.", show_default=False)],
    writer: Annotated[
        str, typer.Option("--writer", help="Writes the prompts: known name, hub id, folder, endpoint.")
    ],
    out: Annotated[Path, typer.Option("--out", help="File for the prompts (.jsonl).")],
    checker: Annotated[
        str | None,
        typer.Option("--checker", help="Model that says of each prompt whether it is a fair test."),
    ] = None,
    principle: Annotated[
        list[str] | None, typer.Option("--principle", help="Only for this one; may be repeated.")
    ] = None,
    categories: Annotated[int, typer.Option(min=1, help="Kinds of requests for each principle.")] = 4,
    scenarios: Annotated[int, typer.Option(min=1, help="Situations of each kind.")] = 3,
    prompts: Annotated[int, typer.Option(min=1, help="Messages in each situation.")] = 2,
    twins: Annotated[
        bool, typer.Option("--twins/--no-twins", help="A harmless twin of each, to be complied with.")
    ] = True,
    near: Annotated[float, typer.Option(help="Share of words in common that makes two the same.")] = 0.8,
    wording: Annotated[
        Path | None, typer.Option("--wording", help="YAML file with wordings of your own.")
    ] = None,
    temperature: Annotated[float, typer.Option(min=0.0, help="0 = greedy.")] = 1.0,
    max_tokens: Annotated[int, typer.Option(min=1, help="Most tokens of a reply.")] = 512,
    seed: Annotated[int, typer.Option(min=0, help="Decides what is sampled.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the counts as JSON.")] = False,
) -> None:
    """Write red-team prompts and harmless twins. For each principle; the same command goes on."""
    from charter.cli.made_rows import rows_at
    from charter.config import validate
    from charter.constitution import Constitution
    from charter.errors import DataError
    from charter.feedback.revising.draw import usable
    from charter.feedback.revising.prompts import wordings
    from charter.feedback.revising.red_team import RedTeamOptions, red_team

    options = validate(
        RedTeamOptions,
        {
            "principles": list(principle or ()),
            "categories": categories,
            "scenarios": scenarios,
            "prompts": prompts,
            "twins": twins,
            "near": near,
            "seed": seed,
            "temperature": temperature,
            "max_tokens": max_tokens,
        },
        where="charter red-team",
    )
    rules = Constitution.load(constitution)
    count = len(usable(rules, options.principles))
    words = wordings(wording)
    made = rows_at(out, constitution)
    from charter.interrupt import graceful
    from charter.pipeline.revising import open_writer
    from charter.progress import say

    author = open_writer(writer, journal=made.calls("writer"))
    reader = None
    if checker is not None:
        reader = author if checker == writer else open_writer(checker, journal=made.calls("checker"))
    say(_plan(count, options, reader is not None))
    with made.run.lock(), graceful():
        found = red_team(rules, author, checker=reader, options=options, journals=made.journals, words=words)
        summary = _summary(found, rules.sha, author.name, reader.name if reader else "")
        made.write(found.rows(), summary)
    if as_json:
        print(json.dumps({"out": str(out), **summary}, indent=2, ensure_ascii=False))
    else:
        for line in _lines(found, checked=reader is not None):
            print(line)
    if not found.prompts:
        raise DataError(
            "no prompt is left",
            where=str(made.journals),
            fix="read the replies there; take another writer, or ask for more",
        )
    if not as_json:
        print(f"prompts: {out}")
        print(f"replies and summary: {made.journals}")


def _plan(principles: int, options: RedTeamOptions, checked: bool) -> str:
    """How much will be asked, before it is."""
    kinds = principles * options.categories
    places = kinds * options.scenarios
    most = places * options.prompts
    each = options.twins + checked
    return (
        f"{principles} principles: {principles + kinds + places} lists for at most {most} prompts"
        f"{f', and {each * most} requests about them' if each else ''}; what is written already is not asked"
    )


def _summary(found: RedTeam, sha: str, writer: str, checker: str) -> dict[str, Any]:
    return {
        "counts": dict(found.counts),
        "flagged": [
            {"principle": one.prompt.principle, "prompt": one.prompt.text, "reason": one.reason}
            for one in found.flagged
        ],
        "constitution_sha": sha,
        "prompt_shas": dict(found.shas),
        "writer": writer,
        "checker": checker or None,
    }


def _lines(found: RedTeam, checked: bool) -> list[str]:
    lines = found.lines()
    first = len(lines) - len(found.flagged)
    rest = len(found.flagged) - SHOWN
    lines = lines[: first + SHOWN] + ([f"... and {rest} more, in the summary"] if rest > 0 else [])
    if not checked:
        lines.append("fairness was checked on the text alone; --checker asks a model as well")
    return lines
