"""``charter revise MODEL --constitution FILE --prompts FILE``: answers a model criticises and revises."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from charter.cli.model_name import known_model


def revise_command(
    model: Annotated[
        str,
        typer.Argument(
            help="Answers the prompts: known name, hub id, folder, endpoint.", callback=known_model
        ),
    ],
    constitution: Annotated[Path, typer.Option("--constitution", help="The constitution file.")],
    prompts: Annotated[
        Path,
        typer.Option("--prompts", help="Prompts, or prompts with a completion that is the first answer."),
    ],
    critic: Annotated[
        str | None,
        typer.Option(
            "--critic",
            help="Criticises and revises; the model itself by default. `rules`: the constitution's rules "
            "criticise, and the model revises.",
        ),
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, max=16, help="Critiques and revisions of an answer.")] = 1,
    to: Annotated[
        Literal["sft", "preference", "both"], typer.Option("--to", help="The rows wanted.")
    ] = "both",
    output_dir: Annotated[
        Path, typer.Option("--output-dir", help="For rows, turns and journals; continues what is there.")
    ] = Path("runs/revise"),
    principle: Annotated[
        list[str] | None, typer.Option("--principle", help="Draw only from these; may be repeated.")
    ] = None,
    only_better: Annotated[
        bool, typer.Option("--only-better", help="Keep only revisions that pass more of the rules.")
    ] = False,
    few_shot: Annotated[
        bool | None, typer.Option(help="Show worked examples before each request; by default they are shown.")
    ] = None,
    wording: Annotated[
        Path | None, typer.Option("--wording", help="YAML file with wordings of your own.")
    ] = None,
    temperature: Annotated[float, typer.Option(min=0.0, help="0 = greedy.")] = 1.0,
    max_completion_length: Annotated[int, typer.Option(min=1, help="Most tokens of an answer.")] = 256,
    max_critique_length: Annotated[
        int | None, typer.Option(min=1, help="Most tokens of a critique; 192 by default.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Decides principles and samples.")] = 0,
) -> None:
    """Answer, criticise and revise. Under drawn principles, as training rows."""
    from charter.config import validate
    from charter.constitution import Constitution
    from charter.feedback.revising.draw import usable
    from charter.feedback.revising.options import ReviseOptions
    from charter.feedback.revising.prompts import wordings
    from charter.feedback.revising.rule_critic import RULES, RuleCritic

    of_critiques = {
        name: value
        for name, value in (("max_critique_length", max_critique_length), ("few_shot", few_shot))
        if value is not None
    }
    by_rules = critic == RULES
    if by_rules:
        _refuse([*of_critiques, *(["only_better"] if only_better else [])])
    options = validate(
        ReviseOptions,
        {
            "rounds": rounds,
            "principles": list(principle or ()),
            "seed": seed,
            "temperature": temperature,
            "max_completion_length": max_completion_length,
            **of_critiques,
        },
        where="charter revise",
    )
    rules = Constitution.load(constitution)
    usable(rules, options.principles)
    if by_rules:
        RuleCritic(rules, options.principles)
    words = wordings(wording)
    from charter.interrupt import graceful
    from charter.pipeline.revising import FILES, TURNS, To, open_writer, read_answered, revise_into
    from charter.rundir import RunDir

    groups = read_answered(str(prompts))
    # Of endpoints: calls are written down one by one, so that a batch that is stopped is not paid for twice.
    answerer = open_writer(model, journal=output_dir / "calls-answers.jsonl")
    reviser = answerer
    if critic is not None and not by_rules:
        reviser = open_writer(critic, journal=output_dir / "calls-critic.jsonl")
    wanted: tuple[To, ...] = ("sft", "preference") if to == "both" else (to,)
    run = RunDir(output_dir)
    with run.lock(), graceful():
        found = revise_into(
            run.path,
            groups,
            rules,
            reviser,
            answerer=answerer,
            options=options,
            by_rules=by_rules,
            only_better=only_better,
            to=wanted,
            words=words,
        )
    for what, count in found["counts"].items():
        if count:
            print(f"{count} {what}")
    print(f"turns: {run.path / TURNS}")
    for name in wanted:
        print(f"rows for {name}: {run.path / FILES[name]}")


def _refuse(given: list[str]) -> None:
    from charter.errors import ConfigError

    for name in given:
        raise ConfigError(f"--{name.replace('_', '-')} has no effect with --critic rules", fix="leave it out")
