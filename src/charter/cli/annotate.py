"""``charter annotate new, serve, status, export``: people label answers in a page on this machine."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from charter.errors import EnvironmentFault, UserError

if TYPE_CHECKING:
    from charter.annotation.database import Store
    from charter.annotation.make_items import Counts
    from charter.annotation.options import CampaignOptions, Mode
    from charter.annotation.task import Task
    from charter.constitution import Constitution, Principle

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
Db = Annotated[Path, typer.Argument(help="The campaign's file.", metavar="DB")]
_NEEDED = {"fastapi", "uvicorn", "sqlalchemy", "starlette"}


@contextlib.contextmanager
def _extra() -> Iterator[None]:
    """Name the extra where its packages are missing."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] not in _NEEDED:
            raise
        raise EnvironmentFault(
            f"charter annotate needs the package {error.name}", fix="pip install 'charter[annotate]'"
        ) from None


@app.command("new")
def new_command(
    db: Db,
    constitution: Annotated[Path, typer.Option("--constitution", help="The constitution file.")],
    answers: Annotated[
        list[Path], typer.Option("--answers", help="Sampled groups (.jsonl); may be repeated.")
    ],
    mode: Annotated[
        list[str] | None,
        typer.Option(
            "--mode", help="pair, ranking, rating, revision, spans; may be repeated. Default: pair."
        ),
    ] = None,
    principle: Annotated[
        list[str] | None, typer.Option("--principle", help="Label under this one; may be repeated.")
    ] = None,
    each_principle: Annotated[bool, typer.Option("--each-principle", help="Under every principle.")] = False,
    overall: Annotated[
        bool, typer.Option("--overall", help="Also the answer as a whole (the default without principles).")
    ] = False,
    name: Annotated[str, typer.Option(help="Shown to raters; the file's name by default.")] = "",
    overlap: Annotated[int, typer.Option(min=1, max=20, help="Raters of each item.")] = 2,
    calibration: Annotated[int, typer.Option(min=0, help="Items that more raters label, first.")] = 0,
    calibration_overlap: Annotated[int, typer.Option(min=1, max=20, help="Raters of each of those.")] = 3,
    gold_share: Annotated[float, typer.Option(help="Tests from the GOOD and BAD examples.")] = 0.06,
    repeat_share: Annotated[float, typer.Option(help="Earlier items again, sides swapped.")] = 0.04,
    repeat_gap: Annotated[int, typer.Option(min=1, help="Fewest labels before an item is repeated.")] = 8,
    policy: Annotated[
        Literal["random", "active"], typer.Option(help="active: the most uncertain first.")
    ] = "random",
    random_share: Annotated[float, typer.Option(help="With active: the share drawn by chance.")] = 0.25,
    extra_overlap: Annotated[
        int, typer.Option(min=0, help="With active: more raters where the first ones disagree.")
    ] = 0,
    pairs_per_group: Annotated[int, typer.Option(min=1, help="Most pairs of a larger group.")] = 1,
    lease: Annotated[float, typer.Option(min=1.0, help="Seconds a shown item counts as taken.")] = 1800.0,
    group: Annotated[
        list[str] | None, typer.Option("--group", help="A group raters may say to belong to; repeatable.")
    ] = None,
    span_tag: Annotated[
        list[str] | None, typer.Option("--span-tag", help="What a marked place can be called; repeatable.")
    ] = None,
    reveal: Annotated[
        bool, typer.Option("--reveal", help="Show models and judges AFTER each label; biases what follows.")
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="Decides sides, gold, repeats, order.")] = 0,
) -> None:
    """Make a campaign from sampled answers: one file, which holds everything from then on."""
    with _extra():
        from charter.annotation.create import create
    from charter.annotation.make_items import make_tasks, principles_of, read_answers
    from charter.annotation.options import CampaignOptions
    from charter.config import validate
    from charter.constitution import Constitution

    given: dict[str, object] = {
        "overlap": overlap,
        "calibration": calibration,
        "calibration_overlap": calibration_overlap,
        "gold_share": gold_share,
        "repeat_share": repeat_share,
        "repeat_gap": repeat_gap,
        "policy": policy,
        "random_share": random_share,
        "extra_overlap": extra_overlap,
        "lease_s": lease,
        "seed": seed,
        "reveal": reveal,
        "groups": tuple(group or ()),
        **({"span_tags": tuple(span_tag)} if span_tag else {}),
    }
    options: CampaignOptions = validate(CampaignOptions, given, where="charter annotate new")
    modes = _modes(mode or ["pair"])
    if db.exists():
        raise UserError("there is a file already", where=str(db), fix="labels are never overwritten")
    rules = Constitution.load(constitution)
    chosen = principles_of(rules, principle or [], each=each_principle, overall=overall)
    tasks, left_out = make_tasks(
        read_answers(answers), modes, chosen, pairs_per_group=pairs_per_group, seed=seed
    )
    gold = _gold(rules, chosen, modes, options)
    made = create(
        db,
        rules,
        tasks,
        gold,
        options,
        name=name,
        made_from={"answers": [str(path) for path in answers], "modes": list(modes)},
    )
    made.store.close()
    typer.echo(f"made {db}: {made.items} items, {made.gold} tests of raters")
    for stratum, count in sorted(made.strata.items()):
        typer.echo(f"  {count:5d}  {stratum}")
    if made.calibration:
        typer.echo(f"calibration: {made.calibration} items, {options.calibration_overlap} raters each")
    _print_counts(left_out)
    typer.echo(f"serve it: charter annotate serve {db} --raters names.csv")


