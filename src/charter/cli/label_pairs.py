"""``charter label-pairs SAMPLES --constitution FILE --judge SPEC``: soft labels, or direct scores."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, cast

import typer


def label_pairs_command(
    samples: Annotated[str, typer.Argument(help="Two or more answers to a prompt each.", show_default=False)],
    constitution: Annotated[Path, typer.Option("--constitution", help="The constitution file.")],
    judge: Annotated[str, typer.Option("--judge", help="Local model whose log-probs are the labels.")],
    out: Annotated[Path, typer.Option("--out", help="File for the rows (.jsonl).")],
    card: Annotated[
        Path | None, typer.Option("--card", help="The judge's card: only what it may judge is asked.")
    ] = None,
    principle: Annotated[
        list[str] | None, typer.Option("--principle", help="Draw only from these; may be repeated.")
    ] = None,
    principles_per_pair: Annotated[
        int, typer.Option(min=1, help="Principles drawn for each pair (with --direct: for each prompt).")
    ] = 1,
    chain_of_thought: Annotated[
        bool, typer.Option("--chain-of-thought", help="Let the judge reason first; clamps probabilities.")
    ] = False,
    direct: Annotated[
        bool, typer.Option("--direct", help="Score each answer from 1 to 10 in place of comparing pairs.")
    ] = False,
    min_confidence: Annotated[
        float, typer.Option(min=0.0, help="Leave out pairs whose probability is closer to one half.")
    ] = 0.0,
    wording: Annotated[
        Path | None, typer.Option("--wording", help="YAML file with wordings of your own.")
    ] = None,
    max_reasons_length: Annotated[int, typer.Option(min=1, help="Most tokens of a chain of thought.")] = 256,
    seed: Annotated[int, typer.Option(min=0, help="Decides which principles are drawn.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Label pairs under drawn principles, in both orders. Look at what is printed before you train."""
    from charter.cli.answers import read_answers, several
    from charter.cli.label_findings import compared, refused_options, scored
    from charter.cli.made_rows import rows_at
    from charter.cli.vouched import vouched_for
    from charter.config import validate
    from charter.constitution import Constitution
    from charter.errors import DataError
    from charter.feedback.judging.model import JudgeModel
    from charter.feedback.revising.labels import LabelOptions
    from charter.feedback.revising.prompts import wordings
    from charter.feedback.revising.writer import JudgeWriter

    refused_options(direct, chain_of_thought, min_confidence)
    rules = Constitution.load(constitution)
    vouched = vouched_for(judge, card, rules, principle or ())
    options = validate(
        LabelOptions,
        {
            "principles_per_pair": principles_per_pair,
            "principles": list(vouched.principles),
            "chain_of_thought": chain_of_thought,
            "max_reasons_length": max_reasons_length,
            "seed": seed,
        },
        where="charter label-pairs",
    )
    words = wordings(wording)
    answers = several(read_answers(samples, rules))
    if not answers.groups:
        raise DataError(
            "no prompt has two answers, so nothing can be compared",
            where=samples,
            fix="sample more of them with `charter sample --num-generations 2`",
        )
    from charter.interrupt import graceful
    from charter.pipeline.revising import open_scorer

    model = open_scorer(judge)
    made = rows_at(out, Path(samples), constitution)
    with made.run.lock(), graceful():
        if direct:
            found = scored(answers.groups, rules, model, options, made.journals, words)
        else:
            thinker = JudgeWriter(cast(JudgeModel, model)) if chain_of_thought else None
            found = compared(
                answers.groups, rules, model, options, made.journals, words, thinker, min_confidence
            )
        left_out = {what: count for what, count in answers.left_out.items() if count}
        summary = {
            "method": "direct" if direct else "pairs",
            "counts": {**found.counts, **answers.left_out},
            **found.numbers,
            "constitution_sha": rules.sha,
            "prompt_shas": found.shas,
            "judge": {"name": model.name, **vouched.to_json()},
        }
        made.write(found.rows, summary)
    if as_json:
        print(json.dumps({"out": str(out), **summary}, indent=2, ensure_ascii=False))
    else:
        for line in [*(f"{n} {what}" for what, n in left_out.items()), *found.lines, *vouched.lines()]:
            print(line)
    if not found.rows:
        raise DataError(
            "nothing was labelled",
            where=str(made.journals),
            fix="read the counts above; take another judge, or shorter answers",
        )
    if not as_json:
        print(f"rows: {out} (look at the numbers above, then charter train reward --data {out})")
        print(f"answers and summary: {made.journals}")
