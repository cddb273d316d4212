"""Adopting a proposal: the new text, its version, the record of the vote, and the version before kept."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from charter.constitution.amending.edit import sha_of
from charter.constitution.amending.folder import Folder
from charter.constitution.amending.log import Step, append_rows
from charter.constitution.amending.record import (
    amendment_of,
    changelog_entry,
    changelog_heading,
    recorded,
    with_entry,
)
from charter.constitution.amending.state import State, check_may_decide, close, count, landed, opened, sound
from charter.constitution.amending.tally import Tally
from charter.constitution.constitution import Constitution, read_text
from charter.constitution.diff import Difference, diff
from charter.constitution.versions import next_version
from charter.errors import UserError
from charter.rundir import now, write_text


@dataclass(frozen=True, slots=True)
class Adopted:
    """What :func:`amend` did.

    Attributes:
        version: of the constitution now.
        difference: what changed, and what must be measured again.
        kept: the file of the version before.
        votes: as they were counted.
    """

    version: str
    difference: Difference
    kept: Path
    votes: Tally


def amend(folder: Folder, id: str, *, who: str = "", at: str = "") -> Adopted | Tally:
    """Make the change if the votes carry it; else the tally that says what is missing.

    The version before is kept, the new text replaces the file whole, and what was interrupted is
    finished by the same call.

    Raises:
        UserError: no such proposal, it is closed, the constitution changed since, or ``who`` may not
            do this.
    """
    at = at or now()
    with folder.lock():
        state = opened(folder, id, finishing=True)
        check_may_decide(state, who)
        if (step := landed(state)) is not None:
            return _finish(folder, state, step)
        if state.stale:
            raise UserError(
                f"proposal {state.proposal.number}: {state.stale}", where=str(state.proposal.path)
            )
        votes = count(state)
        if votes.decision != "pass":
            return votes
        return _adopt(folder, state, votes, who, at)


def _adopt(folder: Folder, state: State, votes: Tally, who: str, at: str) -> Adopted:
    proposal, old = state.proposal, state.constitution
    changed = sound(proposal, old, state.text)
    due = diff(old, Constitution.from_text(changed, old.path)).bump_due
    version = next_version(old.version, "patch" if due == "none" else due)
    text = recorded(changed, proposal, old, amendment_of(proposal, votes, version, at[:10]), old.path)
    difference = diff(old, Constitution.from_text(text, old.path))
    kept = folder.keep(old, state.text)
    step = Step(who=who, at=at, step="adopted", base=sha_of(state.text), result=sha_of(text), version=version)
    append_rows(folder.log_path(proposal), [step])
    changelog = folder.changelog(old)
    before = read_text(changelog) if changelog.exists() else ""
    entry = changelog_entry(proposal, votes, difference, at[:10], kept)
    write_text(changelog, with_entry(before, old.name, changelog_heading(proposal, version), entry))
    write_text(Path(old.path), text)
    close(proposal, "adopted")
    return Adopted(version, difference, kept, votes)


def _finish(folder: Folder, state: State, step: Step) -> Adopted:
    """Close what was adopted when the command before was interrupted."""
    kept = next(folder.versions.glob(f"*-{step.base[:12]}.*"))
    text = read_text(kept)
    old = Constitution.from_text(text, state.constitution.path)
    votes = count(replace(state, constitution=old, text=text))
    close(state.proposal, "adopted")
    return Adopted(step.version, diff(old, state.constitution), kept, votes)
