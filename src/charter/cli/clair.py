"""``charter clair SAMPLES --constitution FILE --reviser SPEC``: losing answers, revised minimally."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, cast

import typer


def clair_command(
    samples: Annotated[str, typer.Argument(help="Answers, or judged pairs.", show_default=False)],
    constitution: Annotated[Path, typer.Option("--constitution", help="The constitution file.")],
    reviser: Annotated[str, typer.Option("--reviser", help="Revises: known name, hub id, folder, endpoint.")],
    out: Annotated[Path, typer.Option("--out", help="File for the pairs (.jsonl).")],
    judge: Annotated[
        str | None,
        typer.Option("--judge", help="Local model; revisions that it does not prefer are left out."),
    ] = None,
    card: Annotated[
        Path | None, typer.Option("--card", help="Its card: only principles it may judge are drawn.")
    ] = None,
    principle: Annotated[
        list[str] | None, typer.Option("--principle", help="Draw only from these; may be repeated.")
    ] = None,
    min_levenshtein_ratio: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Leave out revisions less like the answer; 1 = equal.")
    ] = 0.0,
    wording: Annotated[
        Path | None, typer.Option("--wording", help="YAML file with wordings of your own.")
    ] = None,
    temperature: Annotated[float, typer.Option(min=0.0, help="0 = greedy.")] = 0.0,
    max_completion_length: Annotated[int, typer.Option(min=1, help="Most tokens of a revision.")] = 512,
    seed: Annotated[int, typer.Option(min=0, help="Decides which principle is drawn where.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the counts as JSON.")] = False,
) -> None:
    """Revise losing answers minimally. For `charter train apo-zero`; the same command goes on."""
    from charter.cli.answers import losing, read_answers
    from charter.cli.made_rows import rows_at
    from charter.cli.vouched import vouched_for
    from charter.config import validate
    from charter.constitution import Constitution
    from charter.errors import ConfigError, DataError
    from charter.feedback.judging.model import JudgeModel
    from charter.feedback.revising.clair import ClairOptions, clair
    from charter.feedback.revising.prompts import wordings
    from charter.feedback.revising.writer import JudgeWriter, Writer

    if card is not None and judge is None:
        raise ConfigError("--card has no effect without a judge", fix="name one with --judge")
    rules = Constitution.load(constitution)
    vouched = vouched_for(judge or "", card, rules, principle or ())
    options = validate(
        ClairOptions,
        {
            "principles": list(vouched.principles),
            "min_levenshtein_ratio": min_levenshtein_ratio,
            "seed": seed,
            "temperature": temperature,
            "max_completion_length": max_completion_length,
        },
        where="charter clair",
    )
    words = wordings(wording)
    lost = losing(read_answers(samples, rules))
    if not lost.groups:
        raise DataError("no answer lost, so none can be revised", where=samples)
    from charter.interrupt import graceful
    from charter.pipeline.revising import open_scorer, open_writer

    scorer = None if judge is None else open_scorer(judge)
    made = rows_at(out, Path(samples), constitution)
    editor: Writer
    if scorer is not None and judge == reviser:
        editor = JudgeWriter(cast(JudgeModel, scorer))  # one model, loaded once
    else:
        editor = open_writer(reviser, journal=made.calls("reviser"))
    with made.run.lock(), graceful():
        found = clair(
            lost.groups, rules, editor, judge=scorer, options=options, journals=made.journals, words=words
        )
        summary = {
            "counts": {"losing answers": len(lost.groups), **found.counts(), **lost.left_out},
            "contrast": _contrast(found.rows()),
            "constitution_sha": rules.sha,
            "prompt_shas": dict(found.shas),
            "reviser": editor.name,
            "judge": None if scorer is None else {"name": scorer.name, **vouched.to_json()},
        }
        made.write(found.rows(), summary)
    if as_json:
        print(json.dumps({"out": str(out), **summary}, indent=2, ensure_ascii=False))
    else:
        for line in [*(f"{n} {what}" for what, n in lost.left_out.items() if n), *found.lines()]:
            print(line)
        if scorer is not None:
            print("\n".join(vouched.lines()))
            if judge == reviser:
                print("the judge is the reviser itself, and may prefer its own words")
        else:
            print("no judge compared the revisions with the answers; --judge asks one")
    if not found.groups:
        raise DataError(
            "no revision is left to train on",
            where=str(made.journals),
            fix="read the replies there; take another reviser, or a lower --min-levenshtein-ratio",
        )
    if not as_json:
        print(f"pairs: {out} (charter train apo-zero --data {out})")
        print(f"replies and summary: {made.journals}")


def _contrast(rows: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """Lowest, middle and highest of each measure; empty where there is no pair."""
    import statistics

    found = {}
    for name in ("jaccard", "levenshtein_ratio", "edit_distance", "length_delta") if rows else ():
        values = [float(row[name]) for row in rows]
        found[name] = {"lowest": min(values), "median": statistics.median(values), "highest": max(values)}
    return found
