"""What was found of a set of preferences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from charter.feedback.recovering.candidate import Candidate
from charter.feedback.recovering.executor import Ceiling, Picks
from charter.feedback.recovering.metrics import Measure, as_json
from charter.feedback.recovering.pairs import LabelledPair
from charter.feedback.recovering.partial import Partial
from charter.stats import Interval

Standing = Literal["independent", "entangled", "explained", "unsupported", "against", "irrelevant"]
"""``independent``: preferences follow it even where the other principles and length are held equal.
``entangled``: they follow it or another one, and these pairs cannot tell which. ``explained``: they agree
with it only as far as they follow another. ``unsupported``: no more agreement than coins give.
``against``: they go against it. ``irrelevant``: it rarely has anything to say."""

RECOVERED: frozenset[Standing] = frozenset({"independent", "entangled"})


@dataclass(frozen=True)
class Options:
    """How principles are recovered.

    Attributes:
        held_out: share of the prompts that principles are tested on.
        alpha: most that the chance of any false principle may be.
        min_relevance: least share of pairs on which a principle must have a vote.
        level: of the intervals.
        seed: of the split and of random draws.
    """

    held_out: float = 0.5
    alpha: float = 0.05
    min_relevance: float = 0.1
    level: float = 0.95
    seed: int = 0


@dataclass(frozen=True)
class Finding:
    """One candidate and what the pairs say of it.

    Attributes:
        candidate: which.
        train: agreement on the pairs it was chosen on.
        held_out: agreement on the others; claims rest on it alone.
        p: two-sided, that labels are coins as far as it is concerned.
        p_holm: corrected for everything that was tested.
        q: largest share of false finds among those with smaller p (Benjamini and Hochberg).
        partial: its effect with the other chosen principles and length held equal; None = it cannot be told
            apart from them.
        partial_holm: p of that, corrected for every supported principle.
        standing: see :data:`Standing`.
        explained_by: the candidate that takes most of its effect away.
        alike: candidates that cast the same votes, with the cosine.
        chosen: whether the training pairs chose it, beside others.
        weight: in the executor; None = it is not in it.
        adds: how much accuracy the executor loses without it, with its interval.
    """

    candidate: Candidate
    train: Measure
    held_out: Measure
    p: float
    p_holm: float
    q: float
    partial: Partial | None
    partial_holm: float | None
    standing: Standing
    explained_by: Candidate | None = None
    alike: tuple[tuple[Candidate, float], ...] = ()
    chosen: bool = False
    weight: float | None = None
    adds: tuple[float, Interval] | None = None

    @property
    def recovered(self) -> bool:
        """Whether the preferences follow it, as far as can be told."""
        return self.standing in RECOVERED

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        by = self.explained_by
        return {
            "id": self.candidate.id,
            "text": self.candidate.text,
            "source": self.candidate.source,
            "measured_by": self.candidate.means,
            "principle": self.candidate.principle,
            "standing": self.standing,
            "explained_by": None if by is None else by.id,
            "train": self.train.to_json(),
            "held_out": self.held_out.to_json(),
            "p": self.p,
            "p_holm": self.p_holm,
            "q": self.q,
            "partial": None if self.partial is None else self.partial.to_json(),
            "partial_p_holm": self.partial_holm,
            "chosen_on_train": self.chosen,
            "weight": self.weight,
            "adds": as_json(self.adds),
            "alike": [{"id": one.id, "text": one.text, "cosine": cosine} for one, cosine in self.alike],
        }


@dataclass(frozen=True)
class Reconstruction:
    """How well the recovered principles pick the preferred answers of held-out pairs.

    Attributes:
        picks: the executor, and what it is compared with.
        gain: of the executor over always picking the longest, with its interval.
        ceiling: None = no pair is labelled twice.
    """

    picks: tuple[Picks, ...]
    gain: tuple[float, Interval] | None
    ceiling: Ceiling | None

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "picks": [one.to_json() for one in self.picks],
            "gain_over_longest": as_json(self.gain),
            "ceiling": None if self.ceiling is None else self.ceiling.to_json(),
        }


@dataclass(frozen=True)
class Recovery:
    """Everything that was found.

    Attributes:
        name: of the pairs.
        findings: every candidate that was tested, most votes for less votes against first.
        options: how.
        counts: of pairs, prompts, candidates and tests.
        left_out: pairs that could not be used, by reason.
        unmeasured: candidates that nothing here can measure.
        reconstruction: see there.
        judge: who voted where features and rules do not; "" = nobody.
        abstained: why it had no vote, with how many.
        proposer: what the proposing model gave: counts and its prompt; empty = none was asked.
        pairs: all of them, those to choose on first.
        first_held_out: the first of those to test on.
        votes: of each tested candidate on ``pairs``: 1 = A, -1 = B, 0 = neither or not known.
    """

    name: str
    findings: tuple[Finding, ...]
    options: Options
    counts: Mapping[str, int]
    left_out: Mapping[str, int]
    unmeasured: tuple[Candidate, ...]
    reconstruction: Reconstruction
    judge: str = ""
    abstained: Mapping[str, int] = field(default_factory=dict)
    proposer: Mapping[str, Any] = field(default_factory=dict)
    pairs: tuple[LabelledPair, ...] = field(default=(), repr=False)
    first_held_out: int = 0
    votes: Mapping[str, NDArray[np.int8]] = field(default_factory=dict, repr=False, compare=False)

    @property
    def principles(self) -> tuple[Finding, ...]:
        """Those that were recovered."""
        return tuple(one for one in self.findings if one.recovered)

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "pairs": self.name,
            "options": asdict(self.options),
            "counts": dict(self.counts),
            "left_out": dict(self.left_out),
            "principles": [one.candidate.id for one in self.principles],
            "findings": [one.to_json() for one in self.findings],
            "unmeasured": [
                {"id": one.id, "text": one.text, "source": one.source, "principle": one.principle}
                for one in self.unmeasured
            ],
            "reconstruction": self.reconstruction.to_json(),
            "judge": {"name": self.judge, "card": None, "no_vote": dict(self.abstained)}
            if self.judge
            else None,
            "proposer": dict(self.proposer) or None,
            "limits": limits_of(self),
        }


def limits_of(found: Recovery) -> list[str]:
    """What the reader must know before believing it."""
    said = [
        "Principles were chosen on one part of the prompts and tested on the other; all claims are of the "
        "other part.",
        "What the preferences follow is not why: a feature that nobody measures here may stand behind one "
        "that is.",
    ]
    if found.judge:
        said.append("No card says how often the judge that voted is right.")
    if found.unmeasured:
        said.append(f"{len(found.unmeasured)} principles could not be measured: no rule, and no judge.")
    return said


def by_lead(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """Most votes for less votes against first."""
    return tuple(sorted(findings, key=lambda one: (-one.held_out.lead, one.candidate.id)))
