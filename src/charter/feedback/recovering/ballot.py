"""Who stands: candidates of the catalogue, of constitutions and of a model, with their votes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from charter.constitution import Constitution, Principle
from charter.constitution.prompt import plain
from charter.feedback.recovering.candidate import Candidate, Means, Source, catalogue, in_catalogue
from charter.feedback.recovering.judged_votes import Voter
from charter.feedback.recovering.pairs import LabelledPair
from charter.feedback.recovering.votes import Floats, Measured, Votes, joined, rule_votes


@dataclass(frozen=True)
class Ballot:
    """Candidates with their votes on all pairs.

    Attributes:
        candidates: those that can be measured.
        votes: theirs, in that order.
        longer_N: log ratio of the lengths, A to B.
        unmeasured: those that only a judge could measure, where there is none.
    """

    candidates: tuple[Candidate, ...]
    votes: Votes
    longer_N: Floats
    unmeasured: tuple[Candidate, ...]


def cast(
    pairs: Sequence[LabelledPair],
    laws: Sequence[tuple[Constitution, Source]] = (),
    voter: Voter | None = None,
) -> Ballot:
    """The votes of the catalogue and of every principle of ``laws`` on ``pairs``.

    A principle with rules is measured by them, one in the words of the catalogue by that feature, any
    other by the judge.

    Args:
        pairs: all of them, in the order of the votes.
        laws: constitutions, each with what its principles count as.
        voter: the judge; None = there is none.

    Raises:
        Interrupted: the person asked to stop; what the judge said is kept.
    """
    measured = Measured(pairs)
    listed = list(catalogue())
    parts = [measured.votes(listed)]
    unmeasured: list[Candidate] = []
    for law, source in laws:
        theirs = candidates_of(law, source, judged=voter is not None)
        unmeasured += [one for one in theirs if one.means == "nothing"]
        by = {means: [one for one in theirs if one.means == means] for means in ("feature", "rules", "judge")}
        if by["feature"]:
            parts.append(measured.votes(by["feature"]))
        if by["rules"]:
            parts.append(rule_votes(by["rules"], law, pairs))
        if by["judge"] and voter is not None:
            parts.append(voter.votes(by["judge"], law, pairs))
        listed += [*by["feature"], *by["rules"], *by["judge"]]
    return Ballot(tuple(listed), joined(parts), measured.longer_N, tuple(unmeasured))


def candidates_of(law: Constitution, source: Source, *, judged: bool) -> list[Candidate]:
    """The active principles of a constitution as candidates; definitions are none."""
    return [
        _candidate(principle, law, source, judged)
        for principle in law.active
        if principle.type != "definition"
    ]


def _candidate(principle: Principle, law: Constitution, source: Source, judged: bool) -> Candidate:
    text = " ".join(plain(principle.text, law.titles).split())
    same = in_catalogue(text) or in_catalogue(plain(principle.title, law.titles))
    one = Candidate(
        f"{source}:{principle.id}",
        text or plain(principle.title, law.titles),
        source,
        _means(principle, same, judged),
        principle=principle.id,
        title=plain(principle.title, law.titles),
    )
    if one.means == "feature" and same is not None:
        return replace(one, feature=same.feature, direction=same.direction)
    return one


def _means(principle: Principle, same: Candidate | None, judged: bool) -> Means:
    if principle.rules is not None:
        return "rules"
    if same is not None:
        return "feature"
    return "judge" if judged else "nothing"
