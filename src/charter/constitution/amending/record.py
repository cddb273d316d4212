"""What an adopted amendment leaves behind: an entry with its principles, and one in the changelog."""

from __future__ import annotations

import re
from pathlib import Path

from charter.constitution.amending.edit import (
    Written,
    end_of_fence,
    headed_pieces,
    joined,
    lines_of,
    with_settings,
)
from charter.constitution.amending.proposal import PROVENANCE, Proposal
from charter.constitution.amending.tally import Outcome, Tally
from charter.constitution.constitution import Constitution
from charter.constitution.diff import Difference
from charter.constitution.document import Fence, read_document
from charter.constitution.principle import Amendment, Dissent, Principle, Provenance, Votes
from charter.constitution.yaml_flow import flow


def amendment_of(proposal: Proposal, found: Tally, version: str, date: str) -> Amendment:
    """The entry that goes with each amended principle: the vote by group, and every reasoned no."""
    groups = sorted(found.groups, key=lambda one: one.group)
    votes = Votes(
        votes_for=found.overall.yes,
        against=found.overall.no,
        abstain=found.overall.abstain,
        by_group={one.group: [one.yes, one.no] for one in groups},
    )
    dissent = [Dissent(who=one.who, group=one.group, reason=one.reason) for one in found.dissent]
    return Amendment(
        version=version,
        proposal=proposal.number,
        title=proposal.head.title,
        date=date,
        votes=votes,
        dissent=dissent,
    )


def recorded(text: str, proposal: Proposal, old: Constitution, entry: Amendment, path: str) -> str:
    """``text`` of the amended constitution with its version, and with ``entry`` in the provenance.

    Source and first adoption are the proposal's where it gives them, else what they were. Earlier
    amendments always stay: no proposal can rewrite them.
    """
    lines = with_settings(text, {"version": [Written(f"version: {entry.version}")]}, path)
    before = {principle.id: principle for principle in old.principles}
    now = {principle.id: principle for principle in Constitution.from_text(joined(lines), path).principles}
    for id in proposal.principles:
        lines = _with_provenance(lines, now[id], _provenance(before.get(id), now[id], entry), path)
    return joined(lines)


def _provenance(old: Principle | None, new: Principle, entry: Amendment) -> Provenance:
    was = old.provenance if old is not None and old.provenance is not None else Provenance()
    said = new.provenance if new.provenance is not None else was
    return Provenance(
        source=said.source,
        adopted_by=said.adopted_by,
        amendments=[*was.amendments, entry],
    )


def _with_provenance(
    lines: list[Written], principle: Principle, provenance: Provenance, path: str
) -> list[Written]:
    text = joined(lines)
    piece = headed_pieces(text, path)[principle.id]
    kept = [Written(line) for line in lines_of(text)]
    block = [Written(line) for line in provenance_lines(provenance)]
    for part in read_document(text, path).parts:
        if isinstance(part, Fence) and part.info == PROVENANCE and piece.start < part.line <= piece.end:
            end = end_of_fence([line.text for line in kept], part)
            return [*kept[: part.line - 1], *block, *kept[end:]]
    end = piece.end
    while not kept[end - 1].text.strip():
        end -= 1
    return [*kept[:end], Written(""), *block, Written(""), *kept[piece.end :]]


def provenance_lines(provenance: Provenance) -> list[str]:
    """The block as it stands in a file, one line per amendment."""
    said = provenance.model_dump(mode="json", exclude_defaults=True)
    amendments = said.pop("amendments", [])
    lines = [f"{key}: {flow(value)}" for key, value in said.items()]
    if amendments:
        lines += ["amendments:", *(f"  - {flow(entry)}" for entry in amendments)]
    return [f"```{PROVENANCE}", *lines, "```"]


# -- changelog ----------------------------------------------------------------


def changelog_heading(proposal: Proposal, version: str) -> str:
    """Begins the entry of an amendment; it stands in the changelog once."""
    return f"## {version}: {_one_line(proposal.head.title)} (proposal {proposal.number})"


def with_entry(text: str, name: str, heading: str, entry: str) -> str:
    """The changelog with ``entry`` on top; one with its heading is replaced."""
    head, *entries = re.split(r"(?m)^(?=## )", text) if text else [f"# Changes of {name}\n\n"]
    kept = [one for one in entries if not one.startswith(heading + "\n")]
    return head + f"{heading}\n\n{entry}" + ("\n" + "".join(kept) if kept else "")


def changelog_entry(proposal: Proposal, found: Tally, difference: Difference, date: str, kept: Path) -> str:
    """What changed, who wanted it, who did not and why, and what must be measured again."""
    author = f" by {_one_line(proposal.head.author)}" if proposal.head.author else ""
    lines = [f"Adopted on {date}, proposed{author}. {_sides(found.overall)}", ""]
    for change in difference.principles:
        sha = f"{change.old_sha[:12] or 'none'} -> {change.new_sha[:12] or 'none'}"
        lines.append(f"- `{change.id}`: {', '.join(change.kinds)} (sha {sha})")
    lines += [f"- setting `{change.field}`" for change in difference.settings]
    lines += [f"- Group {one.group}: {_sides(one)}" for one in found.groups]
    for vote in found.dissent:
        group = f" ({_one_line(vote.group)})" if vote.group else ""
        lines.append(f"- Against, {_one_line(vote.who)}{group}: {_one_line(vote.reason)}")
    tests = sum(len(run.tests) for run in difference.rerun)
    again = ", ".join(f"`{run.principle}`" for run in difference.rerun) or "nothing"
    lines.append(f"- To measure again: {again} ({tests} tests)")
    lines.append(f"- The version before: `{kept.parent.name}/{kept.name}`")
    return "\n".join(lines) + "\n"


def _sides(one: Outcome) -> str:
    return f"{one.yes} yes, {one.no} no, {one.abstain} abstained."


def _one_line(text: str) -> str:
    return " ".join(text.split())