@app.command("serve")
def serve_command(
    db: Db,
    raters: Annotated[
        Path | None, typer.Option("--raters", help="CSV: name[,group,role]; role rater, adjudicator, admin.")
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 = any free one.")] = 8765,
    host: Annotated[str, typer.Option(help="Another address than this machine alone.")] = "127.0.0.1",
    score: Annotated[
        str | None, typer.Option("--score", help="FILE.py:NAME, for active assignment; higher = sooner.")
    ] = None,
) -> None:
    """Serve the page and print each rater's link, which opens one browser once. Ctrl-C ends it."""
    with _extra():
        from charter.annotation.serve import base_url, check_ready, links, listen, only_server, serve
    from charter.annotation.app import LOOPBACK
    from charter.annotation.raters import check_groups, read_people
    from charter.annotation.uncertainty import disagreement, load_score

    store = _open(db)
    options = store.campaign()[1]
    people = read_people(raters) if raters is not None else []
    check_groups(people, options.groups, str(raters))
    if score is not None and options.policy != "active":
        raise UserError("--score is for campaigns made with --policy active", where=str(db))
    chosen = disagreement if score is None else load_score(score)
    with only_server(db):
        check_ready(store)
        sock = listen(host, port)
        if host not in LOOPBACK:
            typer.echo(
                f"warning: listening on {host}: whoever reaches this machine can ask, and links and labels "
                "travel unencrypted; prefer an SSH tunnel to 127.0.0.1",
                err=True,
            )
        typer.echo("links, each for one person and one use; whoever is signed in needs none:")
        for who, role, link in links(store, people, base_url(sock, host)):
            typer.echo(f"  {who} ({role}): {link}")
        typer.echo(f"labels: charter annotate export {db} --out labels.jsonl, also while this runs")
        typer.echo("Ctrl-C ends it; nothing that was saved is lost")
        try:
            serve(store, sock, host, score=chosen)
        finally:
            store.close()


@app.command("status")
def status_command(db: Db) -> None:
    """Coverage of each stratum, agreement, and each rater's quality with intervals; also while it runs."""
    store = _open(db)
    from charter.annotation.status import status_lines

    for line in status_lines(store):
        typer.echo(line)
    store.close()


@app.command("export")
def export_command(
    db: Db,
    out: Annotated[Path, typer.Option("--out", help="The file to write.")],
    to: Annotated[
        Literal["labels", "preference", "ranking", "unpaired", "rating", "table", "events"],
        typer.Option(
            "--to", help="labels: all of them; table: CSV; events: the whole log; else for trainers."
        ),
    ] = "labels",
    force: Annotated[bool, typer.Option("--force", help="Replace the file.")] = False,
) -> None:
    """Write labels, rows for trainers, or a table; also while people are labelling."""
    store = _open(db)
    from charter.annotation.export import export
    from charter.annotation.site import constitution_of

    if out.exists() and not force:
        raise UserError("there is a file already", where=str(out), fix="name another, or say --force")
    if out.resolve() == db.resolve():
        raise UserError("that is the campaign itself", where=str(out))
    if not out.parent.is_dir():
        raise UserError("no such folder", where=str(out.parent))
    judge = constitution_of(store.campaign()[0]).judge
    counts = export(store, out, to, scale=judge.scale, pass_at=judge.pass_at)
    typer.echo(f"wrote {out}: {counts.pop('rows', 0)} rows")
    _print_counts(counts)
    store.close()


def _open(db: Path) -> Store:
    with _extra():
        from charter.annotation.database import Store
    return Store(db)


def _modes(said: list[str]) -> list[Mode]:
    from charter.annotation.options import MODES
    from charter.errors import did_you_mean

    found: list[Mode] = []
    for one in said:
        known = [mode for mode in MODES if mode == one]
        if not known:
            raise UserError(f"unknown mode {one!r}", fix=did_you_mean(one, MODES))
        found += [mode for mode in known if mode not in found]
    return found


def _gold(
    rules: Constitution, chosen: list[Principle | None], modes: list[Mode], options: CampaignOptions
) -> list[Task]:
    """Tests of the kind of the ordinary items: under principles, or of answers as a whole."""
    from charter.annotation.gold import gold_tasks

    if not options.gold_share:
        return []
    named = [one for one in chosen if one is not None]
    found = gold_tasks(named or rules.active, modes, scale=rules.judge.scale, overall=None in chosen)
    return found if named else [task for task in found if not task.principle]


def _print_counts(counts: Counts) -> None:
    for what, count in sorted(counts.items()):
        if count:
            typer.echo(f"{count} {what}")
