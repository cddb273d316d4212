"""``charter distil-judge CONSTITUTION --out DIR``: a small offline judge from examples, rules and labels."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from charter.constitution import Constitution
    from charter.evaluation.judge_card.labels import Labels
    from charter.feedback.judging.distilled.distil import Distilled
    from charter.feedback.judging.distilled.rows import Found
    from charter.types import Group

_ANSWERS = "Completions that `charter sample --output` or `charter judge --output` wrote; repeat it."
_LABELS = "Rows that people labelled: principle, prompt, completion, label; or chosen and rejected."


def distil_judge_command(
    constitution: Annotated[Path, typer.Argument(help="The constitution file.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for the judge.")],
    model: Annotated[str, typer.Option(help="The frozen model that reads answers.")] = "smollm2-135m",
    answers: Annotated[list[Path] | None, typer.Option("--answers", help=_ANSWERS)] = None,
    labels: Annotated[Path | None, typer.Option("--labels", help=_LABELS)] = None,
    folds: Annotated[int, typer.Option(min=2, help="Heads; each grades what it never saw.")] = 5,
    depth: Annotated[float, typer.Option(help="Share of the model's layers that are read.")] = 0.4,
    pooling: Annotated[str, typer.Option(help="mean (over the answer's tokens), last or both.")] = "mean",
    max_tokens: Annotated[int, typer.Option(min=16, help="Longer answers are left out.")] = 2048,
    as_json: Annotated[bool, typer.Option("--json", help="Print the judge's manifest as JSON.")] = False,
) -> None:
    """Make a judge, and say what it is worth on what it never saw."""
    from charter.constitution import Constitution
    from charter.evaluation.judge_card.labels import read_labels
    from charter.feedback.judging.distilled.distil import distil, gather
    from charter.feedback.judging.distilled.features import Reading
    from charter.feedback.judging.distilled.folder import check_folder
    from charter.feedback.judging.distilled.folds import folds_of
    from charter.models.check import check_checkpoint
    from charter.models.hub import resolve
    from charter.models.load import load

    law = Constitution.load(constitution)
    reading = Reading(depth, pooling)  # type: ignore[arg-type]  # checked there
    check_folder(out)
    people = read_labels(labels, law) if labels else None
    rows = gather(law, _groups(answers or ()), None if people is None else from_people(people, law))
    folds_of(rows, folds)
    check_checkpoint(resolve(model))
    found = distil(
        law,
        rows,
        load(model),
        out,
        model=_lasting(model),
        reading=reading,
        folds=folds,
        max_tokens=max_tokens,
    )
    if as_json:
        print(json.dumps({"folder": str(out), **brief(found)}, indent=2, ensure_ascii=False))
    else:
        _print(found, constitution)


def from_people(labels: Labels, constitution: Constitution) -> Found:
    """Labels as rows: of each answer the majority of its raters, and how large it is as its weight."""
    from charter.feedback.judging.distilled.rows import HUMAN, Found, Item, Labelled, Preferred
    from charter.feedback.judging.distilled.sources import judgeable

    found, known = Found(), judgeable(constitution)
    found.left_out.update(labels.left_out)
    for one in labels.answers:
        if one.principle in known:
            weight = abs(2 * labels.share[one.id] - 1)
            item = Item.of(one.principle, one.context, one.text)
            found.labelled.append(Labelled(item, one.good, HUMAN, weight))
        else:
            found.left_out["labels of definitions or retired principles"] += 1
    for pair in labels.pairs:
        if pair.principle in known:
            better, worse = (Item.of(pair.principle, pair.context, text) for text in (pair.good, pair.bad))
            found.preferred.append(Preferred(better, worse, HUMAN))
        else:
            found.left_out["labels of definitions or retired principles"] += 1
    return found


def brief(found: Distilled) -> dict[str, Any]:
    """The manifest without what only the judge itself needs."""
    said = {name: value for name, value in found.manifest.items() if name != "heads"}
    kept = ("ridge", "own", "trained_on")
    return {**said, "heads": [{name: one[name] for name in kept} for one in found.manifest["heads"]]}


def _groups(files: Any) -> list[Group]:
    from charter.errors import UserError
    from charter.records import read_groups

    found: list[Group] = []
    for file in files:
        if not file.is_file():
            raise UserError("no such file", where=str(file), fix="make one with `charter sample --output`")
        found += read_groups(file)
    return found


def _lasting(model: str) -> str:
    """A folder is found again from anywhere, a name as it is."""
    path = Path(model).expanduser()
    return str(path.resolve()) if path.is_dir() else model


def _print(found: Distilled, constitution: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    console = console if console.is_terminal else Console(width=max(console.width, 132))
    table = Table(
        "principle", "rows", "pairs in order, held out", "always the longest", "right verdicts", box=None
    )
    for id, one in found.principles.items():
        rows = found.manifest["principles"][id]["rows"]
        table.add_row(id, _rows(rows), one.pairs.words(), _rate(one.longest.rate), one.labels.words())
    all_of = found.overall
    table.add_row("all", "", all_of.pairs.words(), _rate(all_of.longest.rate), all_of.labels.words())
    console.print(table)
    for line in lines(found, constitution):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def lines(found: Distilled, constitution: Path) -> list[str]:
    """What the numbers come to, in sentences."""
    said, overall = found.manifest, found.overall
    told = ["", f"{said['answers']} answers to {said['prompts']} prompts, {len(found.fitted.heads)} heads"]
    against = overall.against
    if against.rate is not None:
        told.append(f"where the longer answer is the worse one: {against.words()} pairs in order")
    if overall.transferred:
        told.append(
            f"{overall.transferred} of {said['answers']} answers were graded by a head that knew no other "
            "prompt of their principle: by what principles have in common alone"
        )
    by: dict[str, list[str]] = {"promising": [], "undecided": [], "not good enough": []}
    for id, one in found.principles.items():
        by[one.standing].append(id)
    if by["promising"]:
        told.append(f"promising: {', '.join(by['promising'])}")
    else:
        told.append("for no principle is it shown to be good enough")
    if by["undecided"]:
        told.append(f"too little to tell: {', '.join(by['undecided'])}")
    if by["not good enough"]:
        told.append(f"not good enough: {', '.join(by['not good enough'])}")
    if said["not_trained_on"]:
        told.append(f"nothing to learn from, so it abstains: {', '.join(said['not_trained_on'])}")
    told += [f"{count} left out: {why}" for why, count in said["left_out"].items()]
    told += ["", f"its card: charter judge-card {found.folder} --constitution {constitution}"]
    return told


def _rows(rows: dict[str, dict[str, int]]) -> str:
    return ", ".join(
        f"{source}: {one['good']} good, {one['bad']} bad, {one['pairs']} pairs"
        for source, one in rows.items()
    )


def _rate(value: float | None) -> str:
    from charter.stats import percent

    return "none" if value is None else percent(value)
