"""``charter constitution propose, proposals, comment, vote, tally, amend, reject``: governing the text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from charter.cli.constitution_exchange import Output, can_write, write
from charter.errors import CharterError, UserError

if TYPE_CHECKING:
    from charter.constitution.amending import Folder, State, Tally

Id = Annotated[str, typer.Argument(help="The proposal: 7, 0007, or its name.", metavar="ID")]
In = Annotated[Path, typer.Option("--in", help="Folder of the constitution.", metavar="FOLDER")]
As = Annotated[str, typer.Option("--as", help="Who says it.", metavar="NAME")]
Group = Annotated[str, typer.Option("--group", help="The group that this person votes in.")]
Reason = Annotated[str, typer.Option("--reason", help="Why; that of a no is kept with the principle.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Which = Annotated[str, typer.Option("--constitution", help="Its file, where the folder holds several.")]
HERE = Path()


def draft_command(
    ids: Annotated[list[str], typer.Argument(help="The principles to change.", metavar="PRINCIPLE...")],
    output: Output = None,
    constitution: Which = "",
    folder: In = HERE,
) -> None:
    """Write a draft to begin with: the present text of principles, for you to edit and propose."""
    from charter.constitution import Constitution
    from charter.constitution.amending.proposal import draft_of

    can_write(output, force=False)
    found = Constitution.load(_folder(folder).constitution(constitution))
    text = draft_of(found, Path(found.path).read_text(encoding="utf-8"), ids)
    write(output, text)
    if output is not None:
        typer.echo(f"wrote {output}; give it a title and reasons, edit the text, then")
        typer.echo(f"  charter constitution propose {output} --as NAME")


def propose_command(
    file: Annotated[Path, typer.Argument(help="The draft: a title, reasons, new text.", metavar="FILE")],
    folder: In = HERE,
    who: As = "",
    constitution: Which = "",
) -> None:
    """File a draft as a numbered proposal. The draft is Markdown with the new text of the principles."""
    from charter.cli.constitution_votes import required_line
    from charter.constitution.amending import count, propose

    state = propose(_folder(folder), file, author=who, constitution=constitution)
    number = state.proposal.head.id
    typer.echo(f"wrote {state.proposal.path}")
    _print_change(state)
    typer.echo(required_line(count(state)))
    typer.echo(f"vote: charter constitution vote {number} yes --as NAME --group GROUP --reason TEXT")


def proposals_command(folder: In = HERE, as_json: AsJson = False) -> None:
    """List all proposals. Exit 2 when one of them cannot be read; it is named, the others are shown."""
    from charter.cli.constitution_votes import list_line, summary
    from charter.constitution.amending import count, state_of

    place = _folder(folder)
    rows, broken = [], []
    for number, path in place.files().items():
        try:
            state = state_of(place, str(number))
            rows.append((state, count(state)))
        except CharterError as error:
            broken.append({"file": str(path), "error": str(error)})
    if as_json:
        found = [summary(state, votes) for state, votes in rows]
        typer.echo(json.dumps({"proposals": found, "broken": broken}, indent=2, ensure_ascii=False))
    else:
        if not rows and not broken:
            typer.echo(f"no proposals in {place.proposals}")
        for state, votes in rows:
            typer.echo(list_line(state, votes))
        for one in broken:
            typer.echo(f"{one['file']}: cannot be read: {one['error']}")
        for path in place.unfiled():
            typer.echo(f"{path}: no proposal yet; file it: charter constitution propose {path}")
    if broken:
        raise typer.Exit(UserError.exit_code)


def comment_command(
    id: Id,
    text: Annotated[str, typer.Argument(help="What to say.", metavar="TEXT")],
    who: As = "",
    group: Group = "",
    folder: In = HERE,
) -> None:
    """Say something about a proposal."""
    from charter.constitution.amending import comment

    said = comment(_folder(folder), id, who, text, group=group)
    typer.echo(f"{said.who}, {said.at}: {said.text}")


def vote_command(
    id: Id,
    choice: Annotated[str, typer.Argument(help="yes, no or abstain.", metavar="CHOICE")],
    who: As = "",
    group: Group = "",
    reason: Reason = "",
    folder: In = HERE,
) -> None:
    """Vote on a proposal as it is now. A later vote takes the place of an earlier one; both are kept."""
    from charter.cli.constitution_votes import decision_line
    from charter.constitution.amending import count, vote

    state = vote(_folder(folder), id, who, choice, group=group, reason=reason)
    typer.echo(f"proposal {state.proposal.number}: {' '.join(who.split())} votes {choice}")
    if choice == "no" and not reason.strip():
        typer.echo("  a no with --reason is kept with the principle if the amendment passes")
    typer.echo(decision_line(count(state)))


def tally_command(
    id: Id,
    folder: In = HERE,
    as_json: AsJson = False,
    check: Annotated[
        bool, typer.Option("--check", help="Exit 1 unless it passes, 6 while it is undecided.")
    ] = False,
) -> None:
    """Count the votes by group, the worst group first, and say what is missing to pass."""
    from charter.cli.constitution_votes import lines_of, status_of, summary
    from charter.constitution.amending import count, state_of

    state = state_of(_folder(folder), id)
    votes = count(state)
    if as_json:
        typer.echo(json.dumps(summary(state, votes) | votes.to_dict(), indent=2, ensure_ascii=False))
    else:
        typer.echo(f"proposal {state.proposal.number}: {state.proposal.head.title} ({status_of(state)})")
        _print_change(state)
        for line in lines_of(votes, state.log):
            typer.echo(line)
        if state.stale and state.proposal.open:
            typer.echo(f"stale: {state.stale}")
    if check:
        _exit_with(votes)


def amend_command(id: Id, who: As = "", folder: In = HERE) -> None:
    """Make the change if the votes carry it. Exit 1: they do not; 6: more votes would decide."""
    from charter.cli.constitution_diff import rerun_lines
    from charter.cli.constitution_votes import lines_of
    from charter.constitution.amending import Adopted, amend, state_of

    place = _folder(folder)
    found = amend(place, id, who=who)
    if isinstance(found, Adopted):
        state = state_of(place, id)
        typer.echo(f"amended {state.constitution.path}: version {found.version}")
        typer.echo(f"the version before: {found.kept}")
        for line in rerun_lines(found.difference):
            typer.echo(line)
        return
    typer.echo("not amended: the votes do not carry it")
    for line in lines_of(found, state_of(place, id).log):
        typer.echo(line)
    _exit_with(found)


def reject_command(id: Id, who: As = "", reason: Reason = "", folder: In = HERE) -> None:
    """Close a proposal without making the change; it stays on file."""
    from charter.constitution.amending import reject

    state = reject(_folder(folder), id, who=who, reason=reason)
    typer.echo(f"rejected {state.proposal.path}")


def rebase_command(id: Id, who: As = "", folder: In = HERE) -> None:
    """Take the constitution as it is now as a base. Votes stay where nothing that is replaced changed."""
    from charter.cli.constitution_votes import decision_line
    from charter.constitution.amending import count, rebase, state_of

    place = _folder(folder)
    before = state_of(place, id)
    moved = before.proposal.moved_in(before.text, before.constitution.path)
    state = rebase(place, id, who=who)
    typer.echo(f"rebased {state.proposal.path}")
    if moved:
        typer.echo(f"changed since, and replaced by it: {', '.join(moved)}; earlier votes are stale")
    typer.echo(decision_line(count(state)))


def polis_command(
    export: Annotated[
        Path, typer.Argument(help="Folder with comments.csv, participants-votes.csv.", metavar="EXPORT")
    ],
    statement: Annotated[str, typer.Option("--statement", help="Id of the statement to take over.")] = "",
    proposal: Annotated[str, typer.Option("--proposal", help="The proposal that says it.")] = "",
    groups: Annotated[
        list[str] | None, typer.Option("--group-name", help="Another name for a group: 0=city; repeatable.")
    ] = None,
    min_votes: Annotated[
        int, typer.Option("--min-votes", min=0, help="Leave out who voted on fewer statements.")
    ] = 0,
    folder: In = HERE,
    as_json: AsJson = False,
) -> None:
    """Read a Pol.is export: agreement by group and group-aware consensus; its votes, into a proposal."""
    from charter.cli.constitution_votes import decision_line, polis_lines, polis_values
    from charter.constitution.amending import add_votes, count
    from charter.constitution.amending.polis import read_polis
    from charter.rundir import now

    if bool(statement) != bool(proposal):
        raise UserError("--statement and --proposal go together", fix="give both, or neither for the table")
    found = read_polis(export, min_votes=min_votes, names=_names(groups or []))
    if proposal:
        state = add_votes(_folder(folder), proposal, found.votes(statement, now()))
        typer.echo(f"proposal {state.proposal.number}: {len(found.cast[statement])} votes taken over from")
        typer.echo(f"  {found.statement(statement).text}")
        typer.echo(decision_line(count(state)))
    elif as_json:
        typer.echo(json.dumps(polis_values(found), indent=2, ensure_ascii=False))
    else:
        for line in polis_lines(found):
            typer.echo(line)


def register(app: typer.Typer) -> None:
    """Add the commands to ``charter constitution``."""
    for name, command in (
        ("draft", draft_command),
        ("propose", propose_command),
        ("proposals", proposals_command),
        ("comment", comment_command),
        ("vote", vote_command),
        ("tally", tally_command),
        ("amend", amend_command),
        ("reject", reject_command),
        ("rebase", rebase_command),
        ("polis", polis_command),
    ):
        app.command(name)(command)


# -- printing -----------------------------------------------------------------


def _folder(path: Path) -> Folder:
    from charter.constitution.amending import Folder

    if not path.is_dir():
        raise UserError("no such folder", where=str(path), fix="name the constitution's folder with --in")
    return Folder(path)


def _print_change(state: State) -> None:
    """What the proposal would change, while it can be applied."""
    from charter.cli.constitution_diff import principle_lines, setting_lines
    from charter.constitution import Constitution
    from charter.constitution.diff import diff

    if not state.proposal.open or state.stale:
        return
    new = state.proposal.applied_to(state.constitution, state.text)
    found = diff(state.constitution, Constitution.from_text(new, state.constitution.path))
    for change in found.principles:
        for line in principle_lines(change):
            typer.echo(f"  {line}")
        if lost := [field.field for field in change.changes if field.before and not field.after]:
            typer.echo(f"  ! {change.id} loses its {' and '.join(lost)}: the proposal does not have them")
    for line in setting_lines(found):
        typer.echo(f"  {line}")


def _names(given: list[str]) -> dict[str, str]:
    pairs = [one.partition("=") for one in given]
    for id, equals, name in pairs:
        if not (id.strip() and equals and name.strip()):
            raise UserError(f"bad --group-name {id + equals + name!r}", fix="write it as 0=city")
    return {id.strip(): name.strip() for id, _, name in pairs}


def _exit_with(votes: Tally) -> None:
    code = {"pass": 0, "fail": 1, "undecided": 6}[votes.decision]
    if code:
        raise typer.Exit(code)
