"""What a constitution declares against what preferences follow, before anything is trained on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from charter.constitution import Constitution
from charter.feedback.recovering.candidate import Candidate
from charter.feedback.recovering.judged_votes import Voter
from charter.feedback.recovering.metrics import Measure
from charter.feedback.recovering.pairs import Pairs, pairs_of, subset
from charter.feedback.recovering.recover import LEAST_PROMPTS, recover
from charter.feedback.recovering.recovery import Finding, Options, Recovery
from charter.stats import percent
from charter.types import Group

Outcome = Literal["recovered", "entangled", "explained", "against", "not recovered", "silent", "not measured"]
"""Of a declared principle. ``recovered``: the pairs follow it for its own sake. ``entangled``: or something
that cannot be told apart from it. ``explained``: only as far as they follow another. ``against``: they go
against it. ``not recovered``: no more than coins. ``silent``: it rarely tells two answers of a pair apart.
``not measured``: it has no rules, and no judge voted."""

MOST_PAIRS = 4_000
"""Pairs looked at: more sharpen no warning."""

_OUTCOMES: dict[str, Outcome] = {
    "independent": "recovered",
    "entangled": "entangled",
    "explained": "explained",
    "against": "against",
    "unsupported": "not recovered",
    "irrelevant": "silent",
}
_SAME, _SHARED, _LEAST = 0.9, 0.5, 20


@dataclass(frozen=True)
class Declared:
    """A declared principle and what the pairs say of it.

    Attributes:
        principle: its id.
        outcome: see :data:`Outcome`.
        finding: None = it could not be measured.
    """

    principle: str
    outcome: Outcome
    finding: Finding | None

    @property
    def measure(self) -> Measure | None:
        """Agreement on the held-out pairs."""
        return None if self.finding is None else self.finding.held_out


@dataclass(frozen=True)
class Hidden:
    """Something the preferences follow that the constitution does not say.

    Attributes:
        finding: what.
        beyond: declared principle that points the same way, but does not explain it; "" = there is none.
    """

    finding: Finding
    beyond: str = ""


@dataclass(frozen=True)
class RoundTrip:
    """Declared against recovered principles.

    Attributes:
        constitution: its name.
        sha: its identity.
        declared: every active principle of the constitution.
        hidden: what is followed and not declared, strongest first.
        recovery: everything behind it; None = there were too few prompts.
        prompts: different prompts of the pairs.
    """

    constitution: str
    sha: str
    declared: tuple[Declared, ...]
    hidden: tuple[Hidden, ...]
    recovery: Recovery | None
    prompts: int

    @property
    def ok(self) -> bool:
        """Nothing hidden, and nothing against what is declared."""
        return self.recovery is not None and not self.hidden and not self.of("against")

    def of(self, *outcomes: Outcome) -> list[str]:
        """Ids of the declared principles with one of these outcomes."""
        return [one.principle for one in self.declared if one.outcome in outcomes]

    @property
    def warning(self) -> str:
        """What a person should know before training on the pairs; "" = nothing."""
        if self.recovery is None:
            return (
                f"The preferences come from {self.prompts} different prompts: too few to tell what they "
                f"reward (at least {LEAST_PROMPTS})."
            )
        said = [_hidden_words(one) for one in self.hidden]
        for one in self.declared:
            if one.outcome == "against" and one.measure is not None and one.measure.accuracy is not None:
                rate = percent(1 - one.measure.accuracy[0])
                said.append(
                    f"The preferences go against {one.principle!r}: {rate} of its pairs contradict it."
                )
        return "\n".join(said)

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "constitution": self.constitution,
            "sha": self.sha,
            "ok": self.ok,
            "warning": self.warning,
            "declared": [
                {
                    "principle": one.principle,
                    "outcome": one.outcome,
                    "explained_by": one.finding.explained_by.id
                    if one.finding and one.finding.explained_by
                    else None,
                    "held_out": None if one.measure is None else one.measure.to_json(),
                }
                for one in self.declared
            ],
            "hidden": [
                {
                    "id": one.finding.candidate.id,
                    "text": one.finding.candidate.text,
                    "about": one.finding.candidate.about,
                    "standing": one.finding.standing,
                    "beyond": one.beyond or None,
                    "held_out": one.finding.held_out.to_json(),
                    "partial": None if one.finding.partial is None else one.finding.partial.to_json(),
                }
                for one in self.hidden
            ],
            "prompts": self.prompts,
            "counts": dict(self.recovery.counts) if self.recovery else {},
            "left_out": dict(self.recovery.left_out) if self.recovery else {},
        }


def round_trip(
    pairs: Pairs | Sequence[Group],
    constitution: Constitution,
    *,
    voter: Voter | None = None,
    options: Options | None = None,
    most: int = MOST_PAIRS,
) -> RoundTrip:
    """Which declared principles the preferences follow, and what else.

    Without a judge it takes seconds: rules and features alone. Too few prompts are no error here, but a
    warning.

    Args:
        pairs: labelled pairs, or groups with preferences.
        constitution: what the preferences are meant to follow.
        voter: a judge for principles without rules; None = they are not measured.
        options: how.
        most: pairs looked at.

    Raises:
        DataError: no pair has a label.
        ConstitutionError: a rule of the constitution cannot be loaded.
        Interrupted: the person asked to stop.
    """
    options = options or Options()
    whole = pairs if isinstance(pairs, Pairs) else pairs_of(pairs)
    few = subset(whole, most, options.seed)
    if few.prompts < LEAST_PROMPTS:
        nothing = tuple(Declared(one.id, "not measured", None) for one in constitution.active)
        return RoundTrip(constitution.name, constitution.sha, nothing, (), None, few.prompts)
    return compared(
        recover(few, laws=[(constitution, "declared")], voter=voter, options=options), constitution
    )


def compared(found: Recovery, constitution: Constitution) -> RoundTrip:
    """The round trip of a recovery in which ``constitution`` stood as declared."""
    by_id = {one.candidate.principle: one for one in found.findings if one.candidate.source == "declared"}
    declared = tuple(
        Declared(one.id, _OUTCOMES[by_id[one.id].standing], by_id[one.id])
        if one.id in by_id
        else Declared(one.id, "not measured", None)
        for one in constitution.active
    )
    strange = [one for one in found.principles if one.candidate.source != "declared"]
    hidden = tuple(Hidden(one, _beyond(one, list(by_id.values()), found)) for one in strange)
    prompts = len({pair.prompt for pair in found.pairs})
    return RoundTrip(constitution.name, constitution.sha, declared, hidden, found, prompts)


def _beyond(one: Finding, declared: Sequence[Finding], found: Recovery) -> str:
    """A declared principle that votes the same way wherever both vote."""
    mine = found.votes[one.candidate.id]
    for other in declared:
        theirs = found.votes[other.candidate.id]
        both = (mine != 0) & (theirs != 0)
        spoken = int((theirs != 0).sum())
        if both.sum() < max(_LEAST, _SHARED * spoken):
            continue
        if float(np.mean(mine[both] == theirs[both])) >= _SAME:
            return other.candidate.principle
    return ""


def _hidden_words(one: Hidden) -> str:
    held = one.finding.held_out
    rate = percent(held.accuracy[0]) if held.accuracy else "most"
    candidate: Candidate = one.finding.candidate
    said = (
        f"The preferences reward {candidate.about}: where two answers differ in it, {rate} prefer the one "
        f"that {candidate.says}"
        if candidate.measured is not None
        else f'The preferences follow "{candidate.says}" in {rate} of the pairs it speaks to'
    )
    if one.finding.standing == "entangled" and one.finding.explained_by is not None:
        said += f" (or the one that {one.finding.explained_by.says}: they cannot be told apart)"
    if one.beyond:
        return f"{said}, further than {one.beyond!r} of the constitution asks."
    return f"{said}. The constitution does not say so."
