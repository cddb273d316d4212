"""Counting votes: overall and in every group, the worst group first, and what is missing to pass.

Where everybody is asked, counts are exact. Where the voters are a sample, the rate has an interval
(Wilson), and the whole interval must clear the threshold: until it does, or lies below, the outcome is
undecided.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

from charter.constitution.amend_rules import HALF, AmendRules, Required, Voters, person_key, share_of
from charter.constitution.amending.log import Log, Vote, counts
from charter.stats import Interval, more_prompts_for_gate, wilson
from charter.stats.power import planning_level

Decision = Literal["pass", "fail", "undecided"]
STALE = "the proposal was changed since"
NO_MEMBER = "no member of the group"
NO_GROUP = "names no group"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The votes of one group, or of all.

    Attributes:
        group: its name; "" = all votes together.
        threshold: share of yes among yes and no that is needed; one half means more than half.
        quorum: fewest votes, abstentions included.
        people: how many may vote, where it is known.
        voters: everybody, or a sample of them.
        interval: of the share, where the voters are a sample.
        decision: ``undecided`` when more votes would decide.
        missing: what is missing to pass, in words; "" when nothing is.
    """

    group: str
    yes: int
    no: int
    abstain: int
    threshold: Fraction
    quorum: int
    people: int | None
    voters: Voters
    interval: Interval | None
    decision: Decision
    missing: str

    @property
    def cast(self) -> int:
        """All votes."""
        return self.yes + self.no + self.abstain

    @property
    def share(self) -> float | None:
        """Yes among yes and no; None without either."""
        return self.yes / (self.yes + self.no) if self.yes + self.no else None

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "group": self.group,
            "yes": self.yes,
            "no": self.no,
            "abstain": self.abstain,
            "share": self.share,
            "interval": None if self.interval is None else list(self.interval),
            "voters": self.voters,
            "people": self.people,
            "threshold": str(self.threshold),
            "quorum": self.quorum,
            "decision": self.decision,
            "missing": self.missing,
        }


@dataclass(frozen=True, slots=True)
class Tally:
    """The state of a vote.

    Attributes:
        overall: all votes together.
        groups: each group, the worst first.
        required: what applies to this proposal.
        votes: those that count.
        replaced: votes that a later one of the same person replaced.
        left_out: standing votes that do not count, and why.
    """

    overall: Outcome
    groups: tuple[Outcome, ...]
    required: Required
    votes: tuple[Vote, ...]
    replaced: int
    left_out: tuple[tuple[Vote, str], ...]

    @property
    def outcomes(self) -> tuple[Outcome, ...]:
        """Groups first, the worst ahead, then all together."""
        return (*self.groups, self.overall)

    @property
    def decision(self) -> Decision:
        """Passes when everything passes; fails when anything fails."""
        found = {outcome.decision for outcome in self.outcomes}
        return "fail" if "fail" in found else "undecided" if "undecided" in found else "pass"

    @property
    def missing(self) -> tuple[str, ...]:
        """What is missing to pass, group by group."""
        return tuple(f"{one.group or 'overall'}: {one.missing}" for one in self.outcomes if one.missing)

    @property
    def dissent(self) -> tuple[Vote, ...]:
        """Every no that gives a reason."""
        return tuple(vote for vote in self.votes if vote.choice == "no" and vote.reason)

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "decision": self.decision,
            "missing": list(self.missing),
            "groups": [outcome.to_dict() for outcome in self.groups],
            "overall": self.overall.to_dict(),
            "required": self.required.model_dump(mode="json"),
            "replaced": self.replaced,
            "left_out": [
                {"who": vote.who, "group": vote.group, "choice": vote.choice, "why": why}
                for vote, why in self.left_out
            ],
            "dissent": [
                {"who": vote.who, "group": vote.group, "reason": vote.reason} for vote in self.dissent
            ],
        }


def tally(log: Log, sha: str, rules: AmendRules, required: Required) -> Tally:
    """Count the standing votes of ``log`` on the proposal whose fingerprint is ``sha``.

    Args:
        log: everything said.
        sha: of the proposal as it is now; votes on another text are stale and do not count.
        rules: who may vote, and where.
        required: the bar that this proposal must clear.
    """
    standing = log.standing
    sorted_out = [(vote, _why_not(vote, sha, rules)) for vote in standing]
    votes = tuple(vote for vote, why in sorted_out if not why)
    names = [*rules.groups, *(vote.group for vote in votes if vote.group and vote.group not in rules.groups)]
    groups = [_group(name, votes, rules, required) for name in dict.fromkeys(names)]
    return Tally(
        overall=_overall(votes, groups, rules, required),
        groups=tuple(sorted(groups, key=_badness)),
        required=required,
        votes=votes,
        replaced=len(log.votes) - len(standing),
        left_out=tuple((vote, why) for vote, why in sorted_out if why),
    )


