"""``charter shift BASE ALIGNED PROMPTS``: at which tokens alignment changed what is said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from charter.cli.model_name import known_model

if TYPE_CHECKING:
    from charter.evaluation.token_shift.summary import Share, Stretch, TokenShift


def shift_command(
    base: Annotated[str, typer.Argument(help="The model before alignment.", callback=known_model)],
    aligned: Annotated[
        str,
        typer.Argument(help="The model after alignment, whose answers are read.", callback=known_model),
    ],
    prompts: Annotated[Path, typer.Argument(help="File of prompts.")],
    max_completion_length: Annotated[
        int, typer.Option("--max-completion-length", "--max_completion_length", min=1, help="Most tokens.")
    ] = 256,
    in_context: Annotated[
        str | None,
        typer.Option("--in-context", help="The base model reads the answers after examples: urial, ..."),
    ] = None,
    demonstrations: Annotated[
        str | None, typer.Option("--demonstrations", help="Rows with answers, as examples.")
    ] = None,
    system_prompt: Annotated[
        str | None,
        typer.Option("--system-prompt", help="For the base model: a constitution, a file, a text."),
    ] = None,
    examples: Annotated[int, typer.Option(min=0, help="Answers to show token by token.")] = 5,
    seed: Annotated[int, typer.Option(help="Of the intervals.")] = 0,
    output_dir: Annotated[
        Path | None,
        typer.Option("--output-dir", "--output_dir", help="Folder for token_shift.json and .html."),
    ] = None,
    bf16: Annotated[bool, typer.Option("--bf16/--no-bf16", help="Compute in bfloat16.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON in place of a table.")] = False,
) -> None:
    """Which tokens alignment changed. Where would the base model have said something else?

    A token is unshifted where it is the base model's first choice, marginal where it is second or third,
    shifted below that.
    """
    from charter.data.formats import load_groups
    from charter.engines.tuning_free import TuningFree
    from charter.errors import ConfigError

    loaded = load_groups(str(prompts), "prompts")  # a mistake in the file is found before a model loads
    around = TuningFree.named(in_context, demonstrations, system_prompt)
    if around is not None and around.method == "icdpo":
        raise ConfigError("icdpo chooses answers: it is no context", where="--in-context")
    from charter.data.prepare import prepare
    from charter.evaluation.token_shift.measure import measure_shift
    from charter.models.load import load
    from charter.reporting.token_shift import JSON, write_token_shift
    from charter.rundir import write_json

    policy = load(aligned, bf16=bf16)
    found = measure_shift(
        policy,
        load(base, bf16=bf16),
        prepare(loaded, policy.template).groups,
        around=around,
        max_completion_length=max_completion_length,
        seed=seed,
    )
    if as_json:
        print(json.dumps(found.to_json(examples), indent=2, ensure_ascii=False))
    else:
        _print(found)
    if output_dir is not None:
        output_dir.mkdir(parents=True, exist_ok=True)
        write_json(output_dir / JSON, found.to_json(examples))
        page = write_token_shift(output_dir)
        if not as_json:
            print(f"page: {page}")


def _print(found: TokenShift) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("tokens", "n", "unshifted", "marginal", "shifted [95%]", "KL", box=None)
    for stretch in (*found.by_position, found.overall):
        name = "all" if stretch is found.overall else _place(stretch)
        table.add_row(
            name,
            str(stretch.n),
            f"{stretch.shares['unshifted'].rate:.1%}",
            f"{stretch.shares['marginal'].rate:.1%}",
            _with_interval(stretch.shares["shifted"]),
            f"{stretch.kl:.3f}",
        )
    console = Console()
    console.print(table)
    for line in lines(found):
        console.print(line, markup=False, highlight=False)


def _place(stretch: Stretch) -> str:
    if stretch.last is None:
        return f"{stretch.first} and later"
    return str(stretch.first) if stretch.first == stretch.last else f"{stretch.first} to {stretch.last}"


def _with_interval(share: Share) -> str:
    if share.interval is None:
        return f"{share.rate:.1%}"
    return f"{share.rate:.1%} [{share.interval.lo:.1%}, {share.interval.hi:.1%}]"


def lines(found: TokenShift) -> list[str]:
    """What the table does not say, one fact a line."""
    told = [f"{len(found.answers)} answers of {found.aligned}, read by {found.base}"]
    if found.framed:
        told.append(f"the base model read them under: {found.framed}")
    if found.words:
        often = ", ".join(f"{w.token!r} {w.shifted} of {w.n} (base: {w.instead!r})" for w in found.words[:8])
        told.append(f"shifted most often: {often}")
    if found.not_greedy:
        told.append(f"{found.not_greedy:.1%} of the tokens are not the aligned model's own first choice")
    return told
