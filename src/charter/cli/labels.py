"""``charter labels import | show | merge | check | export | features``: what people said, in files."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from charter.errors import UserError

if TYPE_CHECKING:
    from charter.label import Label

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None)

_PLACES = 5

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Force = Annotated[bool, typer.Option("--force", help="Write over a file that is there.")]
LabelsFile = Annotated[Path, typer.Argument(help="A file of labels.", show_default=False)]


@app.command("import")
def import_command(
    file: Annotated[Path, typer.Argument(help="JSON, JSON Lines, CSV or Parquet.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", help="File of labels to write.", show_default=False)],
    format: Annotated[
        str, typer.Option("--format", help="Its format; told by its form where it can be.")
    ] = "",
    question_map: Annotated[
        Path | None, typer.Option("--map", help="YAML: which field is what, what a choice means.")
    ] = None,
    rules: Annotated[
        Path | None, typer.Option("--rules", help="YAML: what an event of people's use is taken to say.")
    ] = None,
    left_out: Annotated[
        Path | None, typer.Option("--left-out", help="Write everything that became no label here.")
    ] = None,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Read labels from an export, a public preference set, a CSV file or events of use."""
    from charter.feedback.label_io.formats import import_labels
    from charter.rundir import write_jsonl

    _refuse_to_overwrite(out, force)
    found = import_labels(file, format, question_map=question_map, rules=rules)
    rows = [label.to_json() for label in found.labels] or [dict(one) for one in found.targets]
    write_jsonl(out, rows)
    if left_out is not None:
        write_jsonl(left_out, ({"where": one.where, "why": one.why} for one in found.left_out))
    if as_json:
        print(json.dumps({**found.to_json(), "out": str(out)}, indent=2, ensure_ascii=False))
        return
    raters = len({label.rater for label in found.labels})
    what = f"{len(found.labels)} labels of {raters} raters" if found.labels else f"{len(rows)} survey rows"
    print(f"{file}: read as {found.format}, {found.rows} rows: {what} in {out}")
    for note in found.notes:
        print(f"note: {note}")
    for why, places in found.reasons.items():
        more = f" and {len(places) - _PLACES} more" if len(places) > _PLACES else ""
        print(f"left out, {why}: {len(places)}\n    {', '.join(places[:_PLACES])}{more}")


@app.command("show")
def show_command(file: LabelsFile, as_json: AsJson = False) -> None:
    """Count a file's labels by rater, principle, kind, outcome, source and group."""
    from charter.feedback.label_io.show import counts_of
    from charter.label import read_labels

    found = counts_of(read_labels(file))
    if as_json:
        print(json.dumps(found, indent=2, ensure_ascii=False))
        return
    print(f"{file}: {found['labels']} labels of {found['items']} items by {found['raters']} raters")
    print(f"last words of a rater on an item: {found['last_words']}")
    overlap = ", ".join(f"{count} by {raters}" for raters, count in found["items_by_raters"].items())
    print(f"items by their number of raters: {overlap or 'none'}")
    for name in (
        "gold",
        "repeats",
        "with_suggestion",
        "order_recorded",
        "timed",
        "decisions",
        "text_unclear",
        "with_rationale",
    ):
        print(f"{name.replace('_', ' ')}: {found[name]}")
    for name, counts in ((name, counts) for name, counts in found["by"].items() if counts):
        print(f"by {name}:")
        for line in _aligned(counts):
            print(f"    {line}")


@app.command("merge")
def merge_command(
    files: Annotated[list[Path], typer.Argument(help="Two or more files of labels.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", help="File of labels to write.", show_default=False)],
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Put files of labels together; ids that meet are told apart, duplicates are kept once and named."""
    from charter.feedback.label_io.merge import merge_labels

    if len(files) < 2:
        raise UserError("merge needs at least two files")
    _refuse_to_overwrite(out, force)
    found = merge_labels(files)
    _write_labels(out, found.labels)
    if as_json:
        print(json.dumps({**found.to_json(), "out": str(out)}, indent=2, ensure_ascii=False))
        return
    print(f"{len(found.labels)} labels of {len(files)} files in {out}")
    print(f"ids that stood in several files, told apart: {len(found.renamed)}")
    print(f"duplicates, kept once: {len(found.duplicates)}")
    for dropped, kept in found.duplicates:
        print(f"    {dropped} is {kept}")


@app.command("check")
def check_command(
    file: LabelsFile,
    constitution: Annotated[
        Path | None, typer.Option("--constitution", help="Find principles it does not have.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Find everything that is wrong in a file of labels; exit code 1 where it cannot be read."""
    from charter.constitution import Constitution
    from charter.feedback.label_io.check import check_labels

    law = None if constitution is None else Constitution.load(constitution)
    found = check_labels(file, law)
    if as_json:
        print(json.dumps(found.to_json(), indent=2, ensure_ascii=False))
    else:
        for one in found.problems:
            print(f"{file}:{one.line}: {one.severity}: {one.what}" + (f"; {one.fix}" if one.fix else ""))
        errors = sum(one.severity == "error" for one in found.problems)
        print(f"{found.labels} labels, {errors} errors, {len(found.problems) - errors} warnings")
    raise typer.Exit(0 if found.ok else 1)


@app.command("export")
def export_command(
    file: LabelsFile,
    to: Annotated[str, typer.Option("--to", help="annotated-pairs, inspect-scores or csv.")],
    out: Annotated[Path, typer.Option("--out", help="File to write.", show_default=False)],
    force: Force = False,
) -> None:
    """Write labels in the format of another tool."""
    from charter.feedback.label_io.exported import export_labels
    from charter.label import read_labels
    from charter.rundir import write_text

    _refuse_to_overwrite(out, force)
    labels = read_labels(file)
    found = export_labels(labels, to, title=file.stem)
    write_text(out, found.text)
    print(f"{len(labels) - sum(found.left_out.values())} of {len(labels)} labels as {to} in {out}")
    for why, count in found.left_out.items():
        print(f"left out, {why}: {count}")


@app.command("features")
def features_command(
    file: LabelsFile,
    out: Annotated[Path, typer.Option("--out", help="File to write.", show_default=False)],
    dimensions: Annotated[
        int, typer.Option("--dimensions", min=8, max=4096, help="Numbers that words are hashed into.")
    ] = 256,
    force: Force = False,
) -> None:
    """Write features of labelled pairs, first answer less second, for `charter raters --curve`."""
    from charter.feedback.people.pair_features import pair_features
    from charter.label import read_labels
    from charter.rundir import write_jsonl

    _refuse_to_overwrite(out, force)
    found = pair_features(read_labels(file), dimensions)
    write_jsonl(out, found.rows)
    print(f"features of {len(found.rows)} pairs in {out}")
    for why, count in found.left_out.items():
        print(f"left out, {why}: {count}")


def _write_labels(out: Path, labels: Sequence[Label]) -> None:
    from charter.rundir import write_jsonl

    write_jsonl(out, (label.to_json() for label in labels))


def _refuse_to_overwrite(out: Path, force: bool) -> None:
    """Labels are somebody's work."""
    if out.exists() and not force:
        raise UserError(
            "this file is there already",
            where=str(out),
            fix="choose another name and put both together with `charter labels merge`, or give --force",
        )
    if not out.parent.is_dir():
        raise UserError(f"the folder {out.parent} does not exist", where=str(out))


def _aligned(counts: Mapping[str, Any]) -> list[str]:
    width = max((len(name) for name in counts), default=0)
    return [f"{name.ljust(width)}  {count}" for name, count in counts.items()]