def may_vote(who: str, group: str, rules: AmendRules) -> str:
    """Why ``who`` may not vote in ``group``; "" when nothing speaks against it."""
    if not rules.groups:
        return ""
    if not group:
        return NO_GROUP
    members = rules.groups[group].members if group in rules.groups else []
    if members and person_key(who) not in {person_key(member) for member in members}:
        return NO_MEMBER
    return ""


def _why_not(vote: Vote, sha: str, rules: AmendRules) -> str:
    return STALE if vote.proposal != sha else may_vote(vote.who, vote.group, rules)


def _group(name: str, votes: Iterable[Vote], rules: AmendRules, required: Required) -> Outcome:
    mine = rules.groups.get(name)
    threshold = share_of(required.every_group)
    if mine is not None and mine.threshold is not None:
        threshold = max(threshold, share_of(mine.threshold))
    return outcome(
        name,
        [vote for vote in votes if vote.group == name],
        threshold,
        quorum=mine.quorum if mine is not None else 1,
        people=mine.people if mine is not None else None,
        voters=(mine.voters if mine is not None else None) or rules.voters,
    )


def _overall(votes: Iterable[Vote], groups: list[Outcome], rules: AmendRules, required: Required) -> Outcome:
    people = [one.people for one in groups]
    known = sum(one for one in people if one is not None) if people and None not in people else None
    sampled = rules.voters == "sample" or any(one.voters == "sample" for one in groups)
    return outcome(
        "",
        list(votes),
        share_of(required.threshold),
        quorum=required.quorum,
        people=known,
        voters="sample" if sampled else "everybody",
    )


def outcome(
    group: str, votes: list[Vote], threshold: Fraction, *, quorum: int, people: int | None, voters: Voters
) -> Outcome:
    """The outcome of ``votes`` against one threshold and quorum."""
    found = counts(votes)
    yes, no = found["yes"], found["no"]
    interval = wilson(yes, yes + no) if voters == "sample" else None
    short = quorum - len(votes)
    decide = _exact if interval is None else _sampled
    left = None if people is None or interval is not None else people - len(votes)
    decision, missing = decide(yes, no, threshold, left)
    if short > 0:
        words = [
            f"{_count(short, 'more vote')} for the quorum of {quorum}",
            missing if decision == "fail" else "",
        ]
        decision, missing = "undecided", " and ".join(filter(None, words))
    return Outcome(
        group, yes, no, found["abstain"], threshold, quorum, people, voters, interval, decision, missing
    )


def _exact(yes: int, no: int, threshold: Fraction, left: int | None) -> tuple[Decision, str]:
    """Counts of everybody: at least the threshold, and more than half where it is one half."""
    if yes + no == 0:
        return "undecided", "a yes or a no"
    share = Fraction(yes, yes + no)
    if share > threshold or (share == threshold != HALF):
        return "pass", ""
    if threshold == 1:
        return "fail", f"every no counts: {_count(no, 'person')} would have to change their vote"
    needed = threshold * no / (1 - threshold)
    total = math.floor(needed) + 1 if threshold == HALF else math.ceil(needed)
    more = total - yes
    words = f"{_count(more, 'more yes')} against {no} no"
    if left is not None and more > left:
        words += f", with {_count(max(left, 0), 'vote')} left to cast: somebody would have to change theirs"
    return "fail", words


def _sampled(yes: int, no: int, threshold: Fraction, left: int | None) -> tuple[Decision, str]:
    """A sample: the whole interval must clear the threshold."""
    bound = float(threshold)
    lo, hi = wilson(yes, yes + no)
    if lo >= bound:
        return "pass", ""
    if hi < bound:
        return "fail", f"the whole interval lies below {threshold}"
    more = more_prompts_for_gate(yes, yes + no, bound, planning_level(0.95))
    if more is None:
        return "undecided", "more votes; too close to say how many" if yes + no else "votes"
    votes = _count(more, "more vote")
    return "undecided", f"about {votes} at this rate to decide in four of five drawings of voters"


_RANK: dict[Decision, int] = {"fail": 0, "undecided": 1, "pass": 2}


def _badness(one: Outcome) -> tuple[int, float, str]:
    """Failing before undecided before passing; then the lowest share; a group not heard is the lowest."""
    return _RANK[one.decision], -1.0 if one.share is None else one.share, one.group


def _count(number: int, word: str) -> str:
    plural = {"person": "people", "more yes": "more yes"}.get(word, f"{word}s")
    return f"{number} {word if number == 1 else plural}"
