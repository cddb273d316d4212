"""What people do with a proposal: file it, discuss it, vote on it, take a new base, reject it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from charter.constitution.amending.edit import sha_of
from charter.constitution.amending.folder import Folder
from charter.constitution.amending.log import CHOICES, Choice, Comment, Step, Vote, append_rows
from charter.constitution.amending.proposal import read_proposal, slug_of, written
from charter.constitution.amending.state import State, check_may_decide, close, opened, sound, state_of
from charter.constitution.amending.tally import may_vote
from charter.constitution.constitution import Constitution, read_text
from charter.errors import ConstitutionError, UserError, did_you_mean
from charter.rundir import now, write_text


def propose(folder: Folder, draft: Path, *, author: str = "", constitution: str = "", at: str = "") -> State:
    """File a draft as a proposal: it gets a number, and the base that it changes.

    Raises:
        ConstitutionError: the draft is wrong, changes nothing, or would make the constitution wrong.
    """
    found = read_proposal(draft, read_text(draft))
    if found.head.id:
        raise ConstitutionError(
            f"the draft has the id {found.head.id} already",
            where=str(draft),
            fix="edit the proposal's own file; a draft carries no id",
        )
    file = folder.constitution(found.head.constitution or constitution)
    text = read_text(file)
    base = Constitution.from_text(text, file)
    sound(found, base, text)
    at = at or now()
    with folder.lock():
        number = max(folder.files(), default=0) + 1
        head = found.head.model_copy(
            update={
                "id": number,
                "author": author or found.head.author,
                "date": found.head.date or at[:10],
                "constitution": file.name,
                "status": "open",
                "base": sha_of(text),
                "replaces": found.pieces_of(text, base.path),
            }
        )
        path = folder.proposals / f"{number:04d}-{slug_of(head.title)}.md"
        write_text(path, written(head, found.body))
        filed = folder.proposal(str(number))
        append_rows(folder.log_path(filed), [Step(who=head.author, at=at, step="proposed", base=head.base)])
    return state_of(folder, str(number))


def comment(folder: Folder, id: str, who: str, text: str, *, group: str = "", at: str = "") -> Comment:
    """Add a remark.

    Raises:
        UserError: no such proposal, it is closed, or nothing is said.
    """
    if not text.strip():
        raise UserError("an empty comment", fix="say something")
    with folder.lock():
        state = opened(folder, id)
        said = Comment(who=_named(who), group=group, at=at or now(), text=text, proposal=state.proposal.sha)
        append_rows(folder.log_path(state.proposal), [said])
    return said


def vote(
    folder: Folder,
    id: str,
    who: str,
    choice: str,
    *,
    group: str = "",
    reason: str = "",
    at: str = "",
) -> State:
    """Add a vote; it takes the place of an earlier one of the same person, which is kept.

    Raises:
        UserError: no such proposal, it is closed, another choice, an unknown group, or no right to vote.
    """
    if choice not in CHOICES:
        raise UserError(f"no such choice: {choice!r}", fix=did_you_mean(choice, CHOICES))
    chosen: Choice = next(one for one in CHOICES if one == choice)
    with folder.lock():
        state = opened(folder, id)
        cast = Vote(
            who=_named(who),
            group=_group(group, state.constitution),
            at=at or now(),
            choice=chosen,
            reason=reason.strip(),
            proposal=state.proposal.sha,
        )
        if why := may_vote(cast.who, cast.group, state.constitution.amend):
            raise UserError(
                f"{cast.who!r} may not vote {f'in group {cast.group!r}' if cast.group else 'so'}: {why}",
                where=state.constitution.path,
                fix="amend.groups in the front matter says who votes where",
            )
        append_rows(folder.log_path(state.proposal), [cast])
    return state_of(folder, id)


def add_votes(folder: Folder, id: str, votes: Sequence[Vote]) -> State:
    """Add votes that were cast elsewhere, in one write.

    Raises:
        UserError: no such proposal, it is closed, or a group is unknown.
    """
    with folder.lock():
        state = opened(folder, id)
        for group in sorted({one.group for one in votes}):
            _group(group, state.constitution)
        rows = [one.model_copy(update={"proposal": state.proposal.sha}) for one in votes]
        append_rows(folder.log_path(state.proposal), rows)
    return state_of(folder, id)


def rebase(folder: Folder, id: str, *, who: str = "", at: str = "") -> State:
    """Take the constitution as it is now as the base.

    Votes stay valid when nothing that the proposal replaces changed; otherwise they are stale.

    Raises:
        UserError: no such proposal, it is closed, or does not fit the constitution any more.
    """
    with folder.lock():
        state = opened(folder, id)
        sound(state.proposal, state.constitution, state.text)
        base = sha_of(state.text)
        pieces = state.proposal.pieces_of(state.text, state.constitution.path)
        head = state.proposal.head.model_copy(update={"base": base, "replaces": pieces})
        append_rows(
            folder.log_path(state.proposal), [Step(who=who, at=at or now(), step="rebased", base=base)]
        )
        write_text(state.proposal.path, written(head, state.proposal.body))
    return state_of(folder, id)


def reject(folder: Folder, id: str, *, who: str = "", reason: str = "", at: str = "") -> State:
    """Close a proposal without making the change.

    Raises:
        UserError: no such proposal, it is closed, or ``who`` may not do this.
    """
    with folder.lock():
        state = opened(folder, id)
        check_may_decide(state, who)
        step = Step(who=who, at=at or now(), step="rejected", reason=reason)
        append_rows(folder.log_path(state.proposal), [step])
        close(state.proposal, "rejected")
    return state_of(folder, id)


def _group(group: str, constitution: Constitution) -> str:
    known = constitution.amend.groups
    if group and known and group not in known:
        raise UserError(
            f"no group {group!r} votes here", where=constitution.path, fix=did_you_mean(group, known)
        )
    return group


def _named(who: str) -> str:
    name = " ".join(who.split())
    if not name:
        raise UserError("it is not said who speaks", fix="give --as NAME")
    return name
