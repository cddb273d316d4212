"""Governing the text: proposals, comments, votes by group, dissent, and amendments that carry them."""

from charter.constitution.amending.adopt import Adopted, amend
from charter.constitution.amending.folder import Folder
from charter.constitution.amending.log import Comment, Log, Step, Vote
from charter.constitution.amending.process import add_votes, comment, propose, rebase, reject, vote
from charter.constitution.amending.proposal import Proposal
from charter.constitution.amending.state import State, count, state_of
from charter.constitution.amending.tally import Outcome, Tally

__all__ = [
    "Adopted",
    "Comment",
    "Folder",
    "Log",
    "Outcome",
    "Proposal",
    "State",
    "Step",
    "Tally",
    "Vote",
    "add_votes",
    "amend",
    "comment",
    "count",
    "propose",
    "rebase",
    "reject",
    "state_of",
    "vote",
]
