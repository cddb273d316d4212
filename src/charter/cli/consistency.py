"""``charter consistency CONSTITUTION --answers FILE ...``: examples, policy, judges and people compared."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

_ANSWERS = (
    "Judged samples (charter judge --output); MODEL=FILE names who wrote them. Repeat it for each judge."
)
_LABELS = "Rows that people labelled: principle, prompt, completion, label; rater where known."
_OWN = "JUDGE=MODEL: the model that is the judge's own; repeat it. Else told from the family's name."
_EXAMPLES = "Only write the GOOD and BAD answers to this file, for judges to judge."


def consistency_command(
    constitution: Annotated[Path, typer.Argument(help="The constitution file.", show_default=False)],
    answers: Annotated[list[str] | None, typer.Option("--answers", help=_ANSWERS)] = None,
    labels: Annotated[Path | None, typer.Option("--labels", help=_LABELS)] = None,
    policy: Annotated[str, typer.Option("--policy", help="The model examined; default: most answers.")] = "",
    own: Annotated[list[str] | None, typer.Option("--own", help=_OWN)] = None,
    both_orders: Annotated[
        bool, typer.Option("--both-orders", help="Pairs were asked in both orders; tells flips from silence.")
    ] = False,
    write_examples: Annotated[Path | None, typer.Option("--write-examples", help=_EXAMPLES)] = None,
    output: Annotated[Path | None, typer.Option("--output", help="File for the findings as JSON.")] = None,
    seed: Annotated[int, typer.Option(help="Of the bootstrap.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON in place of tables.")] = False,
) -> None:
    """Where text, model, judges and people disagree. And what to do about it."""
    from charter.constitution import Constitution
    from charter.errors import ConfigError, UserError
    from charter.evaluation.consistency.consistency import consistency
    from charter.evaluation.consistency.items import example_groups
    from charter.evaluation.consistency.table import print_consistency
    from charter.evaluation.judge_card.labels import read_labels
    from charter.records import read_groups, write_groups
    from charter.rundir import write_json
    from charter.types import Group

    law = Constitution.load(constitution)
    if write_examples is not None:
        groups = example_groups(law)
        write_groups(write_examples, groups)
        print(f"{sum(len(g.samples) for g in groups)} answers of {len(groups)} examples: {write_examples}")
        return
    if not answers and labels is None:
        raise ConfigError("nothing to compare", where="--answers", fix="name judged samples, or --labels")
    found: dict[str, list[Group]] = {}
    for spec in answers or ():
        name, equals, path = spec.partition("=")
        model, path = (name, path) if equals else ("", spec)
        if not Path(path).is_file():
            raise UserError("no such file", where=path, fix="make one with `charter judge --output`")
        found.setdefault(model, []).extend(read_groups(Path(path)))
    whose = {}
    for spec in own or ():
        judge, equals, model = spec.rpartition("=")
        if not equals:
            raise ConfigError(f"{spec!r} is not JUDGE=MODEL", where="--own")
        whose[judge] = model
    people = read_labels(labels, law) if labels else None
    result = consistency(law, found, people, own=whose, policy=policy, both_orders=both_orders, seed=seed)
    if output is not None:
        write_json(output, result.to_json())
    if as_json:
        print(json.dumps(result.to_json(), indent=2, ensure_ascii=False))
    else:
        print_consistency(result)
