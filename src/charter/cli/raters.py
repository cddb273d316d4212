"""``charter raters LABELS.jsonl``: who labelled, how far they can be believed, and rows to train on."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from charter.feedback.people.compiled import CompileOptions
    from charter.feedback.people.people import People
    from charter.label import Label

_GOLD = (
    'Right values the labels do not carry: {"item": "i1", "value": 1} a line, "principle" where it matters.'
)
_WEIGHTS = "File for preference rows; other kinds go beside it (OUT.unpaired.jsonl, OUT.rated.jsonl ...)."
_SOFT = "votes: weighted vote shares, rows weigh their raters' reliability; posterior: Dawid-Skene's."
_BOTH_BAD = "drop: the vote; tie: half each; unpaired: two undesirable answers where most say so."
_SOURCE = "Whose labels become rows: human, expert, ai, implicit; repeat it. Default: all."
_NEXT = (
    'Pairs or answers to choose from: {"item": ..., "text": ... or "features": [...], "stratum": ...} a line.'
)
_CURVE = "Pairs' features, first answer less second: what `charter labels features` writes, or your own."
_SCALE = "LOWEST,HIGHEST of the ratings that carry no scale; 0,1 = verdicts, no or yes. Nothing guesses it."
_MODEL = "dawid-skene; mace: MACE's word on who guesses beside it (extra crowd)."
_BEFORE = "Labels from before a calibration exercise; LABELS are those from after it."


def raters_command(
    labels: Annotated[Path, typer.Argument(help="A file of labels.", show_default=False)],
    constitution: Annotated[str, typer.Option(help="So that principles without labels show.")] = "",
    gold: Annotated[Path | None, typer.Option("--gold", help=_GOLD)] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Folder for people.json.")] = None,
    weights: Annotated[Path | None, typer.Option("--weights", help=_WEIGHTS)] = None,
    soft: Annotated[str, typer.Option("--soft", help=_SOFT)] = "votes",
    ties: Annotated[str, typer.Option("--ties", help="half a vote to each answer, or drop.")] = "half",
    both_bad: Annotated[str, typer.Option("--both-bad", "--both_bad", help=_BOTH_BAD)] = "drop",
    source: Annotated[list[str] | None, typer.Option("--source", help=_SOURCE)] = None,
    with_gold: Annotated[
        bool, typer.Option("--with-gold", "--with_gold", help="Rows of test items too.")
    ] = False,
    by_group: Annotated[
        bool, typer.Option("--by-group", "--by_group", help="A row for each group of raters.")
    ] = False,
    bar: Annotated[float, typer.Option("--bar", min=0.0, max=1.0, help="Gold accuracy asked for.")] = 0.7,
    least_group: Annotated[
        int,
        typer.Option("--least-group", "--least_group", min=2, help="Raters below which a group is hidden."),
    ] = 5,
    stratum: Annotated[
        str, typer.Option("--stratum", help="Key of meta with an item's stratum.")
    ] = "stratum",
    scale: Annotated[str, typer.Option("--scale", help=_SCALE)] = "",
    model: Annotated[str, typer.Option("--model", help=_MODEL)] = "dawid-skene",
    before: Annotated[Path | None, typer.Option("--before", help=_BEFORE)] = None,
    plan: Annotated[
        float | None, typer.Option("--plan", help="Half-width wanted: how many raters and items that takes.")
    ] = None,
    next_from: Annotated[Path | None, typer.Option("--next-from", "--next_from", help=_NEXT)] = None,
    next_count: Annotated[
        int, typer.Option("--next", min=1, help="How many of --next-from to label next.")
    ] = 20,
    curve: Annotated[Path | None, typer.Option("--curve", help=_CURVE)] = None,
    seed: Annotated[int, typer.Option(help="Of the bootstraps.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON in place of tables.")] = False,
) -> None:
    """Measure raters and their agreement. Writes people.json and training rows; nobody is ever blocked."""
    from charter.errors import DataError
    from charter.feedback.people.heard import read_gold
    from charter.feedback.people.next_items import next_items, read_candidates
    from charter.feedback.people.people import PeopleOptions, people, steps
    from charter.feedback.people.rounds import compare_rounds, plans, reward_curves
    from charter.label import read_labels
    from charter.progress import progress
    from charter.rundir import write_json

    made_of = _compile_options(soft, ties, both_bad, source, with_gold, by_group, least_group)
    _check(plan, model, made_of, weights)
    said = read_labels(labels)
    if not said:
        raise DataError("no labels", where=str(labels), fix="collect some with `charter annotate`")
    rated = _scale(scale, said)
    right = None if gold is None else read_gold(gold)
    earlier = None if before is None else read_labels(before)
    candidates = None if next_from is None else read_candidates(next_from)
    differences = None if curve is None else read_candidates(curve)
    ids, levels = _principles(constitution)
    options = PeopleOptions(
        bar=bar, least_group=least_group, stratum=stratum, scale=rated, mace=model == "mace", seed=seed
    )
    with progress("raters", steps(said, options)) as advance:
        found = people(
            said,
            gold=right,
            principles=ids,
            levels=levels,
            options=options,
            note=lambda what: advance(1, what),
        )
    if earlier is not None:
        found.found["exercise"] = compare_rounds(earlier, said, scale=rated, seed=seed)
    if plan is not None:
        found.found["plan"] = plans(found.heard.labels, plan)
    if candidates is not None:
        found.found["next"] = next_items(candidates, next_count, found.heard.labels, seed=seed)
    if differences is not None:
        found.found["reward_curve"] = reward_curves(differences, found.heard.labels, seed=seed)
    if weights is not None:
        found.found["rows"] = _write_rows(found, made_of, weights)
    value = found.to_json()
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        write_json(out / "people.json", value)
    if as_json:
        print(json.dumps(value, indent=2, ensure_ascii=False))
    else:
        from charter.cli.raters_table import print_people

        print_people(value)
        if out is not None:
            print(f"written: {out / 'people.json'}")


def _compile_options(
    soft: str,
    ties: str,
    both_bad: str,
    sources: list[str] | None,
    gold: bool,
    by_group: bool,
    least_group: int,
) -> CompileOptions:
    from charter.errors import ConfigError, did_you_mean
    from charter.feedback.people.compiled import CompileOptions
    from charter.label import SOURCES

    for flag, value, known in (
        ("--soft", soft, ("votes", "posterior")),
        ("--ties", ties, ("half", "drop")),
        ("--both-bad", both_bad, ("drop", "tie", "unpaired")),
        *(("--source", one, SOURCES) for one in sources or ()),
    ):
        if value not in known:
            raise ConfigError(f"{value!r} is not known", where=flag, fix=did_you_mean(value, known))
    if soft == "posterior" and by_group:
        raise ConfigError(
            "the posterior is one for all groups", where="--by-group", fix="use it with --soft votes"
        )
    return CompileOptions(
        soft,  # type: ignore[arg-type]
        ties,  # type: ignore[arg-type]
        both_bad,  # type: ignore[arg-type]
        tuple(sources or SOURCES),  # type: ignore[arg-type]
        gold,
        by_group,
        least_group,
    )


def _check(plan: float | None, model: str, rows: CompileOptions, weights: Path | None) -> None:
    """What is wrong before anything is read."""
    from charter.errors import ConfigError, did_you_mean
    from charter.feedback.people.compiled import CompileOptions
    from charter.stats.raters.mace import need_crowd_kit

    if plan is not None and not 0 < plan < 1:
        raise ConfigError(f"{plan:g} is no half-width of a rate", where="--plan", fix="0.05 is 5 points")
    if model not in ("dawid-skene", "mace"):
        fix = did_you_mean(model, ("dawid-skene", "mace"))
        raise ConfigError(f"{model!r} is not known", where="--model", fix=fix)
    if model == "mace":
        need_crowd_kit()
    if weights is None and rows != CompileOptions(least_group=rows.least_group):
        what = "--soft, --ties, --both-bad, --source, --with-gold and --by-group say what rows are made"
        raise ConfigError(f"{what}, and none are asked for", where="--weights", fix="name their file")


def _scale(given: str, labels: Sequence[Label]) -> tuple[float, ...]:
    """``--scale``; () without it."""
    from charter.errors import ConfigError

    if not given:
        return ()
    try:
        low, high = (float(part) for part in given.split(","))
    except ValueError:
        raise ConfigError(f"{given!r} is no scale", where="--scale", fix="write 1,5") from None
    if not low < high:
        raise ConfigError(f"{given!r} is no scale", where="--scale", fix="the lowest first: 1,5")
    if all(label.kind != "rating" or label.scale for label in labels):
        raise ConfigError("no rating is without a scale of its own", where="--scale", fix="leave it out")
    return low, high


def _principles(constitution: str) -> tuple[list[str], dict[str, str]]:
    if not constitution:
        return [], {}
    from charter.constitution import Constitution

    law = Constitution.load(constitution)
    return [one.id for one in law.active], {one.id: one.level for one in law.active}


def _write_rows(found: People, options: CompileOptions, path: Path) -> dict[str, Any]:
    from charter.feedback.people.training_rows import compile_labels
    from charter.rundir import write_jsonl

    posterior = found.fits["pair"].first_better() if "pair" in found.fits else {}
    said = [*found.heard.labels, *found.heard.decisions]
    made = compile_labels(said, found.reliability, options, posterior=posterior)
    files = {}
    for kind, rows in made.rows.items():
        file = path if kind == "preference" else path.with_suffix(f".{kind}{path.suffix or '.jsonl'}")
        file.parent.mkdir(parents=True, exist_ok=True)
        write_jsonl(file, rows)
        files[kind] = {"file": str(file), "rows": len(rows)}
    policies = {"soft": options.soft, "ties": options.ties, "both_bad": options.both_bad}
    return {
        "files": files,
        "votes": made.used,
        "dropped": dict(made.dropped),
        "decisions": made.decided,
        "marks": made.marked,
        "without_scale": made.without_scale,
        "unknown_reliability": list(made.unknown),
        "policies": {**policies, "sources": list(options.sources)},
    }
