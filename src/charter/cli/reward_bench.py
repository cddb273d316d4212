"""``charter reward-bench MODEL --data PAIRS``: how good a reward model is, and how much of it is length."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from charter.evaluation.reward_bench.reward_bench import Part, RewardBench
    from charter.feedback.trained.checkpoints import Named

COEF = 0.5
"""Weight of the variance where answers are compared, not trained on (2310.02743)."""

_COMBINE = "How several models become one: mean, worst, or uncertainty (mean less coef times variance)."


def reward_bench_command(
    models: Annotated[
        list[str],
        typer.Argument(
            help="A reward model or trained judge, FOLDER[:key=value,...]; several = an ensemble."
        ),
    ],
    data: Annotated[str, typer.Option("--data", help="Pairs: a preference file, or one of RewardBench.")],
    output_dir: Annotated[
        Path | None,
        typer.Option("--output-dir", "--output_dir", help="Folder for reward_bench.json and .html."),
    ] = None,
    combine: Annotated[str | None, typer.Option("--combine", help=_COMBINE)] = None,
    coef: Annotated[
        float | None, typer.Option("--coef", min=0.0, help="Weight of the variance; 0.5 by default.")
    ] = None,
    weight: Annotated[
        list[str] | None,
        typer.Option("--weight", help="Weight of a dimension, name=weight; the rest weigh 0."),
    ] = None,
    as_chat: Annotated[
        bool | None,
        typer.Option(
            "--as-chat/--as-text",
            help="Make plain texts turns of a conversation; by default those of RewardBench.",
        ),
    ] = None,
    split: Annotated[str, typer.Option("--split", help="Split of a data set with several.")] = "train",
    max_length: Annotated[
        int | None, typer.Option("--max-length", "--max_length", min=2, help="Most tokens of a sample.")
    ] = None,
    bf16: Annotated[bool, typer.Option("--bf16/--no-bf16", help="Compute in bfloat16.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON in place of a table.")] = False,
) -> None:
    """Test a reward model. Accuracy by subset, calibration, and what it owes to length and style."""
    from charter.data.formats import load_groups
    from charter.errors import ConfigError

    if coef is not None and combine != "uncertainty":
        raise ConfigError("it has no effect without --combine uncertainty", where="--coef")
    asked = _asked(models, {"combine": combine, "coef": coef, "weights": _weights(weight)})
    if max_length is not None and asked.trained is not None and asked.trained.kind != "outcome":
        raise ConfigError(
            f"it has no effect on a model trained with {asked.trained.algorithm}, which reads whole texts",
            where="--max-length",
        )
    load_groups(data, "preference", split=split)  # a mistake in the file is found before a model loads
    from functools import partial

    from charter.evaluation.reward_bench.judge_bench import judge_bench
    from charter.evaluation.reward_bench.pairs import read_pairs
    from charter.feedback.trained.opening import opened, template_of
    from charter.models.load import load
    from charter.reporting.reward_bench import JSON, write_reward_bench
    from charter.rundir import write_json

    judge = opened(asked, partial(load, bf16=bf16))
    pairs = read_pairs(data, template_of(judge), as_chat=as_chat, max_length=max_length, split=split)
    found = judge_bench(judge, pairs, asked.models)
    if as_json:
        print(json.dumps(found.to_json(), indent=2, ensure_ascii=False))
    else:
        if asked.trained is not None:
            print(asked.trained.words())
        _print(found)
    if output_dir is not None:
        output_dir.mkdir(parents=True, exist_ok=True)
        write_json(output_dir / JSON, found.to_json())
        page = write_reward_bench(output_dir)
        if not as_json:
            print(f"page: {page}")


def _weights(written: list[str] | None) -> dict[str, float] | None:
    from charter.catalogue.weights import named_weights
    from charter.errors import ConfigError

    try:
        return named_weights(written or ()) or None
    except ValueError as error:
        raise ConfigError(str(error), where="--weight") from None


def _asked(models: list[str], flags: dict[str, Any]) -> Named:
    """What is tested: one checkpoint with options of its own, or reward models as one.

    Raises:
        ConfigError: an option that is given twice, has no effect, or is not known.
    """
    from charter.errors import ConfigError
    from charter.feedback.rewards.parsed import target_and_options
    from charter.feedback.trained.checkpoints import ENSEMBLE, named

    given = {name: value for name, value in flags.items() if value is not None}
    if len(models) == 1:
        target, options = target_and_options(models[0])
    else:
        target, options = ENSEMBLE + "+".join(models), {}
    for name in given.keys() & options.keys():
        raise ConfigError(f"{name} is given twice", where=models[0])
    options |= given
    if options.get("combine") == "uncertainty":
        options.setdefault("coef", COEF)
    return named(target, options, Path())


def _print(found: RewardBench) -> None:
    from rich.console import Console
    from rich.table import Table

    from charter.stats import p_words

    table = Table("pairs", "n", "always longest", "reward model", "95% interval", "difference", "p", box=None)
    for part in (*found.subsets, found.overall):
        model = part.model
        table.add_row(
            part.name,
            str(model.n),
            f"{part.longest.rate:.1%}",
            f"{model.rate:.1%}",
            f"{model.interval.lo:.1%} to {model.interval.hi:.1%}",
            _difference(part),
            p_words(part.p),
        )
    console = Console()
    console = console if console.is_terminal else Console(width=max(console.width, 132))
    console.print(table)
    for line in lines(found):
        console.print(line, markup=False, highlight=False)


def _difference(part: Part) -> str:
    change = 100 * (part.model.rate - part.longest.rate)
    return f"{change:+.1f} points, {100 * part.difference.lo:+.1f} to {100 * part.difference.hi:+.1f}"


def lines(found: RewardBench) -> list[str]:
    """What the table does not say, one fact a line."""
    told = [f"{count} left out: {reason}" for reason, count in found.left_out.items() if count]
    if found.as_chat:
        told.append("plain texts were made the turns of a conversation")
    if found.overall.model.ties:
        told.append(f"{found.overall.model.ties} pairs with equal rewards, which is not right")
    told += [f"RewardBench {name}: {100 * score:.1f}" for name, score in found.sections.items()]
    if found.calibration is None:
        told.append("calibration: not measured (too few pairs, or no probability of pairs)")
    else:
        c = found.calibration
        told.append(f"calibration error {c.ece:.3f}, log loss {c.log_loss:.3f}, Brier score {c.brier:.3f}")
    for name, of in (("all answers", found.length), ("answers to one prompt", found.length_within)):
        if of is not None:
            interval = f"{of.interval.lo:+.2f} to {of.interval.hi:+.2f}"
            told.append(f"rank correlation of reward and length over {name}: {of.value:+.2f} ({interval})")
    for name, fit in (("rewards", found.style), ("differences within pairs", found.style_within)):
        if fit is not None:
            told.append(
                f"style explains {max(fit.r2, 0):.0%} of {name} (adjusted {max(fit.adjusted, 0):.0%})"
            )
    return told
