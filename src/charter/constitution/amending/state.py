"""A proposal with all that belongs to it: what it changes, what was said, what a vote must reach."""

from __future__ import annotations

from dataclasses import dataclass

from charter.constitution.amend_rules import Bar, Required, person_key
from charter.constitution.amending.edit import sha_of
from charter.constitution.amending.folder import Folder
from charter.constitution.amending.log import Log, Step
from charter.constitution.amending.proposal import Head, Proposal, written
from charter.constitution.amending.tally import Tally, tally
from charter.constitution.constitution import Constitution
from charter.constitution.lint import lint
from charter.errors import ConstitutionError, UserError
from charter.rundir import write_text


@dataclass(frozen=True, slots=True)
class State:
    """A proposal, what it is about, and what was said.

    Attributes:
        proposal: as its file is now.
        constitution: as its file is now.
        text: of the constitution.
        log: comments, votes and steps.
    """

    proposal: Proposal
    constitution: Constitution
    text: str
    log: Log

    @property
    def stale(self) -> str:
        """What the constitution's change since the proposal was filed means for it; "" = none."""
        if sha_of(self.text) == self.proposal.head.base:
            return ""
        number = self.proposal.head.id
        moved = self.proposal.moved_in(self.text, self.constitution.path)
        if not moved:
            return (
                "the constitution changed since, though nothing that this proposal replaces: "
                f"`charter constitution rebase {number}` keeps the votes"
            )
        return (
            f"the constitution changed since, and with it what this proposal replaces ({', '.join(moved)}): "
            f"work that into its file, then `charter constitution rebase {number}`; it is voted on anew"
        )


def state_of(folder: Folder, id: str) -> State:
    """Everything about one proposal.

    Raises:
        UserError: no such proposal, or its file, its log or the constitution is wrong.
    """
    proposal = folder.proposal(id)
    constitution, text = folder.read(proposal)
    log = folder.log(proposal)
    status = proposal.head.status
    if not proposal.open and status not in {step.step for step in log.steps}:
        raise UserError(
            f"the proposal says {status!r}, but its log does not",
            where=str(proposal.path),
            fix="set `status: open`, and use `charter constitution amend` or `reject`",
        )
    return State(proposal, constitution, text, log)


def count(state: State) -> Tally:
    """The votes on a proposal against the constitution's own rules."""
    rules = state.constitution.amend
    return tally(state.log, state.proposal.sha, rules, required(state))


def required(state: State) -> Required:
    """What a vote on this proposal must reach.

    The level and hardness of each principle count as they are and as they would be. The front matter
    says who may amend and how all else is read: changing it needs what the hardest of all needs.
    """
    rules, old = state.constitution.amend, state.constitution
    bars: list[Bar] = []
    if state.proposal.settings:
        bars += [*rules.by_level.values(), rules.hard]
    if state.proposal.open and not state.stale:
        new = Constitution.from_text(state.proposal.applied_to(old, state.text), old.path)
    else:  # closed, or not to be applied as it is: the principles as they are
        new = old
    for one in (old, new):
        for principle in one.principles:
            if principle.id in state.proposal.principles:
                bars += rules.bars_of(principle.level, principle.hard, one.levels)
    return rules.strictest(bars)


# -- whether it may go on ------------------------------------------------------


def opened(folder: Folder, id: str, *, finishing: bool = False) -> State:
    """A proposal that can still be voted on; with ``finishing``, one that only needs to be closed too.

    Raises:
        UserError: it is closed.
    """
    state = state_of(folder, id)
    if not state.proposal.open:
        raise UserError(
            f"proposal {state.proposal.number} is closed: {state.proposal.head.status}",
            where=str(state.proposal.path),
            fix="file a new proposal",
        )
    if not finishing and landed(state) is not None:
        raise UserError(
            f"proposal {state.proposal.number} was adopted, though the command was interrupted",
            where=str(state.proposal.path),
            fix=f"finish it: charter constitution amend {state.proposal.head.id}",
        )
    return state


def close(proposal: Proposal, status: str) -> None:
    """Write its new status into its file."""
    head: Head = proposal.head.model_copy(update={"status": status})
    write_text(proposal.path, written(head, proposal.body))


def landed(state: State) -> Step | None:
    """The adoption that made the constitution what it is, where the proposal was not closed any more."""
    steps = [step for step in state.log.steps if step.step == "adopted"]
    return steps[-1] if steps and steps[-1].result == sha_of(state.text) else None


def sound(proposal: Proposal, base: Constitution, text: str) -> str:
    """The amended text; refused where it brings an error of lint that was not there."""
    new = proposal.applied_to(base, text)
    known = {(one.code, one.principle) for one in lint(base)}
    for finding in lint(Constitution.from_text(new, base.path)):
        if finding.level == "error" and (finding.code, finding.principle) not in known:
            raise ConstitutionError(
                f"{finding.principle}: {finding.message} [{finding.code}]",
                where=str(proposal.path),
                fix=finding.fix,
            )
    return new


def check_may_decide(state: State, who: str) -> None:
    """Raises UserError unless ``who`` may adopt and reject."""
    allowed = state.constitution.amend.who
    if allowed and person_key(who) not in {person_key(name) for name in allowed}:
        said = f"{who!r} may not" if who.strip() else "it is not said who decides, and not everybody may"
        raise UserError(
            f"{said} adopt or reject proposals",
            where=state.constitution.path,
            fix=f"give --as with one of: {', '.join(allowed)} (amend.who in the front matter)",
        )
