"""Votes as lines for people: a tally, and a Pol.is conversation; the worst group first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from charter.constitution.amending import Log, Outcome, State, Tally
from charter.constitution.amending.polis import Conversation, GroupCount
from charter.stats import percent

_HEAD = ("group", "yes", "no", "abstain", "voted", "share of yes", "needed", "outcome")
_NAMED = 5


def lines_of(votes: Tally, log: Log) -> Iterator[str]:
    """The table by group, what is missing, and everything that does not count or does not agree."""
    rows = [_row(one) for one in votes.outcomes]
    yield from _aligned([_HEAD, *rows])
    sampled = [one.group or "overall" for one in votes.outcomes if one.voters == "sample"]
    if sampled:
        yield f"a sample votes, so shares have 95% intervals: {', '.join(sampled)}"
    exact = [one.group or "overall" for one in votes.outcomes if one.voters == "everybody"]
    if exact:
        yield f"everybody is asked, so counts are exact: {', '.join(exact)}"
    yield f"decision: {votes.decision}"
    yield from (f"  missing, {line}" for line in votes.missing)
    if votes.replaced:
        yield f"changed votes, of which the last counts: {votes.replaced}"
    for why, number in Counter(why for _, why in votes.left_out).items():
        who = [vote.who for vote, reason in votes.left_out if reason == why]
        more = f" and {number - _NAMED} more" if number > _NAMED else ""
        yield f"not counted, {why}: {', '.join(who[:_NAMED])}{more}"
    for source, number in Counter(vote.source for vote in votes.votes if vote.source).items():
        yield f"cast elsewhere, on its own words: {number} ({source})"
    for vote in votes.dissent:
        yield f"against, {vote.who}{f' ({vote.group})' if vote.group else ''}: {vote.reason}"
    for comment in log.comments:
        yield f"comment, {comment.who}{f' ({comment.group})' if comment.group else ''}: {comment.text}"


def required_line(votes: Tally) -> str:
    """What applies to a proposal."""
    need = votes.required
    return (
        f"needed: {_share(need.threshold)} of yes and no overall, {_share(need.every_group)} in every group, "
        f"{need.quorum} vote{'' if need.quorum == 1 else 's'} at least"
    )


def _share(threshold: float | str) -> str:
    return "more than 1/2" if str(threshold) == "1/2" else str(threshold)


def decision_line(votes: Tally) -> str:
    """How it stands, and what is missing."""
    return f"{votes.decision}" + (f"; missing: {'; '.join(votes.missing)}" if votes.missing else "")


def status_of(state: State) -> str:
    """Open, adopted or rejected; and stale."""
    return state.proposal.head.status + (", stale" if state.proposal.open and state.stale else "")


def list_line(state: State, votes: Tally) -> str:
    """One proposal of a list."""
    head, overall = state.proposal.head, votes.overall
    said = f"{overall.yes} yes, {overall.no} no, {overall.abstain} abstain"
    outcome = f": {decision_line(votes)}" if state.proposal.open else ""
    by = f" by {head.author}" if head.author else ""
    return f"{state.proposal.number} {status_of(state)}: {head.title}{by}, {head.date}; {said}{outcome}"


def summary(state: State, votes: Tally) -> dict[str, object]:
    """One proposal as plain values."""
    head = state.proposal.head
    return {
        "id": state.proposal.number,
        "title": head.title,
        "author": head.author,
        "date": head.date,
        "status": head.status,
        "stale": state.stale if state.proposal.open else "",
        "sha": state.proposal.sha,
        "constitution": head.constitution,
        "comments": len(state.log.comments),
        "decision": votes.decision,
    }


def _row(one: Outcome) -> tuple[str, ...]:
    share = "none" if one.share is None else percent(one.share)
    if one.interval is not None and one.share is not None:
        share += f" [{percent(one.interval.lo)}, {percent(one.interval.hi)}]"
    voted = f"{one.cast} of {one.people}" if one.people is not None else str(one.cast)
    return (
        one.group or "overall",
        str(one.yes),
        str(one.no),
        str(one.abstain),
        voted,
        share,
        _share(str(one.threshold)) + (f", {one.quorum} votes" if one.quorum > 1 else ""),
        one.decision,
    )


def _aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


# -- Pol.is -------------------------------------------------------------------


def polis_lines(found: Conversation) -> Iterator[str]:
    """Statements, the highest group-aware consensus first, each with its least agreeing group first."""
    yield f"{found.participants} participants, {len(found.statements)} statements"
    yield from (f"left out, {what}: {number}" for what, number in found.left_out.items() if number)
    yield "group-aware consensus: the product of the groups' agreement; intervals are 95%, of a sample"
    for one in found.statements:
        yield f"{one.id}: {one.text}"
        groups = "; ".join(_agreement(group) for group in one.groups)
        yield f"    consensus {one.group_aware_consensus:.2f}: {groups}"


def _agreement(one: GroupCount) -> str:
    if one.agreement is None:
        return f"{one.group} never saw it"
    lo, hi = one.interval
    return f"{one.group} {percent(one.agreement)} [{percent(lo)}, {percent(hi)}] of {one.seen}"


def polis_values(found: Conversation) -> dict[str, Any]:
    """The same as plain values."""
    return {
        "participants": found.participants,
        "left_out": dict(found.left_out),
        "statements": [
            {
                "id": one.id,
                "text": one.text,
                "group_aware_consensus": one.group_aware_consensus,
                "groups": [
                    {
                        "group": group.group,
                        "yes": group.yes,
                        "no": group.no,
                        "abstain": group.abstain,
                        "agreement": group.agreement,
                        "interval": list(group.interval),
                    }
                    for group in one.groups
                ],
            }
            for one in found.statements
        ],
    }
