"""``charter inspect export | import``: results as logs of Inspect, and its logs as judged samples."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

Force = Annotated[bool, typer.Option("--force", help="Overwrite the output.")]
Law = Annotated[
    Path | None, typer.Option("--constitution", help="The constitution file, where nothing else names it.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command("export")
def export_command(
    results: Annotated[
        Path,
        typer.Argument(
            help="A run, the directory of `charter evaluate --out`, or a file of judged samples.",
            metavar="RUN",
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="The log, FILE.eval.")],
    constitution: Law = None,
    base: Annotated[bool, typer.Option("--base", help="The model before alignment.")] = False,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Write a finished evaluation as a log that Inspect's viewer reads."""
    from charter.constitution import Constitution
    from charter.evaluation.inspect.results import read_results

    law = None if constitution is None else Constitution.load(constitution)
    found = read_results(results, law, "base" if base else "aligned")
    from charter.evaluation.inspect.write import write_log

    written = write_log(found, out, force=force)
    if as_json:
        print(json.dumps({"path": str(written.path), "samples": written.samples, "counts": written.counts}))
        return
    print(f"wrote {written.path}: {written.samples} answers of {found.model}")
    _counted(written.counts)
    print(f"look at it: inspect view start --log-dir {written.path.parent}")


@app.command("import")
def import_command(
    log: Annotated[Path, typer.Argument(help="A log of Inspect, .eval or .json.", metavar="FILE")],
    out: Annotated[Path, typer.Option("--out", "-o", help="File for the samples, one group a line.")],
    constitution: Law = None,
    principle: Annotated[
        list[str] | None,
        typer.Option(
            "--principle", help="SCORER=ID: that scorer speaks for this principle. May be repeated."
        ),
    ] = None,
    pass_at: Annotated[
        float | None, typer.Option("--pass-at", help="Lowest score that passes; else 1 passes and 0 fails.")
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option("--labels", help="Also write the scores as rows for `charter judge-card --labels`."),
    ] = None,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Read a log of Inspect as samples with judgements, whoever wrote it."""
    from charter.cli.constitution_exchange import can_write
    from charter.constitution import Constitution
    from charter.errors import ConfigError

    can_write(out, force)
    can_write(labels, force)
    if (principle or pass_at is not None) and constitution is None:
        raise ConfigError("needs --constitution FILE", where="--principle" if principle else "--pass-at")
    if pass_at is not None and not principle:
        raise ConfigError("has no effect without --principle", where="--pass-at")
    named = _principles(principle or [])
    law = None if constitution is None else Constitution.load(constitution)
    from charter.evaluation.inspect.read import Judged, label_rows, read_log
    from charter.records import write_groups
    from charter.rundir import write_jsonl

    found = read_log(log, None if law is None else Judged(law, named, pass_at))
    write_groups(out, found.groups)
    rows = label_rows(found.groups) if labels is not None else []
    if labels is not None:
        write_jsonl(labels, rows)
    told = {
        "log": dict(found.log),
        "groups": len(found.groups),
        "samples": found.samples,
        "judgements": sum(len(group.judgements) for group in found.groups),
        "left_out": dict(found.left_out),
        "notes": dict(found.notes),
        **({} if labels is None else {"labels": len(rows)}),
    }
    if as_json:
        print(json.dumps(told, ensure_ascii=False))
        return
    print(f"read {log}: {told['samples']} answers to {told['groups']} prompts, {told['judgements']} scores")
    print(f"  task {found.log['task']}, model {found.log['model']}, {found.log['status']}")
    print(f"  scorers: {', '.join(found.log['scorers']) or 'none'}")
    _counted(found.left_out, "left out: ")
    _counted(found.notes)
    if labels is not None:
        print(f"wrote {len(rows)} labels to {labels}")
    print(f"wrote {out}; judge it with: charter judge {out} --constitution FILE")


def _principles(given: list[str]) -> dict[str, str]:
    from charter.errors import ConfigError

    found = {}
    for one in given:
        scorer, equals, id = one.rpartition("=")
        if not equals or not scorer or not id:
            raise ConfigError(f"not SCORER=ID: {one!r}", where="--principle")
        if scorer in found:
            raise ConfigError(f"scorer {scorer!r} is named twice", where="--principle")
        found[scorer] = id
    return found


def _counted(counts: Mapping[str, int], before: str = "") -> None:
    for what, number in counts.items():
        if number:
            print(f"  {before}{number} {what}")
